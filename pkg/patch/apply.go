// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vmwrite/vmwrite/internal/inject"
	"github.com/vmwrite/vmwrite/pkg/address"
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

// direction tells which bytes of a record are to be there in the end.
type direction int

const (
	applying direction = iota
	takingBack
	recovering // to the old ones, whichever are there
	finishing  // to the new ones, whichever are there
)

// step is called where a crash of this program would matter most. Tests crash there.
var step = func(string) {}

// exchange replaces the bytes of one side of a record by those of the other.
type exchange struct {
	process  Process
	resolver *address.Resolver
	record   record
	to       direction
	force    bool
	done     func() error // is called when all is done, before any thread goes on
	// starts are where functions begin, by the addresses of changes.
	starts map[uint64]uint64
}

func (p *Plan) exchange(r record, to direction, done func() error) *exchange {
	return &exchange{process: p.process, resolver: p.resolver, record: r, to: to, force: p.options.Force, done: done}
}

// make makes the exchange in one stop in which no thread is in the way. It tries again
// until the end of ctx. Between two tries the process runs for as long as one takes.
func (x *exchange) make(ctx context.Context) error {
	const most = 50 * time.Millisecond
	var last *InTheWayError
	for pause := time.Millisecond; ; pause = min(2*pause, most) {
		start := time.Now()
		err := x.makeOnce(ctx)
		inTheWay, isInTheWay := errors.AsType[*InTheWayError](err)
		switch {
		case isInTheWay:
			last = inTheWay
		case errors.Is(err, inject.ErrNoThread) && !errors.Is(err, ErrNotPutBack): // another stop finds the threads elsewhere
		case err != nil && last != nil && ctx.Err() != nil && !errors.Is(err, ErrNotPutBack):
			x.nameFunctions(last.Obstacles)
			return last // what ended ctx before it was tried again says less
		default:
			return err
		}
		select {
		case <-ctx.Done():
			if isInTheWay {
				x.nameFunctions(last.Obstacles)
			}
			return err
		case <-time.After(max(pause, time.Since(start))):
		}
	}
}

// longestStop bounds how long the process stands still once the writing has begun. It is
// more than any number of changes takes.
const longestStop = time.Minute

func (x *exchange) makeOnce(ctx context.Context) error {
	if err := x.lookAgain(); err != nil {
		return err
	}
	isCode := func(c recordedChange) bool { return c.Code }
	if !x.force && slices.ContainsFunc(x.record.Changes, isCode) {
		// Who waits for the child of a vfork does not stop, and all others would stand
		// still for as long.
		if err := x.alone(); err != nil {
			return err
		}
	}
	// Until the first byte is written the end of ctx ends the stop, and then it can't.
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestStop)
	defer cancel()
	uncancelable := context.AfterFunc(ctx, cancel)
	defer uncancelable()
	return x.process.Stopped(stopCtx, func(s Stopped) error {
		if err := x.markCode(); err != nil {
			return err
		}
		changes, err := x.changes(s)
		if err == nil && !x.force {
			err = x.clear(ctx, s, changes)
		}
		if err == nil && !uncancelable() {
			err = fmt.Errorf("nothing was changed: %w", context.Cause(ctx))
		}
		if err != nil {
			return err
		}
		step("stopped")
		if err := x.write(s, changes); err != nil {
			return err
		}
		step("marked")
		return nil
	})
}

// lookAgain finds the libraries that were loaded since the last look, and where functions
// begin.
func (x *exchange) lookAgain() error {
	if _, err := x.resolver.Recheck(0); err != nil {
		return err
	}
	if _, err := x.resolver.Modules(); err != nil { // which can't be walked later without holding the process up
		return err
	}
	if err := x.markCode(); err != nil {
		return err
	}
	if x.starts == nil && !x.force {
		x.findStarts()
	}
	return nil
}

// markCode marks the changes of what has become code since the places were found: a compiler
// in the process writes it first. What was code stays so.
func (x *exchange) markCode() error {
	if !slices.ContainsFunc(x.record.Changes, func(c recordedChange) bool { return !c.Code }) {
		return nil
	}
	var code []procmaps.Mapping
	for m, err := range x.process.Regions() {
		if err != nil {
			return err
		}
		if m.Perms&procmaps.Execute != 0 {
			code = append(code, m)
		}
	}
	for i := range x.record.Changes {
		c := &x.record.Changes[i]
		if at := firstAbove(code, c.Address); at < len(code) && code[at].Start < c.end() {
			c.Code = true
		}
	}
	return nil
}

