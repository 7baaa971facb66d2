// SPDX-License-Identifier: Apache-2.0

package pwrite_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// brokenTransfers are lists of segments in a region of four pages behind which
// nothing is mapped, and the place where each ends.
var brokenTransfers = []struct {
	name     string
	segments func(base uint64) []pwrite.Segment
	want     pwrite.Position
}{
	{"a single segment where nothing is mapped", func(base uint64) []pwrite.Segment {
		return runOf(base+uint64(4*page), 1)
	}, pwrite.Position{}},
	{"a single segment that begins in what is mapped", func(base uint64) []pwrite.Segment {
		return runOf(base+uint64(4*page)-100, 200)
	}, pwrite.Position{Segment: 0, Offset: 100}},
	{"a single segment that crosses three pages and then ends up in nothing", func(base uint64) []pwrite.Segment {
		return runOf(base+uint64(page)+1, 8*page)
	}, pwrite.Position{Segment: 0, Offset: 3*page - 1}},
	{"the last of three", func(base uint64) []pwrite.Segment {
		return append(runOf(base, 10, 10), pwrite.Segment{Address: base + uint64(4*page), Data: pattern(10, 2)})
	}, pwrite.Position{Segment: 2}},
	{"the middle one of three", func(base uint64) []pwrite.Segment {
		return []pwrite.Segment{
			{Address: base + 1, Data: pattern(10, 0)},
			{Address: base + uint64(5*page), Data: pattern(10, 1)},
			{Address: base + 100, Data: pattern(10, 2)},
		}
	}, pwrite.Position{Segment: 1}},
	{"the middle one of three, in its middle", func(base uint64) []pwrite.Segment {
		return []pwrite.Segment{
			{Address: base + 1, Data: pattern(page, 0)},
			{Address: base + uint64(3*page) + 1, Data: pattern(2*page, 1)},
			{Address: base + uint64(2*page), Data: pattern(10, 2)},
		}
	}, pwrite.Position{Segment: 1, Offset: page - 1}},
	{"the first of three", func(base uint64) []pwrite.Segment {
		return []pwrite.Segment{
			{Address: base - 1, Data: pattern(10, 0)},
			{Address: base, Data: pattern(10, 1)},
			{Address: base + 100, Data: pattern(10, 2)},
		}
	}, pwrite.Position{}},
	{"one behind empty ones", func(base uint64) []pwrite.Segment {
		return []pwrite.Segment{
			{Address: base},
			{Address: base, Data: pattern(3, 1)},
			{Address: base},
			{Address: base + uint64(4*page), Data: pattern(3, 3)},
			{Address: base, Data: pattern(3, 4)},
		}
	}, pwrite.Position{Segment: 3}},
	{"one in the second call of many", func(base uint64) []pwrite.Segment {
		segments := tiny(1300)(base)
		segments[1200].Address = base + uint64(4*page)
		return segments
	}, pwrite.Position{Segment: 1200}},
	{"the first of the second call", func(base uint64) []pwrite.Segment {
		segments := tiny(1300)(base)
		segments[pwrite.MaxSegments].Address = base + uint64(4*page)
		return segments
	}, pwrite.Position{Segment: pwrite.MaxSegments}},
	{"the last of the first call", func(base uint64) []pwrite.Segment {
		segments := tiny(1300)(base)
		segments[pwrite.MaxSegments-1].Address = base + uint64(4*page)
		return segments
	}, pwrite.Position{Segment: pwrite.MaxSegments - 1}},
	{"the last byte of a segment", func(base uint64) []pwrite.Segment {
		return runOf(base, 10, 4*page-9, 10)
	}, pwrite.Position{Segment: 1, Offset: 4*page - 10}},
}

func TestABrokenWriteEndsAtTheFault(t *testing.T) {
	target := testtarget.Start(t)
	for _, backend := range backends {
		t.Run(backend.name, func(t *testing.T) {
			memory := backend.open(t, target.PID)
			for _, test := range brokenTransfers {
				t.Run(test.name, func(t *testing.T) {
					base := target.Address("layout rw-:4")
					segments := test.segments(base)
					before := target.Bytes(base, 4*page)
					place, err := memory.Write(segments)
					wantStop(t, segments, place, err, test.want, backend.write, backend.fault)
					if !bytes.Equal(target.Bytes(base, 4*page), apply(before, base, segments, test.want.Moved(segments))) {
						t.Error("the target does not hold all before the fault, and else what it held")
					}
				})
			}
		})
	}
}

