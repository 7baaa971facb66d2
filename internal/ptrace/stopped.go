// SPDX-License-Identifier: Apache-2.0

package ptrace

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/vmwrite/vmwrite/internal/linux"
	"golang.org/x/sys/unix"
)

// ErrNotAdopted means that the calling thread does not trace a thread of the
// process, or does not have it stopped.
var ErrNotAdopted = errors.New("this thread of the program does not trace it, or does not have it stopped")

// Adopt returns a session for a caller that traces the process itself and has
// all its threads stopped by stops that it has waited for: a debugger. The
// goroutine must be locked to the thread that traces, there and for all that is
// done with the session. [Session.Resume] lets nothing go on. The error is a
// [StopError] that wraps [ErrNotAdopted] for a thread that is not so stopped.
func Adopt(pid int) (*Session, error) {
	s := &Session{trace: newTrace(pid), adopted: true}
	tids, err := threadsOf(pid)
	if err != nil {
		return nil, err
	}
	for _, tid := range tids {
		switch _, err := unix.PtraceGetEventMsg(tid); {
		case err == nil:
			s.threads[tid] = &thread{stopped: true}
		case !isDead(pid, tid) && !isKernelWorker(pid, tid):
			return nil, &StopError{TID: tid, Err: ErrNotAdopted}
		}
	}
	if len(s.threads) == 0 {
		return nil, &StopError{TID: pid, Err: unix.ESRCH}
	}
	return s, nil
}

// PID returns the process.
func (s *Session) PID() int { return s.pid }

// Adopted reports whether the stop is the caller's own: see [Adopt].
func (s *Session) Adopted() bool { return s.adopted }

// TIDs lists the threads that are stopped, the first thread of the process first.
func (tr *trace) TIDs() []int {
	tids := slices.Sorted(maps.Keys(tr.threads))
	if i := slices.Index(tids, tr.pid); i > 0 {
		copy(tids[1:], tids[:i])
		tids[0] = tr.pid
	}
	return tids
}

// Thread is where a stopped thread stands.
type Thread struct {
	TID    int
	PC, SP uint64 // the instruction that comes next, and the stack
}

// Threads returns where each stopped thread stands, a thread of either word
// size. The error wraps EIO before Linux 5.3.
func (s *Session) Threads() (threads []Thread, err error) {
	doErr := s.Do(func() {
		for _, tid := range s.TIDs() {
			pc, sp, readErr := linux.PtracePosition(tid)
			switch readErr {
			case nil:
				threads = append(threads, Thread{TID: tid, PC: pc, SP: sp})
			case unix.ESRCH: // it was killed
			default:
				err = &StopError{TID: tid, Err: readErr}
				return
			}
		}
	})
	return threads, errors.Join(doErr, err)
}

// AwaitStop waits until a stopped thread that was let run stops again, and returns
// why, or until the end of ctx. The stop is not consumed, and the session holds back a
// signal until it ends. It must be called on the tracing thread.
func (s *Session) AwaitStop(ctx context.Context, tid int) (linux.StopInfo, error) {
	var w waiter
	for {
		stop, err := linux.PtraceStopInfo(tid)
		switch err {
		case nil:
			if t := s.threads[tid]; t != nil {
				if t.signal = 0; stop.IsSignal() {
					t.signal = unix.Signal(stop.Signal)
				}
			}
			return stop, nil
		case unix.EINVAL: // stopped by job control, without PTRACE_SEIZE
			return linux.StopInfo{Code: unix.PTRACE_EVENT_STOP << 8}, nil
		}
		told, peekErr := linux.PeekChild(tid)
		switch {
		case err != unix.ESRCH:
			return stop, &StopError{TID: tid, Err: err}
		case peekErr != nil, told.Ended(), w.long() && isDead(s.pid, tid):
			return stop, &StopError{TID: tid, Err: unix.ESRCH}
		case w.long() && ctx.Err() != nil: // else a stop in the next moment would be missed
			return stop, timeout(ctx.Err(), tid, ErrTimeout)
		}
		w.wait()
	}
}
