// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// mappingCounts are the sizes of an address space that a write is measured in.
var mappingCounts = []int{60, 60000}

func BenchmarkWrite8Bytes(b *testing.B) {
	for _, source := range []procmaps.Source{procmaps.Ioctl, procmaps.Text} {
		for _, count := range mappingCounts {
			b.Run(fmt.Sprintf("%s/mappings=%d", source, count), func(b *testing.B) {
				target := testtarget.Start(b)
				base := target.Address("split %d", count)
				task := taskFor(b, target.PID, machcompat.WithMapSource(source))
				data := make([]byte, 8)
				b.ReportAllocs()
				for b.Loop() {
					if err := task.Write(base, data); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkWriteBatch1024(b *testing.B) {
	target := testtarget.Start(b)
	base := target.Address("layout rw-:1024")
	task := taskFor(b, target.PID)
	segments := scattered(base)
	b.ReportAllocs()
	for b.Loop() {
		if err := task.WriteBatch(segments); err != nil {
			b.Fatal(err)
		}
	}
}

func scattered(base uint64) []machcompat.Segment {
	segments := make([]machcompat.Segment, 1024)
	for i := range segments {
		segments[i] = machcompat.Segment{Address: base + uint64(i)*pageSize, Data: make([]byte, 4)}
	}
	return segments
}

// BenchmarkRatioToRawC measures the same writes as a loop in C over the bare
// system call and through a Task, in turns, and reports the median of the ratios
// as "x-raw". Its own ns/op means nothing: run it with -benchtime 1x.
func BenchmarkRatioToRawC(b *testing.B) {
	raw := testtarget.BuildC(b, "testdata/raw_write.c")
	for _, count := range mappingCounts {
		b.Run(fmt.Sprintf("write8/mappings=%d", count), func(b *testing.B) {
			target := testtarget.Start(b)
			base := target.Address("split %d", count)
			task := taskFor(b, target.PID)
			data := make([]byte, 8)
			reportRatio(b, func() float64 { return runRaw(b, raw, target.PID, base, 200000, 1, 8) }, func() float64 {
				return nanoseconds(b, 200000, func() error { return task.Write(base, data) })
			})
		})
	}
	b.Run("batch1024", func(b *testing.B) {
		target := testtarget.Start(b)
		base := target.Address("layout rw-:1024")
		task := taskFor(b, target.PID)
		segments := scattered(base)
		reportRatio(b, func() float64 { return runRaw(b, raw, target.PID, base, 500, 1024, 4) }, func() float64 {
			return nanoseconds(b, 500, func() error { return task.WriteBatch(segments) })
		})
	})
}

func reportRatio(b *testing.B, raw, ours func() float64) {
	const rounds = 9
	for b.Loop() {
		var raws, all, ratios []float64
		for range rounds {
			r, o := raw(), ours()
			raws, all, ratios = append(raws, r), append(all, o), append(ratios, o/r)
		}
		b.ReportMetric(median(raws), "ns-raw")
		b.ReportMetric(median(all), "ns-ours")
		b.ReportMetric(median(ratios), "x-raw")
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func nanoseconds(b *testing.B, calls int, call func() error) float64 {
	start := time.Now()
	for range calls {
		if err := call(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(time.Since(start).Nanoseconds()) / float64(calls)
}

func runRaw(b *testing.B, path string, pid int, address uint64, calls, segments, bytes int) float64 {
	b.Helper()
	out, err := exec.Command(path, strconv.Itoa(pid), fmt.Sprintf("%#x", address), strconv.Itoa(calls), strconv.Itoa(segments), "4096", strconv.Itoa(bytes)).CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	ns, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		b.Fatal(err)
	}
	return ns
}
