// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// Errors of [Plan.Apply] and [Plan.Undo].
var (
	// ErrApplied means that the patch is applied already.
	ErrApplied = errors.New("the patch is applied already")
	// ErrNotApplied means that there is nothing to undo.
	ErrNotApplied = errors.New("the patch is not applied")
	// ErrUnfinished means that somebody died while he applied or undid the patch: Recover.
	ErrUnfinished = errors.New("the patch was left unfinished, and must be recovered first")
	// ErrLater means that a later patch has changed some of the same bytes, and must be
	// undone first.
	ErrLater = errors.New("a later patch lies over it, and must be undone first")
	// ErrNotPutBack means that something failed after the first byte was written, and that
	// what was written is still there: Recover.
	ErrNotPutBack = errors.New("what was changed could not be put back")
	// ErrNoOld means that nobody knows what was there before.
	ErrNoOld = errors.New("there is no journal of it, and the patch does not say which bytes were there")
)

// Apply applies the patch: every change, or none. Before the first byte is written the
// journal has what was there. All threads stand still while the places are compared once
// more, written and read back, and none of them is in the code that is changed, or will
// come back into the middle of it: see [InTheWayError]. Apply tries for that again and
// again until the end of ctx, or 10 s without a deadline.
//
// The error is a [*CheckError], an [*InTheWayError], a [*JournalError], [ErrApplied],
// [ErrUnfinished], or that of machcompat.Stopped.CompareAndWrite, and nothing is changed
// then. If something could not be put back, the error says so and the journal stays, for
// [Journal.Recover].
func (p *Plan) Apply(ctx context.Context) error {
	if err := p.Check(); err != nil {
		return err
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	r, err := p.newRecord()
	if err != nil {
		return err
	}
	if p.options.Journal == nil {
		if err := p.exchange(r, applying, nothing).make(ctx); err != nil {
			return err
		}
		p.entry = &entry{record: r, state: applied}
		p.became(Applied, r)
		return nil
	}
	folder, dir, err := p.options.Journal.lock(ctx, p.identity)
	if err != nil {
		return err
	}
	defer p.options.Journal.unlock(folder)
	e, err := prepare(folder, dir, r)
	if err != nil {
		return err
	}
	step("prepared")
	err = p.exchange(r, applying, func() error { return e.become(applied) }).make(ctx)
	if err != nil {
		if e.state == prepared && !errors.Is(err, ErrNotPutBack) {
			err = errors.Join(err, e.remove())
		}
		return err
	}
	p.entry, p.Journaled = e, true
	p.became(Applied, r)
	return nil
}

func nothing() error { return nil }

// became notes what stands at all places now.
func (p *Plan) became(state State, r record) {
	for i := range p.Places {
		place := &p.Places[i]
		place.State, place.Found = state, place.Change.New
		if state == NotApplied {
			place.Found = r.Changes[i].Old
		}
	}
}

// Undo puts back what was there before the patch was applied, under the same rules. Only
// the bytes that the patch has written are replaced, unless Force is set. A patch over
// which a later one lies can't be undone before that.
//
// The error is [ErrNotApplied], [ErrUnfinished], [ErrLater] with the name of the later
// patch, [ErrNoOld] without a journal where the patch has no whole old bytes, or one of
// [Plan.Apply]. Without a journal a [*CheckError] is also that of a process which is not
// what the patch is for, whatever Force says.
func (p *Plan) Undo(ctx context.Context) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	to := takingBack
	if p.State() == NotApplied {
		to = recovering // somebody else has put the old bytes back
	}
	if !p.Journaled {
		return p.undoUnjournaled(ctx, to)
	}
	if p.entry.state != applied {
		return ErrUnfinished
	}
	folder, dir, err := p.options.Journal.lock(ctx, p.identity)
	if err != nil {
		return err
	}
	defer p.options.Journal.unlock(folder)
	all, err := entriesIn(folder, dir)
	if err != nil {
		return err
	}
	// Another plan may have undone it, and its number may be that of another patch by now.
	at := slices.IndexFunc(all, func(e *entry) bool {
		return e.name() == p.entry.name() && e.Patch == p.entry.Patch && e.Time.Equal(p.entry.Time)
	})
	if at < 0 {
		return ErrNotApplied
	}
	e := all[at]
	e.folder = folder
	if err := e.isLast(all[at+1:]); err != nil {
		return err
	}
	if err := e.become(undoing); err != nil {
		return err
	}
	step("undoing")
	err = p.exchange(e.record, to, e.remove).make(ctx)
	if err != nil {
		if !errors.Is(err, ErrNotPutBack) {
			err = errors.Join(err, e.become(applied))
		}
		return err
	}
	p.became(NotApplied, e.record)
	p.entry, p.Journaled = nil, false
	return nil
}