// changes returns the changes to be made. Where it is not known which bytes are there, or
// does not matter, it looks at them first, and leaves out what is as it is to be.
func (x *exchange) changes(s Stopped) (changes []change, err error) {
	for _, c := range x.record.Changes {
		new := change{machcompat.Change{Address: c.Address, Old: c.Old, New: c.New, Unprotect: c.Unprotect}, c}
		if x.to == takingBack || x.to == recovering {
			new.Old, new.New = c.New, c.Old
		}
		changes = append(changes, new)
	}
	if x.to == applying || x.to == takingBack && !x.force {
		return changes, nil
	}
	found, err := readAll(s, changes)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	for i := range changes {
		c := &changes[i]
		if stateOf(found[i].Data, c.of.Old, nil, c.of.New) == Foreign && !x.force {
			findings = append(findings, c.mismatch(found[i].Data))
		}
		c.Old = found[i].Data
	}
	if len(findings) > 0 {
		return nil, &CheckError{findings}
	}
	return slices.DeleteFunc(changes, func(c change) bool { return bytes.Equal(c.Old, c.New) }), nil
}

// change is a change that is to be made.
type change struct {
	machcompat.Change
	of recordedChange
}

// mismatch is that other bytes are there than expected.
func (c change) mismatch(found []byte) Finding {
	return Finding{Change: -1, Line: c.of.Line, Address: c.Address, Expected: c.Old, Found: found, Err: machcompat.ErrMismatch}
}

// readAll reads what is at the places of changes.
func readAll(s Stopped, changes []change) ([]machcompat.Segment, error) {
	found := make([]machcompat.Segment, len(changes))
	for i, c := range changes {
		found[i] = machcompat.Segment{Address: c.Address, Data: make([]byte, len(c.New))}
	}
	return found, s.ReadBatch(found)
}

// write writes all changes, or none.
func (x *exchange) write(s Stopped, changes []change) error {
	forth, back := make([]machcompat.Change, len(changes)), make([]machcompat.Change, len(changes))
	for i, c := range changes {
		forth[i] = c.Change
		back[i] = machcompat.Change{Address: c.Address, New: c.Old, Unprotect: c.Unprotect}
	}
	err := s.CompareAndWrite(forth)
	if mismatch, ok := errors.AsType[*machcompat.MismatchError](err); ok {
		all := &CheckError{}
		for _, m := range mismatch.Mismatches {
			all.Findings = append(all.Findings, changes[m.Change].mismatch(m.Found))
		}
		return all
	}
	if e, ok := errors.AsType[*machcompat.Error](err); err != nil && !(ok && e.Partial) {
		return err
	}
	if err == nil {
		step("written")
		err = readBack(s, changes)
	}
	if err == nil {
		err = x.restoreProtection(s)
	}
	if err == nil {
		err = x.done()
	}
	if err == nil {
		return nil
	}
	if backErr := s.CompareAndWrite(back); backErr != nil {
		return fmt.Errorf("%w: %w: %w", err, ErrNotPutBack, backErr)
	}
	return err
}

// readBack returns an error unless all new bytes are there.
func readBack(s Stopped, changes []change) error {
	found, err := readAll(s, changes)
	for i, c := range changes {
		if err == nil && !bytes.Equal(found[i].Data, c.New) {
			err = Finding{Change: -1, Line: c.of.Line, Address: c.Address, Expected: c.New, Found: found[i].Data, Err: errors.New("what was written is not what is there")}
		}
	}
	return err
}

// restoreProtection gives the pages their protection back that whoever died has left
// writable.
func (x *exchange) restoreProtection(s Stopped) error {
	if x.to != recovering && x.to != finishing {
		return nil // CompareAndWrite does so for its own
	}
	for _, pages := range x.record.Pages {
		if pages.Perms&procmaps.Write != 0 {
			continue
		}
		for m, err := range x.process.Regions() {
			if err != nil {
				return err
			}
			start, end := max(m.Start, pages.Start), min(m.End, pages.End)
			if start >= end || m.Perms != pages.Perms|procmaps.Write {
				continue
			}
			if err := s.Protect(start, end-start, false, machcompat.VMProt(pages.Perms)); err != nil {
				return err
			}
		}
	}
	return nil
}
