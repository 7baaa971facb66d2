// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// Tick looks at every value once, and writes those that do not hold. A tick in which
// nothing comes, goes or moves makes one batch to read, at most one to write, and
// allocates nothing.
//
// The pointers of a place are read in the same batch, before its value. If one has
// changed the place is found anew, and the value is read in a second batch; if it
// changes meanwhile again, the next tick goes on. Entries that can't be read or
// written are taken out, and the batch goes on behind them.
//
// The error is the first that concerns no single entry: KERN_INVALID_ARGUMENT of
// [machcompat.Task.Write] when the process has ended or runs another program, for
// which no further tick is of use.
func (h *Holder) Tick() error {
	h.summary.Ticks++
	h.swept = false
	h.found = h.found[:0]
	now := time.Now()
	h.findMoved(now)
	if err := h.find(now); err != nil {
		return err
	}
	if h.dirty {
		h.arrange()
	}
	if err := h.read(h.reads); err != nil {
		return err
	}
	h.writes.clear()
	if moved := h.judge(h.reads); len(moved) > 0 {
		again := h.resolveAgain(moved)
		if err := h.read(again); err != nil {
			return err
		}
		h.judge(again)
	}
	if err := h.write(h.writes); err != nil {
		return err
	}
	h.sayBack()
	return nil
}

// arrange makes the segments to read: those of each entry side by side, and their
// buffers too.
func (h *Holder) arrange() {
	h.dirty = false
	h.reads.clear()
	size := 0
	for i := range h.held {
		if e := &h.held[i]; !e.out {
			size += len(e.want)
			for _, link := range e.links {
				size += link.Size
			}
		}
	}
	buffer := make([]byte, size)
	for i := range h.held {
		if e := &h.held[i]; !e.out {
			buffer = h.reads.addEntry(int32(i), e, buffer)
		}
	}
}

// addEntry adds the pointers and the value of an entry, with the front of buffer for
// what is read, and returns the rest of it.
func (s *segments) addEntry(owner int32, e *held, buffer []byte) []byte {
	for _, link := range e.links {
		s.add(owner, machcompat.Segment{Address: link.Address, Data: buffer[:link.Size:link.Size]})
		buffer = buffer[link.Size:]
	}
	size := len(e.want)
	s.add(owner, machcompat.Segment{Address: e.address, Data: buffer[:size:size]})
	return buffer[size:]
}

// read fills segments, and takes out the entries that can't be read.
func (h *Holder) read(s segments) error {
	for {
		err := h.memory.ReadBatch(s.runs)
		if err == nil {
			return nil
		}
		failed, ok := ofEntry(err, len(s.runs))
		if !ok {
			return err
		}
		h.takeOut(s.owners[failed.Segment], alone(failed))
		if s, err = h.behind(s, failed.Segment); err != nil || len(s.runs) == 0 {
			return err
		}
	}
}

// write writes segments, and takes out the entries that can't be written.
func (h *Holder) write(s segments) error {
	for len(s.runs) > 0 {
		err := h.memory.WriteBatch(s.runs)
		if err == nil {
			h.wrote(s.owners)
			return nil
		}
		failed, ok := ofEntry(err, len(s.runs))
		if !ok {
			return err
		}
		// Those before it were written, or all were refused. Then they are written
		// now, so that each is checked a second time at most.
		before := segments{s.runs[:failed.Segment], s.owners[:failed.Segment]}
		if failed.Partial {
			h.wrote(before.owners)
		} else if err := h.write(before); err != nil {
			return err
		}
		h.takeOut(s.owners[failed.Segment], alone(failed))
		if s, err = h.behind(s, failed.Segment); err != nil {
			return err
		}
	}
	return nil
}

func (h *Holder) wrote(owners []int32) {
	h.summary.Writes += uint64(len(owners))
	for _, owner := range owners {
		h.held[owner].settled = true
	}
}

// ofEntry returns the error of a batch that one of its segments is to blame for.
func ofEntry(err error, count int) (failed *machcompat.Error, ok bool) {
	failed, ok = errors.AsType[*machcompat.Error](err)
	if !ok || failed.Segment < 0 || failed.Segment >= count {
		return nil, false
	}
	switch failed.Code {
	case machcompat.KERN_INVALID_ADDRESS, machcompat.KERN_PROTECTION_FAILURE, machcompat.KERN_MEMORY_ERROR,
		machcompat.KERN_MEMORY_FAILURE, machcompat.KERN_RESOURCE_SHORTAGE:
		return failed, true
	}
	return nil, false
}

// alone makes the error of a batch that of an entry, which knows nothing of the others.
func alone(failed *machcompat.Error) error {
	e := *failed
	e.Segment, e.Partial = 0, false
	return &e
}

// behind returns the segments behind the i-th that are of entries which are still
// read. Where one lacks, many may: after the first of a tick all entries are looked
// up in the map, because to fail for each of them takes far longer.
func (h *Holder) behind(s segments, i int) (segments, error) {
	if h.swept {
		owner := s.owners[i]
		for i < len(s.owners) && s.owners[i] == owner {
			i++
		}
		return s.from(i), nil
	}
	h.swept = true
	if err := h.sweep(); err != nil {
		return segments{}, err
	}
	var rest segments
	for i < len(s.owners) {
		if owner := s.owners[i]; !h.held[owner].out {
			rest.add(owner, s.runs[i])
		}
		i++
	}
	return rest, nil
}

// judge looks at what was read, notes what is to be written, and returns the entries
// whose pointers have changed.
func (h *Holder) judge(s segments) (moved []int32) {
	for i := 0; i < len(s.runs); {
		owner := s.owners[i]
		e := &h.held[owner]
		links := s.runs[i : i+len(e.links)]
		value := s.runs[i+len(e.links)].Data
		i += len(e.links) + 1
		switch {
		case e.out:
		case !e.linksHold(links):
			moved = append(moved, owner)
		case e.holds(value):
			e.settled = true
		default:
			if e.settled {
				h.summary.Changed++
			}
			e.settled = false
			h.writes.add(owner, machcompat.Segment{Address: e.address, Data: e.want})
		}
	}
	return moved
}

func (e *held) linksHold(seen []machcompat.Segment) bool {
	for i := range e.links {
		if e.links[i].Value != pointerOf(seen[i].Data) {
			return false
		}
	}
	return true
}

func pointerOf(data []byte) uint64 {
	if len(data) == 4 {
		return uint64(binary.NativeEndian.Uint32(data))
	}
	return binary.NativeEndian.Uint64(data)
}

// resolveAgain finds the places of entries anew, and returns what is to be read of
// those that were found.
func (h *Holder) resolveAgain(moved []int32) (again segments) {
	h.dirty = true
	for _, i := range moved {
		e := &h.held[i]
		if err := e.resolve(); err != nil {
			h.takeOut(i, err)
			continue
		}
		h.summary.Moved++
		e.settled = false
		size := len(e.want)
		for _, link := range e.links {
			size += link.Size
		}
		again.addEntry(i, e, make([]byte, size))
	}
	return again
}

func (e *held) resolve() error {
	address, links, err := e.place.Resolve()
	if err == nil {
		err = confirmLinks(links)
	}
	if err == nil {
		e.address, e.links = address, links
	}
	return err
}