// undoUnjournaled undoes what this plan has applied without a journal or, if it has not, by
// what the patch itself says.
func (p *Plan) undoUnjournaled(ctx context.Context, to direction) (err error) {
	e := p.entry
	if e == nil {
		e = &entry{}
		if e.record, err = p.recordOfPatch(); err != nil {
			return err
		}
	}
	if j := p.options.Journal; j != nil {
		folder, dir, err := j.lock(ctx, p.identity)
		if err != nil {
			return err
		}
		defer j.unlock(folder)
		all, err := entriesIn(folder, dir)
		if err == nil {
			err = e.isLast(all)
		}
		if err != nil {
			return err
		}
	}
	if err := p.exchange(e.record, to, nothing).make(ctx); err != nil {
		return err
	}
	p.became(NotApplied, e.record)
	p.entry = nil
	return nil
}

// isLast returns an error if a later patch of the same process has changed some of the same
// bytes.
func (e *entry) isLast(later []*entry) error {
	for _, l := range later {
		if l.Process != e.Process {
			continue
		}
		for _, c := range e.Changes {
			for _, d := range l.Changes {
				if c.Address < d.end() && d.Address < c.end() {
					return fmt.Errorf("%w: %q", ErrLater, l.Name)
				}
			}
		}
	}
	return nil
}

// recordOfPatch returns a record of a patch that is applied, by what the patch itself says.
func (p *Plan) recordOfPatch() (r record, err error) {
	against := slices.DeleteFunc(slices.Clone(p.Findings), func(f Finding) bool { return f.Change >= 0 && !errors.Is(f, ErrOverlap) })
	if len(against) > 0 {
		return r, &CheckError{against}
	}
	if state := p.State(); state != Applied && !(p.options.Force && state != Unknown) {
		return r, fmt.Errorf("%w: it is %v", ErrNotApplied, state)
	}
	for _, place := range p.Places {
		c := place.Change
		if len(c.Old) == 0 || slices.ContainsFunc(c.Mask, func(b byte) bool { return b != 0xff }) {
			return r, ErrNoOld
		}
	}
	r, err = p.newRecord()
	for i := range r.Changes {
		r.Changes[i].Old = p.Places[i].Change.Old
	}
	return r, err
}

// withDeadline gives ctx a deadline if it has none.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	const patience = 10 * time.Second
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, patience)
}

// newRecord returns what the journal is to hold.
func (p *Plan) newRecord() (r record, err error) {
	r = record{
		Process: p.identity, Executable: p.Patch.Executable, BuildID: p.buildID,
		Patch: digest(p.Patch), Name: p.Patch.Name, Time: time.Now().UTC(), Forced: p.options.Force,
	}
	for _, place := range p.Places {
		c := place.Change
		r.Changes = append(r.Changes, recordedChange{place.Address, place.Found, c.New, place.Executable, c.Unprotect, c.Line})
	}
	r.Pages, err = p.unprotectedPages()
	return r, err
}

// unprotectedPages returns the mappings whose protection is changed for a moment.
func (p *Plan) unprotectedPages() (pages []recordedPages, err error) {
	var wanted []Place
	for _, place := range p.Places {
		if place.Change.Unprotect {
			wanted = append(wanted, place)
		}
	}
	slices.SortFunc(wanted, func(a, b Place) int { return cmp.Compare(a.Address, b.Address) })
	page := machcompat.HostPageSize()
	for m, err := range p.process.Regions() {
		if err != nil {
			return nil, err
		}
		for len(wanted) > 0 && wanted[0].Address+uint64(len(wanted[0].Change.New)) <= m.Start {
			wanted = wanted[1:]
		}
		for _, place := range wanted {
			end := place.Address + uint64(len(place.Change.New))
			if place.Address >= m.End {
				break
			}
			if m.Perms&procmaps.Write != 0 || end <= m.Start {
				continue
			}
			start, last := max(place.Address&^(page-1), m.Start), min((end+page-1)&^(page-1), m.End)
			if n := len(pages) - 1; n >= 0 && pages[n].End >= start && pages[n].Perms == m.Perms {
				pages[n].End = max(pages[n].End, last)
			} else {
				pages = append(pages, recordedPages{start, last, m.Perms})
			}
		}
	}
	return pages, nil
}
