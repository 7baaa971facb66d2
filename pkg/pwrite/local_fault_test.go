// SPDX-License-Identifier: Apache-2.0

package pwrite_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// cutOff maps a file of this process's that has become shorter: behind the first
// good bytes, a multiple of the page, no page can be faulted in.
func cutOff(t *testing.T, size, good int) []byte {
	t.Helper()
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(int64(size)); err != nil {
		t.Fatal(err)
	}
	memory, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(memory) })
	copy(memory, pattern(min(size, 2*page), 5))
	if err := file.Truncate(int64(good)); err != nil {
		t.Fatal(err)
	}
	return memory
}

// nearly returns the place where a transfer is to end: through /proc/PID/mem it is
// where it did if that is less than a page before, because the kernel moves a page
// at a time there, and counts none that it can't move whole.
func nearly(got, want pwrite.Position, backend string) pwrite.Position {
	if backend == "proc_mem" && got.Segment == want.Segment && got.Offset <= want.Offset && got.Offset > want.Offset-page {
		return got
	}
	return want
}

// localFaults are transfers from or to a file of four pages, cut off behind the
// first two.
var localFaults = []struct {
	name     string
	segments func(base uint64, file []byte) []pwrite.Segment
	write    pwrite.Position // where a write ends
	read     pwrite.Position // where a read ends
}{
	{"bytes inside the missing page", func(base uint64, file []byte) []pwrite.Segment {
		return []pwrite.Segment{{Address: base, Data: file[2*page+1:][:8]}}
	}, pwrite.Position{}, pwrite.Position{}},
	{"bytes from a good page to a missing one: nothing is written", func(base uint64, file []byte) []pwrite.Segment {
		return []pwrite.Segment{{Address: base, Data: file[2*page-4:][:8]}}
	}, pwrite.Position{}, pwrite.Position{Offset: 4}},
	{"all pages: nothing is written", func(base uint64, file []byte) []pwrite.Segment {
		return []pwrite.Segment{{Address: base + 1, Data: file}}
	}, pwrite.Position{}, pwrite.Position{Offset: 2 * page}},
	{"the second of three segments, over several pages: nothing is written", func(base uint64, file []byte) []pwrite.Segment {
		return []pwrite.Segment{
			{Address: base, Data: file[:10]},
			{Address: base + 10, Data: file[page : 3*page]},
			{Address: base + uint64(3*page), Data: file[:10]},
		}
	}, pwrite.Position{}, pwrite.Position{Segment: 1, Offset: page}},
	{"the third of four segments, inside a page", func(base uint64, file []byte) []pwrite.Segment {
		return []pwrite.Segment{
			{Address: base, Data: file[:10]},
			{Address: base + 10},
			{Address: base + 20, Data: file[2*page:][:10]},
			{Address: base + 40, Data: file[:10]},
		}
	}, pwrite.Position{}, pwrite.Position{Segment: 2}},
}

func TestWriteFromMemoryThatCannotBeFaultedIn(t *testing.T) {
	testtarget.Need(t, "populate")
	target := testtarget.Start(t)
	file := cutOff(t, 4*page, 2*page)
	for _, backend := range backends {
		t.Run(backend.name, func(t *testing.T) {
			memory := backend.open(t, target.PID)
			for _, test := range localFaults {
				t.Run(test.name, func(t *testing.T) {
					base := target.Address("layout rw-:5")
					segments := test.segments(base, file)
					before := target.Bytes(base, 5*page)
					place, err := memory.Write(segments)
					wantStop(t, segments, place, err, test.write, backend.write, pwrite.ErrLocalFault)
					if !errors.Is(err, unix.EFAULT) {
						t.Errorf("%v does not wrap EFAULT", err)
					}
					if !bytes.Equal(target.Bytes(base, 5*page), apply(before, base, segments, test.write.Moved(segments))) {
						t.Error("the target does not hold all before the fault, and else what it held")
					}
				})
			}
		})
	}
}

func TestReadIntoMemoryThatCannotBeFaultedIn(t *testing.T) {
	target := testtarget.Start(t)
	base := target.Address("layout rw-:5")
	there := target.Bytes(base, 5*page)
	for _, backend := range backends {
		t.Run(backend.name, func(t *testing.T) {
			memory := backend.open(t, target.PID)
			for _, test := range localFaults {
				t.Run(test.name, func(t *testing.T) {
					segments := test.segments(base, cutOff(t, 4*page, 2*page))
					place, err := memory.Read(segments)
					wantStop(t, segments, place, err, nearly(place, test.read, backend.name), backend.read, pwrite.ErrLocalFault)
					for i, s := range segments[:place.Segment+1] {
						if i == place.Segment {
							s.Data = s.Data[:place.Offset]
						}
						if len(s.Data) > 0 && !bytes.Equal(s.Data, there[s.Address-base:][:len(s.Data)]) {
							t.Errorf("segment %d does not hold what was read", i)
						}
					}
				})
			}
		})
	}
}

// The check before the write does not find such memory.
func TestWriteFromMemoryThatMayNotBeRead(t *testing.T) {
	target := testtarget.Start(t)
	source := sparse(t, 16*page)
	copy(source, pattern(len(source), 0))
	if err := unix.Mprotect(source[11*page:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	for _, backend := range backends {
		t.Run(backend.name, func(t *testing.T) {
			base := target.Address("layout rw-:16")
			before := target.Bytes(base, 16*page)
			segments := []pwrite.Segment{{Address: base, Data: source[100:]}}
			place, err := backend.open(t, target.PID).Write(segments)
			wantStop(t, segments, place, err, nearly(place, pwrite.Position{Offset: 11*page - 100}, backend.name), backend.write, pwrite.ErrLocalFault)
			arrived := []pwrite.Segment{{Address: base, Data: source[100:][:place.Offset]}}
			if !bytes.Equal(target.Bytes(base, 16*page), apply(before, base, arrived, uint64(place.Offset))) {
				t.Error("the target does not hold all before the place, and else what it held")
			}
		})
	}
}

func TestReadIntoMemoryThatMayNotBeWritten(t *testing.T) {
	target := testtarget.Start(t)
	base := target.Address("layout rw-:1")
	readOnly, err := unix.Mmap(-1, 0, page, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(readOnly)
	for _, backend := range backends {
		segments := []pwrite.Segment{{Address: base, Data: readOnly}}
		place, err := backend.open(t, target.PID).Read(segments)
		wantStop(t, segments, place, err, pwrite.Position{}, backend.read, pwrite.ErrLocalFault)
	}
}

// Several threads move so many bytes.
func TestLargeTransfersWithMemoryThatCannotBeFaultedIn(t *testing.T) {
	const size = 20 << 20
	good := 18<<20 + page
	target := testtarget.Start(t)
	base := target.Address("map rw- %d", size/page)
	file := cutOff(t, size, good)
	for _, backend := range backends {
		t.Run(backend.name, func(t *testing.T) {
			memory := backend.open(t, target.PID)
			segments := []pwrite.Segment{{Address: base, Data: file}}
			there := target.Bytes(base, page)
			place, err := memory.Write(segments)
			wantStop(t, segments, place, err, pwrite.Position{}, backend.write, pwrite.ErrLocalFault)
			if !bytes.Equal(target.Bytes(base, page), there) {
				t.Error("some of it was written")
			}
			place, err = memory.Read(segments)
			wantStop(t, segments, place, err, nearly(place, pwrite.Position{Offset: good}, backend.name), backend.read, pwrite.ErrLocalFault)
		})
	}
}
