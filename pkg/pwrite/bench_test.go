// SPDX-License-Identifier: Apache-2.0

package pwrite_test

import (
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

func BenchmarkWrite(b *testing.B) {
	for _, size := range []struct {
		name     string
		segments int
		bytes    int
	}{
		{"8", 1, 8},
		{"4KiB", 1, 4 << 10},
		{"1MiB", 1, 1 << 20},
		{"1024x4", 1024, 4},
		{"64MiB", 1, 64 << 20},
	} {
		for _, backend := range backends {
			b.Run(size.name+"/"+backend.name, func(b *testing.B) {
				target := testtarget.Start(b)
				base := target.Address("map rw- %d", max(size.segments, size.bytes/page))
				var segments []pwrite.Segment
				for i := range size.segments {
					segments = append(segments, pwrite.Segment{Address: base + uint64(i*page), Data: pattern(size.bytes, i)})
				}
				memory := backend.open(b, target.PID)
				b.SetBytes(int64(size.segments * size.bytes))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := memory.Write(segments); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
