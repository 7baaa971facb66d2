// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/internal/ptrace"
	"golang.org/x/sys/unix"
)

// ThreadID is a thread of a task: its number, and when it began, in ticks of the kernel
// after the boot. The number alone may be another thread's once it has ended.
type ThreadID struct {
	TID   int
	Start uint64
}

// Thread returns the ThreadID of the thread that has a number now. The error is an
// [*Error]: KERN_TERMINATED when the task has no such thread, KERN_INVALID_ARGUMENT when
// it has ended itself.
func (t *Task) Thread(tid int) (id ThreadID, err error) {
	err = t.withThreads(opThreads, func() (err error) {
		id, err = t.thread(tid)
		return err
	})
	return id, err
}

func (p *process) thread(tid int) (ThreadID, error) {
	stat, err := procstatus.ReadStat(p.pid, tid)
	switch {
	case errors.Is(err, unix.ENOENT):
		return ThreadID{}, errNoThread(tid)
	case err != nil:
		return ThreadID{}, err
	case stat.State == 'Z' || stat.State == 'X':
		return ThreadID{}, errNoThread(tid)
	}
	return ThreadID{tid, stat.Start}, nil
}

func errNoThread(tid int) error { return fmt.Errorf("thread %d has ended: %w", tid, unix.ESRCH) }

