// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"time"

	"github.com/vmwrite/vmwrite/internal/ptrace"
)

// ThreadState is the registers of a thread: Machine (an elf.Machine), PC, Again (where it
// goes on if a system call that a stop interrupted is made again, else 0), Numbered (the
// general registers by their DWARF numbers), Flags, Selectors (cs, ss, ds, es, fs and gs of
// x86) and Sequence (the address of its pointer to a restartable sequence, 0 for none). Its
// method AtSystemCall returns them as they are when that system call is about to be made.
type ThreadState = ptrace.Registers

// ThreadState returns the registers of a thread of the task: thread_get_state, whose
// flavor is that of the code that the thread runs. The error is an [*Error] with
// KERN_INVALID_ARGUMENT for a thread that has ended, and KERN_FAILURE for one of a machine
// that is not known.
func (s *Stopped) ThreadState(tid int) (state ThreadState, err error) {
	err = s.inSession(func() (err error) {
		state, err = s.stop.session.Registers(tid)
		return err
	})
	return state, err
}

// RunThread lets one thread run for a moment, while all others stand still, and stops it
// again. Which code it runs, nobody knows: it may make system calls, create threads, which
// are stopped with it, and end the task. It serves to have a thread leave a place.
//
// The error is an [*Error] with KERN_FAILURE when job control keeps the thread stopped, or
// it does not stop again before the end of the stop; with KERN_INVALID_ARGUMENT when it
// has ended or the task has run another program; and KERN_FAILURE in
// [Task.StoppedByCaller].
func (s *Stopped) RunThread(tid int, moment time.Duration) error {
	return s.inSession(func() error {
		err := s.stop.session.RunThread(s.stop.ctx, tid, moment)
		if err == nil {
			err = s.process.identity.confirm()
		}
		return err
	})
}

// inSession makes a call in the stop that is about its threads.
func (s *Stopped) inSession(f func() error) error {
	scope := scope{stop: s.stop}
	err := scope.begin(true)
	if err == nil {
		err = f()
		scope.done(true)
	}
	if err != nil {
		return s.process.newError(opSuspend, 0, 0, fault{}, err)
	}
	return nil
}
