// SPDX-License-Identifier: Apache-2.0

// Package ptrace stops all threads of another process for a moment and lets
// them go on as they were: ptrace(2) with PTRACE_SEIZE.
//
// The stopped process is never left worse off. Its threads are seized without
// PTRACE_O_EXITKILL and their stops are looked at without being consumed, so
// when this process dies, by kill -9 too, the kernel lets them go on and
// delivers every signal that was on its way.
//
// It changes nothing in a stopped thread (package inject does), and knows
// nothing of memory or of Mach, and must not learn either.
package ptrace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/poller"
	"golang.org/x/sys/unix"
)

// ErrTimeout means that a thread did not stop in time. It sits in the kernel
// where nothing interrupts it: waiting for a disk, or for the child of a vfork.
var ErrTimeout = errors.New("the thread does not stop")

// ErrBusy means that this program itself keeps the process stopped by another
// session, for longer than the context allows.
var ErrBusy = errors.New("another call of this program keeps the process stopped")

// StopError says which thread could not be stopped. It wraps the errno of
// ptrace(2) (EPERM: no right, or already traced; ESRCH: no such process), or
// [ErrTimeout].
type StopError struct {
	TID int
	Err error
}

// Error names the thread and the reason.
func (e *StopError) Error() string { return fmt.Sprintf("stopping thread %d: %v", e.TID, e.Err) }

// Unwrap returns the reason.
func (e *StopError) Unwrap() error { return e.Err }

// Session is a process all of whose threads are stopped.
type Session struct {
	pid     int
	adopted bool // it is the caller's stop
	threads map[int]*thread
	ended   []int         // threads that had ended when we came to them
	resume  chan struct{} // closed to let the process go on
	done    chan struct{} // closed when it does, but for what an ended tracer leaves to the kernel
	err     error         // why it could not be stopped; set before done is closed
	tracer  int           // our thread that traces, when it ends to let go; else 0
	lost    bool          // we may trace what threads does not list
	closed  bool
	endTurn func()

	requests chan func() // what the tracing thread is asked to do
}

// thread is a thread that this session has seized.
type thread struct {
	stopped bool
	signal  unix.Signal // what the stop holds back; delivered when it goes on
}

// Stop stops every thread of the process pid, those too that are created
// meanwhile, and returns when all have stopped. The kernel's own worker threads
// in the process (io_uring, vhost) run none of its code and are left alone. While
// another session of this program is on the process, Stop waits for that to end. A
// process that shares the memory without being one of the threads (CLONE_VM
// without CLONE_THREAD, or the child of a vfork) is not stopped. On an error all
// threads go on.
//
// The end of ctx ends each wait, with an error that wraps [ErrBusy] or
// [ErrTimeout] and that of ctx. A process that can be stopped without waiting is
// stopped even if ctx has ended before.
//
// A system call that a thread was waiting in goes on, but for the few that
// return EINTR after any stop (epoll_wait(2) and others: see signal(7)).
//
// A wait for the process from elsewhere in this program (os/exec's Cmd.Wait)
// can return early while the process is stopped, because the kernel reports
// the stop to it.
func Stop(ctx context.Context, pid int) (*Session, error) {
	s, err := newSession(ctx, pid)
	if err != nil {
		return nil, err
	}
	s.resume, s.requests = make(chan struct{}), make(chan func())
	stopped := make(chan struct{})
	go s.trace(ctx.Err, func() {
		close(stopped)
		s.serve()
	})
	select {
	case <-stopped:
	case <-s.done:
	}
	if s.err != nil {
		s.awaitEnd()
		return nil, s.err
	}
	return s, nil
}

