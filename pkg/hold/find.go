// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"math"
	"slices"
	"time"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// Entries that have vanished are looked for in rounds, a second apart. A tick goes on
// with a round for so long only that the others are held in time: to follow pointers
// that lead nowhere may take a look at the whole map for each.
const (
	roundInterval   = time.Second
	recheckInterval = time.Second // between two questions to places whether they have moved
	timeOfATick     = 2 * time.Millisecond
)

// takeOut takes an entry out of what is read, and says so unless it was said.
func (h *Holder) takeOut(i int32, err error) {
	e := &h.held[i]
	if !e.out {
		e.out, e.settled, h.dirty = true, false, true
		h.waiting = append(h.waiting, i)
	}
	if !e.vanished {
		e.vanished = true
		h.summary.Vanished++
		h.event(Event{Entry: int(i), Name: h.entries[i].Name, Err: err})
	}
}

// findMoved finds those entries anew whose places say that they have moved.
func (h *Holder) findMoved(now time.Time) {
	if now.Before(h.nextRecheck) {
		return
	}
	h.nextRecheck = now.Add(recheckInterval)
	for i := range h.held {
		e := &h.held[i]
		if e.out {
			continue
		}
		if place, ok := e.place.(Mover); !ok || !place.Moved() {
			continue
		}
		h.dirty = true
		before := e.address
		if err := e.resolve(); err != nil {
			h.takeOut(int32(i), err)
		} else if e.address != before {
			h.summary.Moved++
			e.settled = false
		}
	}
}

// sayBack says that entries that were found in this tick are back, now that they
// could be read and, if need be, written.
func (h *Holder) sayBack() {
	for _, i := range h.found {
		if e := &h.held[i]; !e.out && e.vanished {
			e.vanished = false
			h.summary.Back++
			h.event(Event{Entry: int(i), Name: h.entries[i].Name, Back: true, Address: e.address})
		}
	}
}

// find tries to find entries that are out.
func (h *Holder) find(now time.Time) error {
	until := now.Add(timeOfATick)
	if len(h.trying) == 0 {
		if len(h.waiting) == 0 || now.Before(h.nextRound) {
			return nil
		}
		if h.nextRound.IsZero() { // the first tick looks for all
			until = now.Add(math.MaxInt64)
		}
		h.nextRound = now.Add(roundInterval)
		h.trying, h.waiting = h.waiting, h.trying
		if err := h.lookAtMap(); err != nil {
			return err
		}
	}
	for len(h.trying) > 0 {
		i := h.trying[0]
		h.trying = h.trying[1:]
		e := &h.held[i]
		err := e.resolve()
		if err == nil {
			err = h.confirmMapped(e)
		}
		if err == nil {
			e.out, h.dirty = false, true
			h.found = append(h.found, i)
		} else {
			h.waiting = append(h.waiting, i)
			h.takeOut(i, err)
		}
		if time.Now().After(until) {
			break
		}
	}
	return nil
}

// sweep takes out all entries that are not mapped.
func (h *Holder) sweep() error {
	if err := h.lookAtMap(); err != nil {
		return err
	}
	for i := range h.held {
		if e := &h.held[i]; !e.out {
			if err := h.confirmMapped(e); err != nil {
				h.takeOut(int32(i), err)
			}
		}
	}
	return nil
}

// lookAtMap notes what is mapped, in as few spans as tell what can be read and written.
func (h *Holder) lookAtMap() error {
	h.spans = h.spans[:0]
	for mapping, err := range h.memory.Regions() {
		if err != nil {
			return err
		}
		span := mapping.Span()
		span.Perms &= procmaps.Read | procmaps.Write
		if last := len(h.spans) - 1; last >= 0 && h.spans[last].End == span.Start && h.spans[last].Perms == span.Perms {
			h.spans[last].End = span.End
			continue
		}
		h.spans = append(h.spans, span)
	}
	return nil
}

// confirmMapped returns an error for the first pointer of an entry that can't be read,
// or the value if that can't be read and written.
func (h *Holder) confirmMapped(e *held) error {
	for i := range e.links {
		if err := h.confirmAccess("vm_read", e.links[i].Address, uint64(e.links[i].Size), procmaps.Read); err != nil {
			return err
		}
	}
	return h.confirmAccess("vm_write", e.address, uint64(len(e.want)), procmaps.Read|procmaps.Write)
}

func (h *Holder) confirmAccess(op string, address, size uint64, want procmaps.Perms) error {
	fail := func(code machcompat.KernReturn, fault uint64) error {
		return &machcompat.Error{Op: op, Address: address, Size: size, Code: code, Fault: fault}
	}
	if address+size < address {
		return fail(machcompat.KERN_INVALID_ADDRESS, address)
	}
	at, _ := slices.BinarySearchFunc(h.spans, address, func(s procmaps.Span, address uint64) int {
		if s.End <= address {
			return -1
		}
		return 1
	})
	for next := address; next < address+size; at++ {
		switch {
		case at == len(h.spans) || !h.spans[at].Contains(next):
			return fail(machcompat.KERN_INVALID_ADDRESS, next)
		case h.spans[at].Perms&want != want:
			return fail(machcompat.KERN_PROTECTION_FAILURE, next)
		}
		next = h.spans[at].End
	}
	return nil
}
