// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// Change is a place of a task, what it must hold, and what it is to hold: see
// [Task.CompareAndWrite].
type Change struct {
	Address uint64
	Old     []byte // what must be there; nothing is compared if it is empty
	Mask    []byte // as long as Old: the bits of it that count; nil for all
	New     []byte // what is written; nothing is written if it is empty
	// Unprotect makes private memory that the task may not write writable for
	// the write, as [Task.WithWritable] does.
	Unprotect bool
}

// ErrMismatch is what the error of [Task.CompareAndWrite] wraps when a place holds
// other bytes than expected.
var ErrMismatch = errors.New("other bytes are there than expected")

// Mismatch is a place that holds other bytes than expected.
type Mismatch struct {
	Change  int    // the index of the [Change]
	Address uint64 // its address
	Found   []byte // what is there, as long as its Old
}

// MismatchError is every place that holds other bytes than expected. It wraps
// [ErrMismatch].
type MismatchError struct{ Mismatches []Mismatch }

// Error names the first place and what it holds.
func (e *MismatchError) Error() string {
	const shown = 16
	first := e.Mismatches[0]
	text := fmt.Sprintf("%v: % x at %#x", ErrMismatch, first.Found[:min(len(first.Found), shown)], first.Address)
	if len(first.Found) > shown {
		text += " and so on"
	}
	switch more := len(e.Mismatches) - 1; {
	case more == 1:
		text += ", and at another place"
	case more > 1:
		text += fmt.Sprintf(", and at %d other places", more)
	}
	return text
}

// Unwrap returns [ErrMismatch].
func (e *MismatchError) Unwrap() error { return ErrMismatch }

// CompareAndWrite compares the old bytes of all changes, and if all are as expected
// writes the new ones, in their order, in one stop of the task (see
// [Task.Stopped]); or changes nothing. What was written is put back if not all can
// be.
//
// The error is an [*Error]. With KERN_FAILURE it may wrap a [*MismatchError], and
// so [ErrMismatch], which tells of every place that differs. Else it is that of
// [Task.ReadBatch], [Task.WriteBatch], [Task.WithWritable] or [Task.Stopped]. Partial
// is true if all was written, but a protection could not be put back.
// KERN_INVALID_ARGUMENT is also the code for a Mask that is not as long as Old.
func (t *Task) CompareAndWrite(ctx context.Context, changes []Change) error {
	if !t.enter() {
		return t.closedError(opWrite)
	}
	defer t.leave()
	s, err := t.openShared(ctx)
	if err != nil {
		return t.changesError(changes, err)
	}
	defer s.leave()
	return (&Stopped{t.process, s}).CompareAndWrite(changes)
}

// changesError is the error of what failed before a change was looked at.
func (p *process) changesError(changes []Change, err error) error {
	first := append(changes[:len(changes):len(changes)], Change{})[0]
	return p.newError(opWrite, first.Address, uint64(len(first.New)), fault{address: first.Address}, err)
}

// CompareAndWrite is [Task.CompareAndWrite].
func (s *Stopped) CompareAndWrite(changes []Change) (err error) {
	p := s.process
	scope := scope{stop: s.stop}
	if err := scope.begin(true); err != nil {
		return p.changesError(changes, err)
	}
	defer scope.done(true)
	scope.alone = true
	var old, new []pwrite.Segment
	var places []int // of which change each old one is
	for i, c := range changes {
		if c.Mask != nil && len(c.Mask) != len(c.Old) {
			return p.newError(opWrite, c.Address, uint64(len(c.New)), fault{code: KERN_INVALID_ARGUMENT, segment: i}, fmt.Errorf("the mask of change %d has %d bytes, and there are %d to compare", i, len(c.Mask), len(c.Old)))
		}
		if len(c.Old) > 0 {
			old = append(old, pwrite.Segment{Address: c.Address, Data: make([]byte, len(c.Old))})
			places = append(places, i)
		}
		new = append(new, pwrite.Segment{Address: c.Address, Data: c.New})
	}
	if err := p.readBatch(scope, old); err != nil {
		return ofChange(err, places)
	}
	mismatch := &MismatchError{}
	for i, found := range old {
		if c := changes[places[i]]; !matches(found.Data, c.Old, c.Mask) {
			mismatch.Mismatches = append(mismatch.Mismatches, Mismatch{places[i], c.Address, found.Data})
		}
	}
	if len(mismatch.Mismatches) > 0 {
		first := mismatch.Mismatches[0]
		e := p.newError(opWrite, first.Address, uint64(len(changes[first.Change].New)), fault{code: KERN_FAILURE, address: first.Address}, mismatch)
		e.Segment = first.Change
		return e
	}
	restore, failed, err := p.unprotect(scope, changes)
	if err != nil {
		return ofChange(err, []int{failed})
	}
	defer func() {
		restoreErr := restore()
		if e, ok := errors.AsType[*Error](restoreErr); ok && err == nil {
			e.Segment, e.Written, e.Partial = failed, e.Size, true
		}
		err = both(err, restoreErr)
	}()
	return p.write(scope, new, true)
}

// unprotect makes the pages of the changes that want it writable, in a stop, until restore
// is called. What can't be is left to the write to say. An error is of the change that is
// returned, and so is one of restore.
func (p *process) unprotect(s scope, changes []Change) (restore func() error, of int, err error) {
	var ranges []procmaps.Span
	first := map[uint64]int{} // by the start of a range, the first change in it
	for i, c := range changes {
		if !c.Unprotect || len(c.New) == 0 || rangeWraps(c.Address, uint64(len(c.New))) {
			continue
		}
		start, end := pageRange(c.Address, uint64(len(c.New)))
		if _, known := first[start]; !known {
			first[start] = i
		}
		ranges = append(ranges, procmaps.Span{Start: start, End: end})
	}
	ranges = slices.DeleteFunc(joined(ranges), func(r procmaps.Span) bool { return p.isWritable(r.Start, r.End) })
	if len(ranges) == 0 {
		return func() error { return nil }, 0, nil
	}
	failedAt := func(err error, r procmaps.Span) error {
		c := changes[first[r.Start]]
		return p.callError(opProtect, c.Address, uint64(len(c.New)), err)
	}
	if done, err := p.makeWritable(s, ranges); err != nil {
		r := ranges[min(done, len(ranges)-1)]
		return nil, first[r.Start], failedAt(err, r)
	}
	return func() error { return failedAt(p.restorePages(s, ranges), ranges[0]) }, first[ranges[0].Start], nil
}

// joined returns what the spans cover, without overlaps, in address order.
func joined(spans []procmaps.Span) (all []procmaps.Span) {
	slices.SortFunc(spans, func(a, b procmaps.Span) int { return cmp.Compare(a.Start, b.Start) })
	for _, s := range spans {
		if last := len(all) - 1; last >= 0 && s.Start <= all[last].End {
			all[last].End = max(all[last].End, s.End)
		} else {
			all = append(all, s)
		}
	}
	return all
}

// ofChange makes the segment that an error names the change that it is of.
func ofChange(err error, changes []int) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Segment < len(changes) {
		e.Segment = changes[e.Segment]
	}
	return err
}

// matches reports whether the bytes that count are as expected.
func matches(found, old, mask []byte) bool {
	for i := range old {
		difference := found[i] ^ old[i]
		if mask != nil {
			difference &= mask[i]
		}
		if difference != 0 {
			return false
		}
	}
	return true
}