func TestABrokenReadEndsAtTheFault(t *testing.T) {
	target := testtarget.Start(t)
	base := target.Address("layout rw-:4")
	there := target.Bytes(base, 4*page)
	for _, backend := range backends {
		t.Run(backend.name, func(t *testing.T) {
			memory := backend.open(t, target.PID)
			for _, test := range brokenTransfers {
				t.Run(test.name, func(t *testing.T) {
					segments, want := test.segments(base), test.segments(base)
					left := test.want.Moved(segments)
					for _, s := range want {
						part := s.Data[:min(uint64(len(s.Data)), left)]
						if len(part) > 0 {
							copy(part, there[s.Address-base:])
						}
						left -= uint64(len(part))
					}
					place, err := memory.Read(segments)
					wantStop(t, segments, place, err, test.want, backend.read, backend.fault)
					for i := range segments {
						if !bytes.Equal(segments[i].Data, want[i].Data) {
							t.Errorf("segment %d does not hold what was read, and else what it held", i)
						}
					}
				})
			}
		})
	}
}

func TestProcessVMKeepsToTheProtection(t *testing.T) {
	target := testtarget.Start(t)
	memory := pwrite.ProcessVM{PID: target.PID}
	for _, protection := range []string{"r--", "r-x", "--x", "---"} {
		t.Run(protection, func(t *testing.T) {
			base := target.Address("layout rw-:1,%s:1,rw-:1", protection)
			before := target.Bytes(base, 3*page)
			segments := runOf(base+10, 5, 2*page, 5)
			place, err := memory.Write(segments)
			want := pwrite.Position{Segment: 1, Offset: page - 15}
			wantStop(t, segments, place, err, want, "process_vm_writev", unix.EFAULT)
			if !bytes.Equal(target.Bytes(base, 3*page), apply(before, base, segments, uint64(page-10))) {
				t.Error("the target does not hold all before the protected page, and else what it held")
			}
		})
	}
	t.Run("-w- can be written", func(t *testing.T) {
		base := target.Address("layout -w-:1")
		segments := runOf(base+10, 5)
		if place, err := memory.Write(segments); err != nil || place.Segment != 1 {
			t.Errorf("Write = %v, %v", place, err)
		}
		if !bytes.Equal(target.Bytes(base+10, 5), segments[0].Data) {
			t.Error("the target does not hold what was written")
		}
	})
}

// What this test shows is the danger of /proc/PID/mem, not a feature: whoever
// writes through it must look at the mappings first, with the target stopped.
func TestProcMemWritesWhatTheTargetItselfCouldNot(t *testing.T) {
	testtarget.Need(t, "forced writes")
	target := testtarget.Start(t)
	memory := procMem(t, target.PID)
	for _, protection := range []string{"r--", "r-x", "--x", "---"} {
		t.Run(protection, func(t *testing.T) {
			base := target.Address("layout rw-:1,%s:1,rw-:1", protection)
			before := target.Bytes(base, 3*page)
			segments := runOf(base+10, 5, 2*page, 5)
			if place, err := memory.Write(segments); err != nil || place.Segment != 3 {
				t.Errorf("Write = %v, %v", place, err)
			}
			if !bytes.Equal(target.Bytes(base, 3*page), apply(before, base, segments, math.MaxUint64)) {
				t.Error("the target does not hold what was written, and else what it held")
			}
		})
	}
}

func TestAddressesThatNoProcessHas(t *testing.T) {
	target := testtarget.Start(t)
	for _, address := range []uint64{0, 1<<63 - uint64(page), 1<<63 - 1, 1 << 63, 0xffffffffff600000, math.MaxUint64 - 7, math.MaxUint64} {
		for _, backend := range backends {
			memory := backend.open(t, target.PID)
			good := target.Address("layout rw-:1")
			reason := error(backend.fault)
			if backend.name == "process_vm" && address > math.MaxUint-8 {
				reason = unix.EOVERFLOW // no word holds the end
			}
			for i, segments := range [][]pwrite.Segment{
				{{Address: address, Data: pattern(8, 1)}},
				{{Address: good, Data: pattern(8, 0)}, {Address: address, Data: pattern(8, 1)}, {Address: good, Data: pattern(8, 2)}},
			} {
				place, err := memory.Write(segments)
				wantStop(t, segments, place, err, pwrite.Position{Segment: i}, backend.write, reason)
				if i == 1 && !bytes.Equal(target.Bytes(good, 8), segments[0].Data) {
					t.Errorf("%s: the segment before did not arrive, or the one behind did", backend.name)
				}
				place, err = memory.Read(segments)
				wantStop(t, segments, place, err, pwrite.Position{Segment: i}, backend.read, reason)
			}
		}
	}
}

func TestWritablePagesThatCannotBeFaultedIn(t *testing.T) {
	target := testtarget.Start(t)
	file := t.TempDir() + "/half"
	for _, backend := range backends {
		base := target.Address("file %s rw- 2 %d shared", file, page)
		memory := backend.open(t, target.PID)
		segments := runOf(base+uint64(page)-8, 16)
		place, err := memory.Write(segments)
		wantStop(t, segments, place, err, pwrite.Position{Offset: 8}, backend.write, backend.fault)
		if !bytes.Equal(target.Bytes(base+uint64(page)-8, 8), segments[0].Data[:8]) {
			t.Errorf("%s: the bytes before the end of the file did not arrive", backend.name)
		}
	}
}