// While stops the process as [Stop] does, runs f, and lets it go on. It costs less
// than a half of what the same takes by Stop, because f runs on the thread that
// traces, which is mostly that of the caller: no other one must be woken. It does not
// wait for another session on the process, but returns [ErrBusy], and takes
// [ErrTimeout] for a thread that has not stopped after that time. If the process is
// killed meanwhile, its parent can't wait for it before f returns. An error means that
// f was not run.
func While(pid int, timeout time.Duration, f func()) error {
	s, err := newSession(ended, pid)
	if err != nil {
		return err
	}
	end := time.Now().Add(timeout)
	go s.trace(func() error {
		if time.Now().Before(end) {
			return nil
		}
		return context.DeadlineExceeded
	}, f)
	s.awaitEnd()
	return s.err
}

// ended is for who waits for nothing.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

var mainThread = os.Getpid()

// newSession waits for the turn of a session on the process.
func newSession(ctx context.Context, pid int) (*Session, error) {
	if err := poller.Ready(); err != nil {
		return nil, &StopError{TID: pid, Err: err}
	}
	endTurn, err := takeTurn(ctx, pid)
	if err != nil {
		return nil, err
	}
	return &Session{pid: pid, threads: map[int]*thread{}, done: make(chan struct{}), endTurn: endTurn}, nil
}

// Resume lets the process go on and returns when it does. A second call does
// nothing, and neither does the first on what [Adopt] returned.
func (s *Session) Resume() {
	if !s.closed && !s.adopted {
		s.closed = true
		close(s.resume)
		s.awaitEnd()
	}
}

// awaitEnd waits until the process is let go.
func (s *Session) awaitEnd() {
	<-s.done
	for i := 0; i < 1000 && s.tracer != 0 && unix.Tgkill(os.Getpid(), s.tracer, 0) == nil; i++ {
		time.Sleep(time.Millisecond)
	}
	s.endTurn()
}

// trace is the life of a session, on one thread of ours as ptrace(2) wants it. It
// runs f while the process is stopped. A wait for a thread ends with the error that
// expired returns.
func (s *Session) trace(expired func() error, f func()) {
	runtime.LockOSThread()
	if unix.Gettid() == mainThread {
		// The main thread can't be ended, which is the last resort below. While
		// it is locked here, the next goroutine runs on another thread.
		go s.trace(expired, f)
		<-s.done
		runtime.UnlockOSThread()
		return
	}
	if s.err = s.stopAll(expired); s.err == nil {
		f()
	}
	if s.release() {
		runtime.UnlockOSThread()
	} else {
		// This goroutine ends with its thread locked, which ends the thread, and
		// the kernel lets go of everything that an ended thread traced.
		s.tracer = unix.Gettid()
	}
	close(s.done)
}

// serve does what the session is asked for, until it ends or the process is killed:
// as long as we trace what is left of that, its parent can't wait for it.
func (s *Session) serve() {
	look := time.NewTicker(50 * time.Millisecond) // nobody tells
	defer look.Stop()
	for {
		select {
		case request := <-s.requests:
			request()
		case <-s.resume:
			return
		case <-look.C:
			for tid := range s.threads {
				if _, err := unix.PtraceGetEventMsg(tid); err == unix.ESRCH && isDead(s.pid, tid) {
					return
				}
			}
		}
	}
}

// Do runs f on the thread that traces, on which alone ptrace(2) works. The error
// wraps ESRCH when the session has ended, which it does when the process is killed.
func (s *Session) Do(f func()) error {
	if s.adopted {
		f()
		return nil
	}
	done := make(chan struct{})
	select {
	case s.requests <- func() { defer close(done); f() }:
		<-done
		return nil
	case <-s.done:
		return &StopError{TID: s.pid, Err: unix.ESRCH}
	}
}

// release lets all threads go on, mostly in the order in which they were stopped, so
// that none stands still longer than others. It returns false when there may be one that
// was not in a stop that it could end.
func (s *Session) release() (clean bool) {
	clean = !s.lost
	for _, tid := range s.TIDs() {
		t := s.threads[tid]
		if !t.stopped || linux.PtraceDetach(tid, t.signal) != nil {
			clean = false
		}
	}
	return clean
}
