// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"cmp"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/vmwrite/vmwrite/internal/unwind"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// Obstacle is a thread that runs code that is to be changed, comes back to it, or of which
// that is not known.
type Obstacle struct {
	TID      int
	Address  uint64 // of the instruction that the thread goes on with, now or later
	Function string // in which that lies; "" if it is not known
	Start    uint64 // of the change
	End      uint64
	Why      string // how the thread comes to that instruction
	Err      error  // why it is not known where the thread comes back to; nil if it is known
}

// ErrSharedMemory is the Err of an [Obstacle] that is no thread of the process, but another
// process (TID) with the same memory, which does not stop with it: CLONE_VM of clone(2).
var ErrSharedMemory = errors.New("it shares the memory and does not stop")

// String says which thread, where, and why, on one line.
func (o Obstacle) String() string {
	at := fmt.Sprintf("%#x", o.Address)
	if o.Function != "" {
		at += " in " + o.Function
	}
	if o.Err == ErrSharedMemory {
		return fmt.Sprintf("process %d: %v", o.TID, o.Err)
	}
	if o.Err != nil {
		why := o.Err
		if unknown, ok := errors.AsType[*unwind.Error](why); ok { // which names the address again
			why = unknown.Err
		}
		return fmt.Sprintf("thread %d is at %s, and where it returns to is not known: %v", o.TID, at, why)
	}
	return fmt.Sprintf("thread %d %s %s, which is inside the change of %#x-%#x", o.TID, o.Why, at, o.Start, o.End)
}

// InTheWayError is that threads were in the code that is to be changed whenever it was
// tried.
type InTheWayError struct{ Obstacles []Obstacle }

