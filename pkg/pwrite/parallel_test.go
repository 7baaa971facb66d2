// SPDX-License-Identifier: Apache-2.0

package pwrite_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// several makes Go run several threads at a time, however many cores there are.
func several(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	before := runtime.GOMAXPROCS(4)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

const mebi = 1 << 20

// contents reads memory of a process past everything that is tested here.
func contents(t *testing.T, pid int, address uint64, size int) []byte {
	t.Helper()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	p := make([]byte, size)
	if _, err := memory.ReadAt(p, int64(address)); err != nil {
		t.Fatal(err)
	}
	return p
}

// Bytes that several threads write arrive as they would from one.
func TestSegmentsThatSeveralThreadsWrite(t *testing.T) {
	several(t)
	target := testtarget.Start(t)
	base := target.Address("map rw- %d", 40*mebi/page)
	memory := pwrite.ProcessVM{PID: target.PID}
	for name, segments := range map[string][]pwrite.Segment{
		"as little as that":                     runOf(base, 16*mebi),
		"no whole number of chunks":             runOf(base+3, 17*mebi+77),
		"two beside each other":                 runOf(base, 17*mebi, 18*mebi+5),
		"between small ones":                    runOf(base+1, 5, 0, 18*mebi+1, 7, 9),
		"behind as many as one call takes":      append(tiny(pwrite.MaxSegments)(base), runOf(base+8*mebi, 19*mebi)...),
		"one that overlaps, of which some stay": append(runOf(base, 17*mebi), runOf(base+mebi, 18*mebi)...),
	} {
		before := contents(t, target.PID, base, 40*mebi)
		place, err := memory.Write(segments)
		total := place.Moved(segments)
		if err != nil || place != (pwrite.Position{Segment: len(segments)}) {
			t.Errorf("%s: Write = %v, %v", name, place, err)
		}
		if !bytes.Equal(contents(t, target.PID, base, 40*mebi), apply(before, base, segments, total)) {
			t.Errorf("%s: other bytes arrived", name)
		}
		into := make([]pwrite.Segment, len(segments))
		for i, s := range segments {
			into[i] = pwrite.Segment{Address: s.Address, Data: make([]byte, len(s.Data))}
		}
		if _, err := memory.Read(into); err != nil || (name != "one that overlaps, of which some stay" && !bytes.Equal(into[0].Data, segments[0].Data)) {
			t.Errorf("%s: Read = %v, or other bytes", name, err)
		}
	}
}

// Where a page can't be written, the position and the extents behind it say of
// each byte whether it arrived.
func TestAHoleBeforeSeveralThreads(t *testing.T) {
	several(t)
	const size = 24 * mebi
	pages, chunk := size/page, 4*mebi/page
	target := testtarget.Start(t)
	base := target.Address("map rw- %d", pages)
	memory := pwrite.ProcessVM{PID: target.PID}
	data := pattern(size+pages, 0)
	for i, c := range []struct {
		name  string
		holes []int
	}{
		{"in the first page", []int{0}},
		{"in the first chunk", []int{chunk / 10}},
		{"at the end of a chunk", []int{chunk - 1}},
		{"at the start of a chunk", []int{chunk}},
		{"in the middle", []int{pages/2 + 1}},
		{"in the last page", []int{pages - 1}},
		{"two, in one chunk", []int{2*chunk + 5, 2*chunk + 15}},
		{"two, far apart", []int{pages / 9, pages * 4 / 5}},
		{"two, on both sides of a seam", []int{chunk - 1, chunk}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, hole := range c.holes {
				target.Do("protect %#x %d r--", base+uint64(hole*page), page)
			}
			// Shifted, no byte is that of the case before.
			segments := []pwrite.Segment{{Address: base, Data: data[i:][:size]}}
			before := contents(t, target.PID, base, size)
			place, err := memory.Write(segments)
			wantStop(t, segments, place, err, pwrite.Position{Offset: c.holes[0] * page}, "process_vm_writev", unix.EFAULT)
			want := apply(before, base, segments, uint64(place.Offset))
			transferError, _ := errors.AsType[*pwrite.TransferError](err)
			last := base + uint64(place.Offset)
			for _, e := range transferError.WrittenAfterFault {
				if e.Address <= last || e.Size == 0 {
					t.Errorf("what arrived after the fault is %+v, behind %#x", e, last)
				}
				last = e.Address + e.Size
				copy(want[e.Address-base:last-base], segments[0].Data[e.Address-base:])
			}
			if got := contents(t, target.PID, base, size); !bytes.Equal(got, want) {
				t.Errorf("%v and %v do not say what arrived", place, transferError.WrittenAfterFault)
			}
			target.Do("protect %#x %d rw-", base, size)
		})
	}
}

func TestAReadBySeveralThreadsStopsAtTheFault(t *testing.T) {
	several(t)
	target := testtarget.Start(t)
	base := target.Address("map rw- %d", 24*mebi/page)
	target.Do("protect %#x %d ---", base+9*mebi, page)
	segments := []pwrite.Segment{{Address: base, Data: make([]byte, 24*mebi)}}
	place, err := pwrite.ProcessVM{PID: target.PID}.Read(segments)
	wantStop(t, segments, place, err, pwrite.Position{Offset: 9 * mebi}, "process_vm_readv", unix.EFAULT)
	if transferError, ok := errors.AsType[*pwrite.TransferError](err); ok && transferError.WrittenAfterFault != nil {
		t.Errorf("a read says what was written: %v", transferError.WrittenAfterFault)
	}
}
