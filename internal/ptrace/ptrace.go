// SPDX-License-Identifier: Apache-2.0

// Package ptrace stops all threads of another process for a moment, or single ones, and
// lets them go on as they were: ptrace(2) with PTRACE_SEIZE.
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
	"maps"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
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

// Session is a stop of a process: of all its threads ([Stop]), or of one ([StopThread]).
type Session struct {
	*trace
	one     *thread // that is stopped; nil for all
	adopted bool    // it is the caller's stop
	closed  atomic.Bool
	endTurn func()
}

// trace is this program's tracing of a process, by one thread of ours, on which alone
// ptrace(2) works and which alone touches what is said here. A thread of the process is
// stopped while all are or while something holds it, and the trace lasts as long as any
// is. So sessions and [Hold]s can begin and end in any order.
type trace struct {
	pid     int
	threads map[int]*thread
	whole   bool          // all threads are stopped, for a session
	over    bool          // nothing is to be stopped any longer, or the process has been killed
	ended   []int         // threads that had ended when we came to them
	done    chan struct{} // closed when the process goes on, but for what an ended tracer leaves to the kernel
	err     error         // why it could not be stopped; set before done is closed
	tracer  int           // our thread that traces, when it ends to let go; else 0
	lost    bool          // we may trace what threads does not list

	requests chan func() // what the tracing thread is asked to do
}

// thread is a thread that we have seized.
type thread struct {
	stopped bool
	holds   int         // of the sessions that stop it alone, and of Holds
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
	return begin(ctx, pid, func(t *trace) (*thread, error) { return nil, t.stopAll(ctx.Err) })
}

// StopThread stops one thread of the process, while the others run, and is otherwise
// like [Stop]. The error wraps ESRCH when the process has no such thread, or when it is
// one of the kernel's own.
func StopThread(ctx context.Context, pid, tid int) (*Session, error) {
	return begin(ctx, pid, func(t *trace) (*thread, error) { return t.stopOne(tid, ctx.Err) })
}

// begin begins a session by what stops threads, on the trace that a Hold has kept, or on
// a new one.
func begin(ctx context.Context, pid int, stop func(*trace) (*thread, error)) (*Session, error) {
	s, err := newSession(ctx, pid)
	if err != nil {
		return nil, err
	}
	if t := lastingTrace(pid); t != nil {
		over := false
		doErr := t.do(func() {
			if s.one, err = stop(t); err != nil {
				t.settle()
				over = t.over
			}
		})
		if doErr == nil {
			if s.trace = t; err != nil {
				s.end(over)
				return nil, err
			}
			return s, nil
		}
		t.awaitEnd() // its process has ended
	}
	s.trace = newTrace(pid)
	stopped := make(chan struct{})
	go s.run(func(t *trace) (err error) {
		s.one, err = stop(t)
		return err
	}, func() {
		close(stopped)
		s.serve()
	})
	select {
	case <-stopped:
	case <-s.done:
	}
	if s.err != nil {
		s.end(true)
		return nil, s.err
	}
	return s, nil
}

// While stops the process as [Stop] does, runs f, and lets it go on. It costs less
// than a half of what the same takes by Stop, because f runs on the thread that
// traces, which is mostly that of the caller: no other one must be woken. It does not
// wait for another session on the process, but returns [ErrBusy], also where a [Hold]
// keeps a thread stopped, and takes [ErrTimeout] for a thread that has not stopped after
// that time. If the process is killed meanwhile, its parent can't wait for it before f
// returns. An error means that f was not run.
func While(pid int, timeout time.Duration, f func()) error {
	s, err := newSession(ended, pid)
	if err != nil {
		return err
	}
	if lastingTrace(pid) != nil {
		s.endTurn()
		return &StopError{TID: pid, Err: ErrBusy}
	}
	s.trace = newTrace(pid)
	end := time.Now().Add(timeout)
	go s.run(func(t *trace) error {
		return t.stopAll(func() error {
			if time.Now().Before(end) {
				return nil
			}
			return context.DeadlineExceeded
		})
	}, f)
	s.end(true)
	return s.err
}

// ended is for who waits for nothing.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

var mainThread = os.Getpid()

// newSession waits for the turn of a session on the process. It has no trace yet.
func newSession(ctx context.Context, pid int) (*Session, error) {
	if err := poller.Ready(); err != nil {
		return nil, &StopError{TID: pid, Err: err}
	}
	endTurn, err := takeTurn(ctx, pid)
	if err != nil {
		return nil, err
	}
	return &Session{endTurn: endTurn}, nil
}

func newTrace(pid int) *trace {
	return &trace{pid: pid, threads: map[int]*thread{}, done: make(chan struct{}), requests: make(chan func())}
}

// Resume lets go on what the session has stopped and nothing else holds, and returns when
// it does. A second call does nothing, and neither does the first on what [Adopt]
// returned.
func (s *Session) Resume() {
	if s.adopted || !s.closed.CompareAndSwap(false, true) {
		return
	}
	s.end(s.letGo(func() {
		if s.one != nil {
			s.one.holds--
		} else {
			s.whole = false
		}
	}))
}