// Error names the first thread and says how many more obstacles there are.
func (e *InTheWayError) Error() string {
	text := e.Obstacles[0].String()
	if more := len(e.Obstacles) - 1; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// Unwrap returns the Err of all obstacles that have one.
func (e *InTheWayError) Unwrap() (errs []error) {
	for _, o := range e.Obstacles {
		if o.Err != nil {
			errs = append(errs, o.Err)
		}
	}
	return errs
}

const (
	// moments bounds how often threads are let run to leave the code, in one stop.
	moments = 20
	moment  = 20 * time.Microsecond
)

// clear returns nil if no thread is in the code that the changes replace, or comes back
// into the middle of it. Threads that are in it are let run for a moment, one at a time,
// to leave it.
func (x *exchange) clear(ctx context.Context, s Stopped, changes []change) error {
	if !slices.ContainsFunc(changes, func(c change) bool { return c.of.Code }) {
		return nil
	}
	if err := x.alone(); err != nil {
		return err
	}
	ranges := map[elf.Machine][]codeRange{}
	for n := 0; ; {
		obstacles, err := x.obstacles(s, changes, ranges)
		if err != nil || len(obstacles) == 0 {
			return err
		}
		inside := map[int]bool{} // the threads that may leave the code
		for _, o := range obstacles {
			inside[o.TID] = inside[o.TID] || o.Why == running
		}
		for _, o := range obstacles {
			if !inside[o.TID] || n == moments || ctx.Err() != nil {
				return &InTheWayError{obstacles}
			}
		}
		for tid := range inside {
			for stays := true; stays && n < moments && ctx.Err() == nil; n++ {
				err := s.RunThread(tid, time.Duration(n)*moment)
				if machcompat.CodeOf(err) == machcompat.KERN_FAILURE { // it may run
					return &InTheWayError{obstacles}
				}
				if err != nil {
					return err
				}
				state, err := s.ThreadState(tid)
				stays = err == nil && slices.ContainsFunc(ranges[state.Machine], func(r codeRange) bool { return r.isInside(state.PC) })
			}
		}
	}
}

// alone returns an error if another process has the memory too. One may come and go at any
// time, the child of a vfork, so that is looked at in the stop.
func (x *exchange) alone() error {
	others, err := sharers(x.process.PID())
	if err != nil || len(others) == 0 {
		return err
	}
	e := &InTheWayError{}
	for _, other := range others {
		e.Obstacles = append(e.Obstacles, Obstacle{TID: other, Err: ErrSharedMemory})
	}
	return e
}

// How a thread comes to an instruction.
const (
	running     = "goes on at"
	interrupted = "goes on after a signal handler at"
	again       = "begins its system call again at"
	afterCall   = "goes on after its system call at"
	aborting    = "leaves a restartable sequence for"
	returning   = "returns to"
)

// look is a look at the threads of a process in one stop.
type look struct {
	*exchange
	stopped   Stopped
	changes   []change
	ranges    map[elf.Machine][]codeRange // a process may run code of two
	unwinders map[elf.Machine]*unwind.Unwinder
	images    map[*address.Module]*address.Image // nil for what has none
	found     []Obstacle
}

func (x *exchange) newLook() *look {
	return &look{exchange: x, unwinders: map[elf.Machine]*unwind.Unwinder{}, images: map[*address.Module]*address.Image{}}
}

// findStarts finds by its symbol where a function begins that no table tells of, as of a Go
// program. That takes longer than a process should stand still.
func (x *exchange) findStarts() {
	x.starts = map[uint64]uint64{}
	l := x.newLook()
	of := map[*address.Module][]uint64{}
	for _, c := range x.record.Changes {
		m, _, ok := x.resolver.Locate(c.Address)
		if !ok || !c.Code {
			continue
		}
		image := l.image(m)
		if image == nil {
			continue
		}
		if _, err := l.unwinder(image.Machine).Function(c.Address); err != nil {
			of[m] = append(of[m], c.Address)
		}
	}
	for m, addresses := range of {
		symbols, _ := m.SymbolsAt(addresses)
		for i, s := range symbols {
			if s.Size > 0 { // else it may be the end of another function
				x.starts[addresses[i]] = s.Address
			}
		}
	}
}

// obstacles returns all that is in the way of changes of code. The ranges are kept for the
// next look in the same stop.
func (x *exchange) obstacles(s Stopped, changes []change, ranges map[elf.Machine][]codeRange) ([]Obstacle, error) {
	l := x.newLook()
	l.stopped, l.changes, l.ranges = s, changes, ranges
	threads, err := s.Threads()
	for i := 0; i < len(threads) && err == nil; i++ {
		err = l.look(threads[i].TID)
	}
	return l.found, err
}

// look looks at one thread.
func (l *look) look(tid int) error {
	state, err := l.stopped.ThreadState(tid)
	if err != nil {
		return err
	}
	ranges := l.rangesFor(state.Machine)
	l.check(ranges, tid, state.PC, running)
	if state.Again != 0 {
		l.check(ranges, tid, state.Again, again)
	}
	if after := l.afterCall(state); after != 0 {
		l.check(ranges, tid, after, afterCall)
	}
	if err := l.lookAtSequence(ranges, tid, state); err != nil {
		return err
	}
	if !slices.ContainsFunc(ranges, codeRange.mayHold) {
		return nil // nothing can come back into the middle of one instruction
	}
	innermost := true
	for frame, err := range l.unwinder(state.Machine).Frames(state.PC, state.Numbered) {
		switch {
		case innermost:
		case frame.Interrupted:
			l.check(ranges, tid, frame.PC, interrupted)
		default:
			l.check(ranges, tid, frame.PC, returning)
		}
		if err != nil {
			l.found = append(l.found, Obstacle{TID: tid, Address: frame.PC, Err: err})
		}
		innermost = false
	}
	return nil
}

// afterCall returns where a thread of arm64 goes on, if it does not begin a system call
// again because it has to handle a signal first; 0 if it is in none. The kernel shows only
// that it stands at the call, as it does of a thread that has not made it yet.
func (l *look) afterCall(state machcompat.ThreadState) uint64 {
	const call, size = 0xd4000001, 4 // svc #0
	if state.Machine != elf.EM_AARCH64 {
		return 0
	}
	code, err := l.read(state.PC, size)
	if err != nil || binary.LittleEndian.Uint32(code) != call {
		return 0 // code that can't be read can't be run
	}
	return state.PC + size
}

// check notes a thread that goes on at an address if that is inside a range.
func (l *look) check(ranges []codeRange, tid int, address uint64, why string) {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].end > address })
	if i < len(ranges) && ranges[i].isInside(address) {
		l.found = append(l.found, Obstacle{TID: tid, Address: address, Start: ranges[i].start, End: ranges[i].end, Why: why})
	}
}

func (l *look) read(address uint64, size int) ([]byte, error) {
	p := make([]byte, size)
	return p, l.stopped.ReadBatch([]machcompat.Segment{{Address: address, Data: p}})
}

