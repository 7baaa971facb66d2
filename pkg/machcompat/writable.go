package machcompat

import (
	"context"
	"errors"
	"os"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// WithWritable stops the task, makes the pages of a range writable for as long as
// f runs, keeping what else they allow, and then gives them back the protection
// that they had, also when f panics. The memory must be private (VM_PROT_COPY).
// Calls of t in f share the stop. Where ranges overlap, of calls inside f or
// elsewhere, a page stays writable until the last of them has returned.
//
// A task that is stopped for longer than [WithStopTimeout] says, 10 s, goes on
// while f still runs, and is stopped again afterwards.
//
// The error is that of f, or of [Task.Protect] before or after it; both, joined,
// when both fail.
func (t *Task) WithWritable(address, size uint64, f func() error) (err error) {
	if size == 0 {
		return f()
	}
	if !t.enter() {
		return t.closedError(opProtect)
	}
	defer t.leave()
	if rangeWraps(address, size) {
		return t.newError(opProtect, address, size, fault{code: KERN_INVALID_ARGUMENT, address: address}, errWraps)
	}
	start, end := pageRange(address, size)
	if t.isWritable(start, end) {
		return f()
	}
	var s scope
	if t.pid != os.Getpid() {
		if s.stop, err = t.openShared(context.Background(), true); err != nil {
			return t.newError(opProtect, address, size, fault{}, err)
		}
		defer s.leave()
	}
	if err := t.makeWritable(s, start, end); err != nil {
		return t.callError(opProtect, address, size, err)
	}
	defer func() {
		if s.stop != nil && s.hasExpired() != nil {
			s.stop = nil
		}
		err = errors.Join(err, t.callError(opProtect, address, size, t.restorePages(s, start, end)))
	}()
	return f()
}

// unprotect makes a range writable, in a stop, until restore is called. What can't be
// is left to the write to say.
func (p *process) unprotect(s scope, address, size uint64) (restore func() error, err error) {
	if rangeWraps(address, size) {
		return func() error { return nil }, nil
	}
	start, end := pageRange(address, size)
	if p.isWritable(start, end) {
		return func() error { return nil }, nil
	}
	if err := p.makeWritable(s, start, end); err != nil {
		return nil, p.callError(opProtect, address, size, err)
	}
	return func() error { return p.callError(opProtect, address, size, p.restorePages(s, start, end)) }, nil
}

// isWritable reports whether a range is writable without our doing.
func (p *process) isWritable(start, end uint64) bool {
	found, err := p.checkRange(start, end-start, procmaps.Write, nil)
	p.stops.Lock()
	defer p.stops.Unlock()
	return err == nil && found.code == KERN_SUCCESS && len(p.stops.writable) == 0
}

// writablePage is a page that was made writable.
type writablePage struct {
	perms procmaps.Perms // what it was
	users int
}

// makeWritable makes the pages from start to end writable until restorePages is
// called as often.
func (p *process) makeWritable(s scope, start, end uint64) error {
	return p.calling(s, func(c systemCalls) error {
		spans, err := p.spansOf(start, end)
		if err != nil {
			return err
		}
		if code, at, err := p.mayProtect(spans, false, VM_PROT_WRITE|VM_PROT_COPY); code != KERN_SUCCESS {
			return p.newError(opProtect, start, end-start, fault{code: code, address: at}, err)
		}
		if err := protectSpans(c, spans, func(perms procmaps.Perms) procmaps.Perms { return perms | procmaps.Write }); err != nil {
			return err
		}
		p.stops.Lock()
		defer p.stops.Unlock()
		for _, span := range spans {
			for page := span.Start; page < span.End; page += HostPageSize() {
				if known := p.stops.writable[page]; known != nil {
					known.users++
				} else if span.Perms&procmaps.Write == 0 {
					p.stops.writable[page] = &writablePage{span.Perms, 1}
				}
			}
		}
		return nil
	})
}

// restorePages gives the pages from start to end their protection back, but those
// that others want writable and those that the process has changed meanwhile.
func (p *process) restorePages(s scope, start, end uint64) error {
	return p.calling(s, func(c systemCalls) (err error) {
		for _, span := range p.forgetWritable(start, end) {
			var changed []procmaps.Span
			walkErr := p.maps.Walk(span.Start, span.End, func(now procmaps.Span) bool {
				if now.Perms == span.Perms|procmaps.Write {
					changed = append(changed, procmaps.Span{Start: max(now.Start, span.Start), End: min(now.End, span.End)})
				}
				return true
			})
			err = errors.Join(err, walkErr)
			for _, part := range changed {
				err = errors.Join(err, c.Mprotect(part.Start, part.End-part.Start, span.Perms))
			}
		}
		return err
	})
}

// forgetWritable returns the pages from start to end that nobody wants writable any
// more, joined, with the protection that they had.
func (p *process) forgetWritable(start, end uint64) (spans []procmaps.Span) {
	p.stops.Lock()
	defer p.stops.Unlock()
	for page := start; page < end; page += HostPageSize() {
		known := p.stops.writable[page]
		if known == nil {
			continue
		}
		if known.users--; known.users > 0 {
			continue
		}
		delete(p.stops.writable, page)
		if last := len(spans) - 1; last >= 0 && spans[last].End == page && spans[last].Perms == known.perms {
			spans[last].End += HostPageSize()
		} else {
			spans = append(spans, procmaps.Span{Start: page, End: page + HostPageSize(), Perms: known.perms})
		}
	}
	return spans
}
