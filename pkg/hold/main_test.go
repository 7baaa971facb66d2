// SPDX-License-Identifier: Apache-2.0

package hold_test

import (
	"cmp"
	"encoding/binary"
	"iter"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/hold"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

func TestMain(m *testing.M) { os.Exit(testtarget.Main(m)) }

var pageSize = machcompat.HostPageSize()

// round is more than the time from one attempt to find what has vanished to the next.
const round = 1100 * time.Millisecond

// taskFor opens a target as a caller of hold does.
func taskFor(tb testing.TB, pid int) *machcompat.Task {
	tb.Helper()
	task, err := machcompat.TaskForPID(pid, machcompat.WithStop(machcompat.StopNever))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { task.Close() })
	return task
}

// held is a Holder with its events.
type held struct {
	*hold.Holder
	tb     testing.TB
	events []hold.Event
}

func newHolder(tb testing.TB, m hold.Memory, entries ...hold.Entry) *held {
	tb.Helper()
	h := &held{tb: tb}
	holder, err := hold.New(m, entries, hold.OnEvent(func(e hold.Event) { h.events = append(h.events, e) }))
	if err != nil {
		tb.Fatal(err)
	}
	h.Holder = holder
	return h
}

// tick makes a tick that must succeed.
func (h *held) tick() {
	h.tb.Helper()
	if err := h.Tick(); err != nil {
		h.tb.Fatal(err)
	}
}

// wantEvents checks the events since the last call: names, with + for those that are
// back and - for those that vanished.
func (h *held) wantEvents(want ...string) {
	h.tb.Helper()
	var got []string
	for _, e := range h.events {
		sign := "-"
		if e.Back {
			sign = "+"
		}
		got = append(got, sign+e.Name)
		if e.Back != (e.Err == nil) || e.Back != (e.Address != 0) {
			h.tb.Errorf("the event is %+v", e)
		}
	}
	if !slices.Equal(got, want) {
		h.tb.Errorf("the events are %v; want %v", got, want)
	}
	h.events = nil
}

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func u64(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }

// constant is an entry of 4 bytes.
func constant(name string, place hold.Place, value uint32) hold.Entry {
	return hold.Entry{Name: name, Place: place, Type: hold.Uint32, Value: u32(value)}
}

// fakeMemory is memory of pages that are made and unmade at will. It counts batches.
type fakeMemory struct {
	pages         map[uint64]*fakePage // by their number
	reads, writes int
	gone          bool
	before        func() // each batch
}

type fakePage struct {
	data  []byte
	perms procmaps.Perms
	guard bool // mapped, but it can't be faulted in
}

const readWrite = procmaps.Read | procmaps.Write

func newFake(first, count uint64) *fakeMemory {
	m := &fakeMemory{pages: map[uint64]*fakePage{}, before: func() {}}
	for i := range count {
		m.add(first + i)
	}
	return m
}

func (m *fakeMemory) add(number uint64) *fakePage {
	page := &fakePage{data: make([]byte, pageSize), perms: readWrite}
	m.pages[number] = page
	return page
}

// bytesAt returns size bytes inside one page.
func (m *fakeMemory) bytesAt(address uint64, size int) []byte {
	return m.pages[address/pageSize].data[address%pageSize:][:size]
}

// access returns the error for a byte.
func (m *fakeMemory) access(address uint64, want procmaps.Perms, check bool) machcompat.KernReturn {
	page := m.pages[address/pageSize]
	switch {
	case m.gone:
		return machcompat.KERN_INVALID_ARGUMENT
	case page == nil:
		return machcompat.KERN_INVALID_ADDRESS
	case page.perms&want != want:
		return machcompat.KERN_PROTECTION_FAILURE
	case page.guard && !check:
		return machcompat.KERN_MEMORY_ERROR
	}
	return machcompat.KERN_SUCCESS
}

func (m *fakeMemory) batch(segments []machcompat.Segment, want procmaps.Perms, check bool, move func(page *byte, b *byte)) error {
	if m.gone {
		return &machcompat.Error{Code: machcompat.KERN_INVALID_ARGUMENT}
	}
	for i, s := range segments {
		for j := range s.Data {
			address := s.Address + uint64(j)
			if code := m.access(address, want, check); code != machcompat.KERN_SUCCESS {
				return &machcompat.Error{Segment: i, Code: code, Fault: address, Partial: !check && want == procmaps.Write && i+j > 0}
			}
			if !check {
				move(&m.pages[address/pageSize].data[address%pageSize], &s.Data[j])
			}
		}
	}
	return nil
}

func (m *fakeMemory) ReadBatch(segments []machcompat.Segment) error {
	m.before()
	m.reads++
	return m.batch(segments, procmaps.Read, false, func(page, b *byte) { *b = *page })
}

func (m *fakeMemory) WriteBatch(segments []machcompat.Segment) error {
	m.before()
	m.writes++
	if err := m.batch(segments, procmaps.Write, true, nil); err != nil {
		return err
	}
	return m.batch(segments, procmaps.Write, false, func(page, b *byte) { *page = *b })
}

func (m *fakeMemory) Regions() iter.Seq2[procmaps.Mapping, error] {
	return func(yield func(procmaps.Mapping, error) bool) {
		if m.gone {
			yield(procmaps.Mapping{}, &machcompat.Error{Code: machcompat.KERN_INVALID_ARGUMENT})
			return
		}
		var numbers []uint64
		for number := range m.pages {
			numbers = append(numbers, number)
		}
		slices.SortFunc(numbers, cmp.Compare)
		for _, number := range numbers {
			if !yield(procmaps.Mapping{Start: number * pageSize, End: (number + 1) * pageSize, Perms: m.pages[number].perms}, nil) {
				return
			}
		}
	}
}

// pointerChain is a place behind a pointer of 8 bytes, read through m.
type pointerChain struct {
	m        hold.Memory
	slot     uint64
	offset   uint64
	resolved *int // how often
}

func (c pointerChain) Resolve() (uint64, []hold.Link, error) {
	if c.resolved != nil {
		*c.resolved++
	}
	var pointer [8]byte
	if err := c.m.ReadBatch([]machcompat.Segment{{Address: c.slot, Data: pointer[:]}}); err != nil {
		return 0, nil, err
	}
	value := binary.NativeEndian.Uint64(pointer[:])
	return value + c.offset, []hold.Link{{Address: c.slot, Value: value, Size: 8}}, nil
}