// lookAtSequence looks at the restartable sequence that a thread runs, out of which the
// kernel takes it when it goes on: struct rseq_cs of the uapi header linux/rseq.h.
func (l *look) lookAtSequence(ranges []codeRange, tid int, state machcompat.ThreadState) error {
	if state.Sequence == 0 {
		return nil
	}
	pointer, err := l.read(state.Sequence, 8)
	at := binary.NativeEndian.Uint64(pointer)
	if err != nil || at == 0 {
		return err
	}
	descriptor, err := l.read(at, 32)
	if err != nil {
		return err
	}
	start, size, abort := binary.NativeEndian.Uint64(descriptor[8:]), binary.NativeEndian.Uint64(descriptor[16:]), binary.NativeEndian.Uint64(descriptor[24:])
	if state.PC-start < size {
		l.check(ranges, tid, abort, aborting)
	}
	return nil
}

// rangesFor returns the ranges of code that the changes replace, in address order, as a
// thread of a machine sees them.
func (l *look) rangesFor(machine elf.Machine) []codeRange {
	if known, ok := l.ranges[machine]; ok {
		return known
	}
	var changed []codeRange
	for _, c := range slices.SortedFunc(slices.Values(l.changes), func(a, b change) int { return cmp.Compare(a.Address, b.Address) }) {
		if !c.of.Code {
			continue
		}
		old := c.of.Old
		if l.to == takingBack || l.to == recovering {
			old = c.of.New
		}
		end := c.Address + uint64(len(c.New))
		if last := len(changed) - 1; last >= 0 && changed[last].end == c.Address {
			r := &changed[last]
			r.end, r.old, r.new = end, slices.Concat(r.old, old), slices.Concat(r.new, c.New)
			continue
		}
		changed = append(changed, codeRange{start: c.Address, end: end, old: old, new: c.New})
	}
	d := decoder{machine: machine, memory: l.process, changed: changed, start: func(pc uint64) (uint64, error) {
		if start, ok := l.starts[pc]; ok {
			return start, nil
		}
		return l.unwinder(machine).Function(pc)
	}}
	torn := l.to == recovering || l.to == finishing // so that what is there is no code
	ranges := []codeRange{}
	for i := 0; i < len(changed); {
		r, next := d.reach(i)
		r.inner = r.inner || torn && (len(r.new) > 1 || next > i+1)
		ranges = append(ranges, r)
		i = next
	}
	l.ranges[machine] = ranges
	return ranges
}

func (l *look) unwinder(machine elf.Machine) *unwind.Unwinder {
	u := l.unwinders[machine]
	if u == nil {
		u = unwind.New(machine, l.process, l.table)
		l.unwinders[machine] = u
	}
	return u
}

// table returns the table for the unwinder of the module that an address lies in.
func (l *look) table(pc uint64) (unwind.Table, bool) {
	m, _, ok := l.resolver.Locate(pc)
	if !ok {
		return unwind.Table{}, false
	}
	t := unwind.Table{Base: m.Base, Size: m.Size}
	if image := l.image(m); image != nil && image.Unwind.Size > 0 {
		t.Header, t.HeaderSize = m.Base+image.Unwind.At, image.Unwind.Size
	}
	return t, true
}

// image returns what the headers of a module say, which it reads once; nil if they can't be
// read.
func (l *look) image(m *address.Module) *address.Image {
	image, known := l.images[m]
	if !known {
		image, _ = m.Image()
		l.images[m] = image
	}
	return image
}

// nameFunctions finds the names of the functions that the obstacles are in.
func (x *exchange) nameFunctions(obstacles []Obstacle) {
	of := map[*address.Module][]int{}
	for i, o := range obstacles {
		if m, _, ok := x.resolver.Locate(o.Address); ok {
			of[m] = append(of[m], i)
		}
	}
	for m, indexes := range of {
		var addresses []uint64
		for _, i := range indexes {
			addresses = append(addresses, obstacles[i].Address)
		}
		symbols, _ := m.SymbolsAt(addresses)
		for n, i := range indexes {
			obstacles[i].Function = m.Name
			if s := symbols[n]; s.Name != "" {
				obstacles[i].Function += "!" + s.Name
			}
		}
	}
}
