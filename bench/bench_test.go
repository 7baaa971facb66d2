// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// These are for benchstat, which compares two commits; see README.md.

func BenchmarkWrite8Bytes(b *testing.B) {
	for _, source := range []procmaps.Source{procmaps.Ioctl, procmaps.Text} {
		for _, mappings := range []int{few, 60_000} {
			b.Run(fmt.Sprintf("source=%s/mappings=%d", source, mappings), func(b *testing.B) {
				v := victimFor(b, []machcompat.Option{machcompat.WithMapSource(source)}, "maps %d", mappings)
				data := make([]byte, 8)
				measure(b, 0, func() error { return v.task.Write(v.address, data) })
			})
		}
	}
}

func BenchmarkWriteStopped(b *testing.B) {
	for _, threads := range []int{1, 100} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			v := victimFor(b, []machcompat.Option{machcompat.WithBackend(machcompat.ProcMem), machcompat.WithStop(machcompat.StopAlways)}, "maps %d", few)
			if _, err := v.ask("threads %d", threads); err != nil {
				b.Fatal(err)
			}
			data := make([]byte, 8)
			measure(b, 0, func() error { return v.task.Write(v.address, data) })
		})
	}
}

func BenchmarkWriteBatch(b *testing.B) {
	for _, count := range []int{16, 1024, 100_000} {
		for _, order := range []string{"sorted", "shuffled"} {
			b.Run(fmt.Sprintf("values=%d/order=%s", count, order), func(b *testing.B) {
				v := victimFor(b, nil, "grid %d %d", gridMappings, gridPages)
				addresses := spreadOverGrid(v.address, count)
				if order == "shuffled" {
					addresses = shuffled(addresses)
				}
				segments := segmentsAt(addresses, valueSize)
				measure(b, 0, func() error { return v.task.WriteBatch(segments) })
			})
		}
	}
}

func BenchmarkWriteLong(b *testing.B) {
	for _, size := range []int{os.Getpagesize(), 1 << 20, 64 << 20} {
		b.Run("bytes="+fmt.Sprint(size), func(b *testing.B) {
			v := victimFor(b, nil, "region %d touched", size)
			data := make([]byte, size)
			for i := range data {
				data[i] = 1 // a page that was never touched is not copied from memory
			}
			measure(b, int64(size), func() error { return v.task.Write(v.address, data) })
		})
	}
}

func BenchmarkTaskForPID(b *testing.B) {
	v := victimFor(b, nil, "maps %d", few)
	measure(b, 0, func() error { return reopen(v.pid()) })
}

func victimFor(b *testing.B, options []machcompat.Option, format string, args ...any) victim {
	b.Helper()
	v, err := newBench(b).victimWith(options, format, args...)
	if err != nil {
		b.Fatal(err)
	}
	return v
}

func measure(b *testing.B, bytes int64, call func() error) {
	b.Helper()
	b.SetBytes(bytes) // 0 where the throughput is of no interest
	b.ReportAllocs()
	for b.Loop() {
		if err := call(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHold(b *testing.B) {
	v := victimFor(b, nil, "region %d touched", heldValues*os.Getpagesize())
	h, err := holderOf(v.task, addressesFrom(v.address, heldValues, os.Getpagesize()), 1)
	if err != nil {
		b.Fatal(err)
	}
	measure(b, 0, h.Tick)
}
