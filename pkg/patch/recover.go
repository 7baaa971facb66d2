// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vmwrite/vmwrite/pkg/address"
)

// Outcome is what became of a patch that is in a journal.
type Outcome uint8

// The outcomes of [Journal.Recover].
const (
	Kept     Outcome = iota + 1 // it is applied whole, and stays so
	Restored                    // the old bytes are there, by now
	Finished                    // the new bytes are there, by now
	Gone                        // the process has ended or runs another program: the journal was removed
	Failed                      // it is as it was; see Err
)

// String returns "applied", "restored", "finished", "gone" or "failed".
func (o Outcome) String() string {
	switch o {
	case Kept:
		return "applied"
	case Restored:
		return "restored"
	case Finished:
		return "finished"
	case Gone:
		return "gone"
	case Failed:
		return "failed"
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// Recovered is a patch of a process, and what became of it.
type Recovered struct {
	PID     int
	Name    string    // of the patch
	Time    time.Time // when it was applied
	Path    string    // of the file of the journal
	Outcome Outcome
	Err     error
}

// RecoverOptions say what is recovered, and how.
type RecoverOptions struct {
	PID    int  // of this process alone; 0 for all
	Finish bool // to the new bytes, not to the old ones
	Force  bool // though threads may run the code meanwhile, or other bytes stand there
}

// Recover ends what was begun by those who died while they applied or undid a patch: it
// puts the old bytes there, or the new ones, whichever are there now, and gives pages
// their protection back. Each byte must be the old one or the new one. Journals of
// processes that are gone are removed, and never applied to what has their pid now; those
// of another pid namespace are left for a Recover there.
// Processes are opened by open, and closed by what that returns.
//
// Every patch in the journal is returned with what became of it. The error is a
// [*JournalError] that keeps Recover from reading some of the journal; that comes beside
// what could be done.
func (j *Journal) Recover(ctx context.Context, open func(pid int) (Process, func(), error), o RecoverOptions) (all []Recovered, err error) {
	names, err := j.folders()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, name := range names {
		pid, start, boot, ok := parseFolderName(name)
		if !ok || o.PID != 0 && pid != o.PID {
			if !ok {
				errs = append(errs, &JournalError{filepath.Join(j.path, name), fmt.Errorf("%w: no such folder belongs here", ErrDamaged)})
			}
			continue
		}
		of := identity{Boot: boot, PID: pid, Start: start}
		some, err := j.recoverProcess(ctx, of, open, o)
		all = append(all, some...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	return all, errors.Join(errs...)
}

func parseFolderName(name string) (pid int, start uint64, boot string, ok bool) {
	parts := strings.Split(name, ".")
	if len(parts) != 3 {
		return 0, 0, "", false
	}
	pid, pidErr := strconv.Atoi(parts[0])
	start, startErr := strconv.ParseUint(parts[1], 10, 64)
	of := identity{Boot: parts[2], PID: pid, Start: start}
	return pid, start, parts[2], pidErr == nil && startErr == nil && of.folderName() == name
}

func (j *Journal) recoverProcess(ctx context.Context, of identity, open func(pid int) (Process, func(), error), o RecoverOptions) (all []Recovered, err error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	folder, dir, err := j.lock(ctx, of)
	if err != nil {
		return nil, err
	}
	defer j.unlock(folder)
	entries, err := entriesIn(folder, dir)
	if err != nil {
		return nil, err
	}
	now, err := identityOf(of.PID)
	if err != nil && !errors.Is(err, ErrGone) {
		return nil, err
	}
	lives := err == nil && now.Boot == of.Boot && now.Start == of.Start
	var process Process
	for i := len(entries) - 1; i >= 0; i-- { // the last first
		e := entries[i]
		e.folder = folder
		r := Recovered{PID: of.PID, Name: e.Name, Time: e.Time, Path: filepath.Join(dir, e.name())}
		switch {
		case e.Process.Boot == now.Boot && e.Process.Space != now.Space:
			r.Err = errElsewhere
		case !lives || e.Process != now:
			r.Outcome, r.Err = Gone, e.remove()
		case e.state == applied:
			r.Outcome = Kept
		default:
			if process == nil {
				var done func()
				if process, done, r.Err = open(of.PID); r.Err == nil {
					defer done()
				}
			}
			if r.Err == nil {
				r.Outcome, r.Err = e.recover(ctx, process, o)
			}
		}
		if r.Err != nil {
			r.Outcome = Failed
		}
		all = append(all, r)
	}
	return all, nil
}

// recover ends what was begun with one patch.
func (e *entry) recover(ctx context.Context, process Process, o RecoverOptions) (Outcome, error) {
	x := &exchange{process: process, resolver: address.NewResolver(process), record: e.record, to: recovering, force: o.Force, done: e.remove}
	outcome := Restored
	if o.Finish {
		outcome, x.to, x.done = Finished, finishing, func() error { return e.become(applied) }
	}
	if now, err := identityOf(process.PID()); err != nil || now != e.Process { // it may have ended since
		return Failed, errors.Join(ErrGone, err)
	}
	return outcome, x.make(ctx)
}
