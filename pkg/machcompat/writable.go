// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// WithWritable stops the task, makes the pages of a range writable for as long as
// f runs, keeping what else they allow, and then gives them back the protection
// that they had, also when f panics. The memory must be private (VM_PROT_COPY).
// Calls of t in f share the stop. Where ranges overlap, of calls of t inside f or
// elsewhere, a page stays writable until the last of them has returned.
//
// A task that is stopped for longer than [WithStopTimeout] says, 10 s, goes on
// while f still runs, and is stopped again afterwards. What it has made of its
// memory meanwhile is left alone, unless that has the protection that f was to find.
//
// The error is that of f, or of [Task.Protect] before or after it; both, joined,
// when both fail.
func (t *Task) WithWritable(address, size uint64, f func() error) (err error) {
	if !t.enter() {
		return t.closedError(opProtect)
	}
	defer t.leave()
	if size == 0 {
		return f()
	}
	if rangeWraps(address, size) {
		return t.newError(opProtect, address, size, fault{code: KERN_INVALID_ARGUMENT, address: address}, errWraps)
	}
	start, end := pageRange(address, size)
	if t.isWritable(start, end) {
		return f()
	}
	var s scope
	if t.pid != os.Getpid() {
		if s.stop, err = t.openShared(context.Background()); err != nil {
			return t.newError(opProtect, address, size, fault{}, err)
		}
		defer s.leave()
	}
	pages := []procmaps.Span{{Start: start, End: end}}
	if _, err := t.makeWritable(s, pages); err != nil {
		return t.callError(opProtect, address, size, err)
	}
	defer func() { err = both(err, t.callError(opProtect, address, size, t.restorePages(s, pages))) }()
	return f()
}

// isWritable reports whether a range is writable without our doing.
func (p *process) isWritable(start, end uint64) bool {
	if p.pid == os.Getpid() {
		p.own.Lock()
		defer p.own.Unlock()
	}
	found, err := p.checkRange(start, end-start, procmaps.Write, nil)
	p.stops.Lock()
	defer p.stops.Unlock()
	return err == nil && found.code == KERN_SUCCESS && len(p.stops.writable) == 0
}

// writableSpan is memory that was made writable, with the protection that it had.
type writableSpan struct {
	procmaps.Span
	users int
}

// within calls f with what is noted from start to end, cut to that. The lock must be
// held.
func (l *stops) within(start, end uint64, f func(*writableSpan)) {
	for _, at := range [2]uint64{start, end} {
		for i, s := range l.writable {
			if s.Start < at && at < s.End {
				l.writable[i].End, s.Start = at, at
				l.writable = append(l.writable, s)
			}
		}
	}
	for i := range l.writable {
		if s := &l.writable[i]; start <= s.Start && s.End <= end {
			f(s)
		}
	}
}

// forget removes what nobody wants writable from start to end, and is not any more.
func (p *process) forget(start, end uint64) {
	p.stops.Lock()
	defer p.stops.Unlock()
	p.stops.writable = slices.DeleteFunc(p.stops.writable, func(s writableSpan) bool {
		return s.users == 0 && start <= s.Start && s.End <= end
	})
}

// use notes that what was made writable from start to end has more users, or fewer,
// and returns what has none.
func (p *process) use(start, end uint64, more int) (unused []procmaps.Span) {
	p.stops.Lock()
	defer p.stops.Unlock()
	p.stops.within(start, end, func(s *writableSpan) {
		if s.users += more; s.users == 0 {
			unused = append(unused, s.Span)
		}
	})
	return unused
}

// makeWritable makes the pages of some ranges writable until restorePages is called as
// often: all of them, or none, and then it returns the one that could not be.
func (p *process) makeWritable(s scope, ranges []procmaps.Span) (done int, err error) {
	err = p.calling(s, func(c systemCalls) error {
		for ; done < len(ranges); done++ {
			if err := p.makeRangeWritable(c, ranges[done].Start, ranges[done].End); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		err = both(err, p.restorePages(s, ranges[:done]))
	}
	return done, err
}

func (p *process) makeRangeWritable(c systemCalls, start, end uint64) error {
	spans, err := p.spansOf(start, end)
	if err != nil {
		return err
	}
	if code, at, err := p.mayProtect(spans, false, VM_PROT_WRITE|VM_PROT_COPY); code != KERN_SUCCESS {
		return p.newError(opProtect, start, end-start, fault{code: code, address: at}, err)
	}
	// Noted first: what is writable by our doing is in the list.
	p.use(start, end, 1)
	p.stops.Lock()
	for _, span := range spans {
		if span.Perms&procmaps.Write == 0 {
			p.stops.writable = append(p.stops.writable, writableSpan{span, 1})
		}
	}
	p.stops.Unlock()
	err = protectSpans(c, spans, func(perms procmaps.Perms) procmaps.Perms { return perms | procmaps.Write })
	if err != nil {
		p.use(start, end, -1)
		p.forget(start, end)
	}
	return err
}

// restorePages gives the pages of some ranges their protection back, but those that
// others want writable and those that the process has changed meanwhile. What can't be
// restored is left to the next that has wanted it writable.
func (p *process) restorePages(s scope, ranges []procmaps.Span) error {
	unused := false
	for _, r := range ranges {
		unused = len(p.use(r.Start, r.End, -1)) > 0 || unused
	}
	if !unused {
		return nil
	}
	restore := func(c systemCalls) error {
		c.Insist()
		for _, r := range ranges {
			for _, span := range p.use(r.Start, r.End, 0) { // which others may want again by now
				if err := p.restore(c, span); err != nil {
					return err
				}
				p.forget(span.Start, span.End)
			}
		}
		return nil
	}
	err := p.calling(s, restore)
	if errors.Is(err, errExpired) && s.stop != nil {
		err = p.calling(scope{}, restore)
	}
	return err
}

// restore gives a span its protection back where it has that and is writable.
func (p *process) restore(c systemCalls, before procmaps.Span) error {
	var changed []procmaps.Span
	err := p.maps.Walk(before.Start, before.End, func(now procmaps.Span) bool {
		if now.Perms == before.Perms|procmaps.Write {
			changed = append(changed, procmaps.Span{Start: max(now.Start, before.Start), End: min(now.End, before.End)})
		}
		return true
	})
	for _, span := range changed {
		if err == nil {
			err = c.Mprotect(span.Start, span.End-span.Start, before.Perms)
		}
	}
	return err
}
