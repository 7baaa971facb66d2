// SPDX-License-Identifier: Apache-2.0

package pwrite_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

const regionPages = 16

// wholeTransfers are lists of segments that lie in a region at base and can all
// be moved.
var wholeTransfers = []struct {
	name     string
	segments func(base uint64) []pwrite.Segment
}{
	{"no segment", func(uint64) []pwrite.Segment { return nil }},
	{"an empty segment", func(base uint64) []pwrite.Segment { return runOf(base, 0) }},
	{"empty segments only, one where nothing can be", func(base uint64) []pwrite.Segment {
		return append(runOf(base, 0, 0), pwrite.Segment{Address: ^uint64(0)})
	}},
	{"a byte", func(base uint64) []pwrite.Segment { return runOf(base+5, 1) }},
	{"a page", func(base uint64) []pwrite.Segment { return runOf(base, page) }},
	{"the whole region", func(base uint64) []pwrite.Segment { return runOf(base, regionPages*page) }},
	{"an odd address and size", func(base uint64) []pwrite.Segment { return runOf(base+3, 13) }},
	{"over the end of a page", func(base uint64) []pwrite.Segment { return runOf(base+uint64(page)-1, 2) }},
	{"over three pages, from and to the middle of one", func(base uint64) []pwrite.Segment { return runOf(base+uint64(page)-3, page+6) }},
	{"up to the last byte of the region", func(base uint64) []pwrite.Segment { return runOf(base+uint64(regionPages*page)-1, 1) }},
	{"two segments side by side", func(base uint64) []pwrite.Segment { return runOf(base+uint64(page)-4, 4, 4) }},
	{"several, apart and not in order", func(base uint64) []pwrite.Segment {
		return []pwrite.Segment{
			{Address: base + uint64(9*page) + 1, Data: pattern(7, 1)},
			{Address: base + uint64(2*page) - 1, Data: pattern(3, 2)},
			{Address: base + uint64(5*page), Data: pattern(page, 3)},
		}
	}},
	{"empty segments before, between and behind", func(base uint64) []pwrite.Segment { return runOf(base, 0, 0, 3, 0, 4, 0, 0) }},
	{"an empty segment at an address that is not mapped", func(base uint64) []pwrite.Segment {
		return append(runOf(base, 3), pwrite.Segment{Address: base - uint64(page)}, pwrite.Segment{Address: base + 8, Data: pattern(1, 2)})
	}},
	{"segments that overlap, of which the last one's bytes stay", func(base uint64) []pwrite.Segment {
		return []pwrite.Segment{
			{Address: base, Data: pattern(100, 1)},
			{Address: base + 50, Data: pattern(100, 2)},
			{Address: base + 25, Data: pattern(50, 3)},
			{Address: base, Data: pattern(1, 4)},
		}
	}},
	{"as many as one call takes, less one", tiny(pwrite.MaxSegments - 1)},
	{"as many as one call takes", tiny(pwrite.MaxSegments)},
	{"one more than a call takes", tiny(pwrite.MaxSegments + 1)},
	{"one more than a call takes, an empty one", func(base uint64) []pwrite.Segment {
		return append(tiny(pwrite.MaxSegments)(base), pwrite.Segment{Address: base})
	}},
	{"3000 segments", tiny(3000)},
	{"3000 segments, two thirds of them empty", func(base uint64) []pwrite.Segment {
		segments := tiny(3000)(base)
		for i := range segments {
			if i%3 != 0 {
				segments[i].Data = nil
			}
		}
		return segments
	}},
}

// tiny makes count segments of 1 to 5 bytes, with gaps.
func tiny(count int) func(base uint64) []pwrite.Segment {
	return func(base uint64) (segments []pwrite.Segment) {
		for i := range count {
			segments = append(segments, pwrite.Segment{Address: base + uint64(i*11), Data: pattern(i%5+1, i)})
		}
		return segments
	}
}

func TestAWholeWriteChangesItsBytesAndNoOthers(t *testing.T) {
	target := testtarget.Start(t)
	for _, backend := range backends {
		t.Run(backend.name, func(t *testing.T) {
			memory := backend.open(t, target.PID)
			for _, test := range wholeTransfers {
				t.Run(test.name, func(t *testing.T) {
					base := target.Address("layout rw-:%d", regionPages)
					segments := test.segments(base)
					before := target.Bytes(base, regionPages*page)
					total := uint64(0)
					for _, s := range segments {
						total += uint64(len(s.Data))
					}
					place, err := memory.Write(segments)
					if err != nil || place != (pwrite.Position{Segment: len(segments)}) {
						t.Errorf("Write = %v, %v; want the end of %d segments", place, err, len(segments))
					}
					if moved := place.Moved(segments); moved != total {
						t.Errorf("Moved = %d; want %d", moved, total)
					}
					if !bytes.Equal(target.Bytes(base, regionPages*page), apply(before, base, segments, total)) {
						t.Error("the target does not hold what was written, and else what it held")
					}
				})
			}
		})
	}
}

func TestAWholeReadFillsEachSegment(t *testing.T) {
	target := testtarget.Start(t)
	base := target.Address("layout rw-:%d", regionPages)
	there := target.Bytes(base, regionPages*page)
	for _, backend := range backends {
		t.Run(backend.name, func(t *testing.T) {
			memory := backend.open(t, target.PID)
			for _, test := range wholeTransfers {
				t.Run(test.name, func(t *testing.T) {
					segments := test.segments(base)
					place, err := memory.Read(segments)
					if err != nil || place != (pwrite.Position{Segment: len(segments)}) {
						t.Fatalf("Read = %v, %v; want the end of %d segments", place, err, len(segments))
					}
					for i, s := range segments {
						if len(s.Data) > 0 && !bytes.Equal(s.Data, there[s.Address-base:][:len(s.Data)]) {
							t.Errorf("segment %d does not hold what is at %#x", i, s.Address)
						}
					}
				})
			}
			if !bytes.Equal(target.Bytes(base, regionPages*page), there) {
				t.Error("reading changed the target")
			}
		})
	}
}

func TestWriteOnceOfNothingMovesNothing(t *testing.T) {
	for _, pid := range []int{os.Getpid(), -1} {
		if n, err := (pwrite.ProcessVM{PID: pid}).WriteOnce(0, nil); n != 0 || err != nil {
			t.Errorf("WriteOnce(0, nil) into process %d = %d, %v", pid, n, err)
		}
	}
}