// Threads lists the threads of the task: task_threads. Nothing is stopped for that, so
// that some may have ended and others may have begun when it returns. The kernel's own
// workers in the task (io_uring, vhost), which run none of its code, are left out. The
// error is an [*Error]: KERN_INVALID_ARGUMENT when the task has ended.
func (t *Task) Threads() (ids []ThreadID, err error) {
	err = t.withThreads(opThreads, func() error {
		tids, err := ptrace.List(t.pid)
		for _, tid := range tids {
			id, err := t.thread(tid)
			if err == nil {
				ids = append(ids, id)
			} else if !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		return err
	})
	return ids, err
}

// SuspendThread stops one thread of the task, while the others run on, until
// [Task.ResumeThread] was called as often: thread_suspend. Calls that stop the whole task
// for a moment, and those that the task makes itself, work as ever; the thread stays where
// it is. Unlike on Mach it is this program that holds the thread: when it ends, or closes
// the Task, the thread goes on.
//
// The error is an [*Error]: KERN_TERMINATED when the thread has ended,
// KERN_INVALID_ARGUMENT when the task has, KERN_NOT_SUPPORTED for a thread of this program
// itself, and that of [Task.Suspend].
func (t *Task) SuspendThread(id ThreadID) error {
	return t.withThread(opThreadSuspend, id, func(s *ptrace.Session) error {
		hold, err := s.Hold(id.TID)
		if err != nil {
			return err
		}
		t.stops.Lock()
		open := t.users.Load() > 0
		if open {
			if t.stops.threads == nil {
				t.stops.threads = map[ThreadID][]*ptrace.Hold{}
			}
			t.stops.threads[id] = append(t.stops.threads[id], hold)
		}
		t.stops.Unlock()
		if !open { // and Close has taken back all others
			hold.Release()
			return ErrClosed
		}
		return nil
	})
}

// ResumeThread takes one [Task.SuspendThread] back: thread_resume. While the whole task is
// suspended the thread goes on with that. The error is an [*Error]: KERN_FAILURE when
// there is none to take back, and those of SuspendThread.
func (t *Task) ResumeThread(id ThreadID) error {
	return t.withThreads(opThreadResume, func() error {
		if t.pid == os.Getpid() {
			return errOwnThread
		}
		t.stops.Lock()
		holds := t.stops.threads[id]
		last := len(holds) - 1
		switch {
		case last > 0:
			t.stops.threads[id] = holds[:last]
		case last == 0:
			delete(t.stops.threads, id)
		}
		t.stops.Unlock()
		if last >= 0 {
			holds[last].Release()
		}
		switch now, err := t.thread(id.TID); {
		case err != nil:
			return err
		case now != id:
			return errNoThread(id.TID)
		case last < 0:
			return errors.New("the thread is not suspended")
		}
		return nil
	})
}

// resumeThreads lets all threads go on that are suspended by themselves.
func (p *process) resumeThreads() {
	p.stops.Lock()
	threads := p.stops.threads
	p.stops.threads = nil
	p.stops.Unlock()
	for _, holds := range threads {
		for _, hold := range holds {
			hold.Release()
		}
	}
}

// dropThreads lets go of threads when the task has run another program, whose thread has
// the number of one.
func (p *process) dropThreads() {
	if errors.Is(p.identity.confirm(), unix.ESRCH) {
		p.resumeThreads()
	}
}

// suspendCount returns how often a thread is suspended by itself.
func (p *process) suspendCount(id ThreadID) int {
	p.stops.Lock()
	defer p.stops.Unlock()
	return len(p.stops.threads[id])
}

// ThreadState returns the registers of a thread: thread_get_state. The thread is stopped
// for it, for a moment and alone. The error is that of [Task.SuspendThread], or
// KERN_FAILURE for a thread of a machine that is not known.
func (t *Task) ThreadState(id ThreadID) (state ThreadState, err error) {
	err = t.withThread(opThreadState, id, func(s *ptrace.Session) (err error) {
		state, err = s.Registers(id.TID)
		return err
	})
	return state, err
}

// SetThreadState sets the registers of a thread, which is stopped for it, for a moment and
// alone: thread_set_state. PC, Numbered and Flags are set; where PC stands in Numbered too,
// PC counts.
//
// A state that was read and is set unchanged puts the thread back to where it was then,
// also into a system call that the stop had interrupted, which is made again; a wait for a
// time begins again if the thread has been elsewhere meanwhile, or ends with EINTR if it had
// been stopped before. Another PC is where the thread goes on, whatever it was doing; no
// system call is made again then.
//
// The error is that of [Task.SuspendThread], or KERN_INVALID_ARGUMENT for registers that
// the thread can't have, as those of another machine. On arm64 it is KERN_FAILURE where the
// thread waits for a time by the very instruction that is to make another system call.
func (t *Task) SetThreadState(id ThreadID, state ThreadState) error {
	return t.withThread(opSetThreadState, id, func(s *ptrace.Session) error { return s.SetRegisters(id.TID, state) })
}

// SetThreadState is [Task.SetThreadState].
func (s *Stopped) SetThreadState(tid int, state ThreadState) error {
	return s.inSession(func() error { return s.stop.session.SetRegisters(tid, state) })
}

// errOwnThread means that a thread is one of this program.
var errOwnThread = errors.New("a program can't stop its own threads")

// withThreads makes a call about threads of the task.
func (t *Task) withThreads(op string, f func() error) error {
	if !t.enter() {
		return t.closedError(op)
	}
	defer t.leave()
	return t.threadError(op, both(f(), t.identity.confirm()))
}

// withThread makes a call while a thread is stopped.
func (t *Task) withThread(op string, id ThreadID, f func(s *ptrace.Session) error) error {
	return t.withThreads(op, func() error {
		if t.pid == os.Getpid() {
			return errOwnThread
		}
		err := t.stopThread(id, f)
		if err != nil {
			t.dropThreads()
		}
		return err
	})
}

// stopThread runs f while a thread is stopped: in the stop that the calls of the Task
// share, or else in one of the thread alone.
func (p *process) stopThread(id ThreadID, f func(s *ptrace.Session) error) error {
	ctx, cancel, err := p.withDeadline(context.Background())
	if err != nil {
		return err
	}
	defer cancel()
	if err := p.beginOpening(ctx); err != nil {
		return err
	}
	var session *ptrace.Session
	at := p.join()
	if at == nil {
		session, err = ptrace.StopThread(ctx, p.pid, id.TID)
	}
	p.endOpening()
	if err != nil {
		return err
	}
	if at == nil {
		defer session.Resume()
	} else {
		stop := at.hold(ctx, cancel)
		defer stop.leave()
		call := scope{stop: stop}
		if err := call.begin(true); err != nil {
			return err
		}
		defer call.done(true)
		session = at.session
	}
	if err := p.identity.confirm(); err != nil {
		return err
	}
	switch now, err := p.thread(id.TID); {
	case err != nil:
		return err
	case now != id:
		return errNoThread(id.TID)
	}
	return f(session)
}

// threadError is the error of a call about a thread, nil for nil.
func (p *process) threadError(op string, err error) error {
	var code KernReturn
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errOwnThread):
		code = KERN_NOT_SUPPORTED
	case errors.Is(err, ptrace.ErrRegisters):
		code = KERN_INVALID_ARGUMENT
	case errors.Is(err, unix.ESRCH):
		code = KERN_TERMINATED // unless the task has ended too
	}
	return p.newError(op, 0, 0, fault{code: code}, err)
}
