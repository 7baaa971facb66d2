// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"slices"
	"time"

	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/patch"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// wait waits until there is a process of the name that is watched for, and all places of
// the patch are found in it. A process may end meanwhile, and the next one is waited for.
// What else stands against the patch counts only once it does so for a second: the loader
// may not be done before.
func (j *patchJob) wait() error {
	const interval, patience = 50 * time.Millisecond, time.Second
	target := targetFlags{name: j.watch, prefix: j.prefix}
	told, resolved := false, time.Time{}
	seen, since := 0, time.Time{} // the process that is there, and from when on; zero once it was told of
	for {
		err := j.tryWatched(&target)
		switch {
		case err == nil && j.plan.Check() == nil:
			return nil
		case err == nil && !slices.ContainsFunc(j.plan.Findings, isNotThere):
			if resolved.IsZero() {
				resolved = time.Now()
			}
			if time.Since(resolved) >= patience {
				return nil // and it is refused for what was found
			}
		case err != nil && !isGoneOrNew(err):
			return err
		default:
			resolved = time.Time{}
		}
		switch {
		case j.plan == nil:
			seen = 0
		case seen != j.task.PID():
			seen, since = j.task.PID(), time.Now()
		case !since.IsZero() && time.Since(since) >= patience && len(j.plan.Findings) > 0:
			since = time.Time{}
			j.notef("process %d is there, but not all that the patch needs:", seen)
			for _, line := range j.shorten(j.view().report().findings(j.file)) {
				j.notef("%s", line)
			}
		}
		if !told {
			told = true
			j.notef("waiting for %s; Ctrl-C ends that", procmaps.Printable(j.watch))
		}
		select {
		case <-time.After(interval):
		case <-j.interrupted.first:
			return j.coded(machcompat.KERN_ABORTED, errNothingChanged)
		}
	}
}

// tryWatched looks for the process, and for the places in it.
func (j *patchJob) tryWatched(target *targetFlags) error {
	if j.task != nil && unix.Kill(j.task.PID(), 0) == nil {
		if err := j.resolve(); err == nil {
			return nil
		}
	}
	if j.task != nil {
		j.task.Close()
		j.task, j.resolver, j.plan = nil, nil, nil
	}
	task, err := target.open()
	if err != nil {
		return err
	}
	j.task, j.resolver, j.plan = task, nil, nil
	return j.resolve()
}

// isGoneOrNew reports whether an error is that of a process that is not there, or just
// comes or goes.
func isGoneOrNew(err error) bool {
	e, ok := errors.AsType[*machcompat.Error](err)
	return ok && (errors.Is(err, unix.ESRCH) || e.Code == machcompat.KERN_INVALID_ARGUMENT || e.Code == machcompat.KERN_INVALID_ADDRESS)
}

// isNotThere reports whether a finding is that a place is not there, and may still come.
func isNotThere(f patch.Finding) bool {
	return isUnresolved(f.Err) || errors.Is(f.Err, machcompat.KERN_INVALID_ADDRESS) || errors.Is(f.Err, patch.ErrNotOnce) && f.Address == 0
}

// isUnresolved reports whether an error is that of a name that nothing has.
func isUnresolved(err error) bool {
	_, module := errors.AsType[*address.ModuleError](err)
	_, symbol := errors.AsType[*address.SymbolError](err)
	return module || symbol
}
