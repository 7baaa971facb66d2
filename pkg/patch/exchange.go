// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"bytes"
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