// letGo lets each thread go on that is to run after change, and reports whether the trace
// is over. Then it has ended, or is about to.
func (tr *trace) letGo(change func()) (over bool) {
	lasts := make(chan struct{})
	request := func() {
		change()
		if tr.settle(); !tr.over {
			close(lasts)
		}
	}
	select {
	case tr.requests <- request:
		select { // one of them: to wake this thread takes as long as the rest
		case <-lasts:
			return false
		case <-tr.done:
		}
	case <-tr.done:
	}
	return true
}

// end ends the session, and waits for the end of its trace if that is over.
func (s *Session) end(over bool) {
	if over {
		s.awaitEnd()
	}
	s.endTurn()
}

// Hold keeps a thread stopped: see [Session.Hold].
type Hold struct {
	trace  *trace
	thread *thread
}

// Hold keeps a thread that the session has stopped from going on at its end, until
// [Hold.Release] or the end of this program. A thread can be held more than once. No
// session on the process waits for a Hold to end. The error is a [StopError]: ESRCH for a
// thread that has ended, [ErrNotAdopted] in a stop of the caller's own.
func (s *Session) Hold(tid int) (h *Hold, err error) {
	if s.adopted {
		return nil, &StopError{TID: tid, Err: ErrNotAdopted}
	}
	err = s.Do(func() {
		if t := s.threads[tid]; t != nil {
			t.holds++
			h = &Hold{s.trace, t}
			s.last()
		}
	})
	if err == nil && h == nil {
		err = &StopError{TID: tid, Err: unix.ESRCH}
	}
	return h, err
}

// Release ends the Hold, once. The thread goes on if nothing else holds it, and no
// session has it stopped.
func (h *Hold) Release() {
	if h.trace.letGo(func() { h.thread.holds-- }) {
		h.trace.awaitEnd()
	}
}

// awaitEnd waits until a trace that is over has let go.
func (tr *trace) awaitEnd() {
	<-tr.done
	for i := 0; i < 1000 && tr.tracer != 0 && unix.Tgkill(os.Getpid(), tr.tracer, 0) == nil; i++ {
		time.Sleep(time.Millisecond)
	}
	tr.forget()
}

// run is the life of a trace, on one thread of ours as ptrace(2) wants it. It runs f when
// stop has stopped what is to be stopped.
func (tr *trace) run(stop func(*trace) error, f func()) {
	runtime.LockOSThread()
	if unix.Gettid() == mainThread {
		// The main thread can't be ended, which is the last resort below. While
		// it is locked here, the next goroutine runs on another thread.
		go tr.run(stop, f)
		<-tr.done
		runtime.UnlockOSThread()
		return
	}
	if tr.err = stop(tr); tr.err == nil {
		f()
	}
	if tr.release() {
		runtime.UnlockOSThread()
	} else {
		// This goroutine ends with its thread locked, which ends the thread, and
		// the kernel lets go of everything that an ended thread traced.
		tr.tracer = unix.Gettid()
	}
	close(tr.done)
}

// serve does what it is asked for, until nothing is to be stopped any longer. As long as
// we trace what is left of a process or of a thread, its parent, or a thread that runs
// another program, waits for it.
func (tr *trace) serve() {
	look := time.NewTicker(50 * time.Millisecond) // nobody tells
	defer look.Stop()
	for !tr.over {
		select {
		case request := <-tr.requests:
			request()
		case <-look.C:
			tr.lookForTheDead()
		}
	}
}

// lookForTheDead finds what was killed meanwhile. What ends one of all stopped threads
// ends the others too.
func (tr *trace) lookForTheDead() {
	for tid, one := range tr.threads {
		if tr.whole {
			if _, err := unix.PtraceGetEventMsg(tid); err == unix.ESRCH && isDead(tr.pid, tid) {
				tr.over = true
			}
		} else if gone, err := one.look(tr.pid, tid, true); err == nil && gone {
			delete(tr.threads, tid)
			tr.lost = true
		}
	}
	tr.settle()
}

// settle lets each thread go on that is to run. One that could not be stopped in time does
// when it has stopped, which lookForTheDead finds.
func (tr *trace) settle() {
	if tr.whole {
		return
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(tr.threads)), func(one *thread) bool { return one.holds > 0 }) {
		tr.over = true // and all are released
		return
	}
	for _, tid := range tr.TIDs() {
		if one := tr.threads[tid]; one.holds == 0 && one.stopped && linux.PtraceDetach(tid, one.signal) == nil {
			delete(tr.threads, tid)
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
	if s.closed.Load() {
		return &StopError{TID: s.pid, Err: unix.ESRCH}
	}
	return s.do(f)
}

func (tr *trace) do(f func()) error {
	done := make(chan struct{})
	select {
	case tr.requests <- func() { defer close(done); f() }:
		<-done
		return nil
	case <-tr.done:
		return &StopError{TID: tr.pid, Err: unix.ESRCH}
	}
}

// release lets all threads go on, mostly in the order in which they were stopped, so
// that none stands still longer than others. It returns false when there may be one that
// was not in a stop that it could end.
func (tr *trace) release() (clean bool) {
	clean = !tr.lost
	for _, tid := range tr.TIDs() {
		one := tr.threads[tid]
		if !one.stopped || linux.PtraceDetach(tid, one.signal) != nil {
			clean = false
		}
	}
	return clean
}
