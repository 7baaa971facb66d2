package machcompat

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

const (
	opSuspend = "task_suspend"
	opResume  = "task_resume"
)

var errNotSuspended = errors.New("the task is not suspended")

// suspension is the stop of a task, which those that need it share.
type suspension struct {
	sync.Mutex
	count   atomic.Int32 // calls of Suspend without their Resume; changed under the lock
	session *ptrace.Session
}

// Suspend stops all threads of the task until [Task.Resume] was called as often:
// Mach's task_suspend. Unlike there the task belongs to this program meanwhile:
// it can have no other tracer, and when this program ends, or closes the Task,
// the kernel lets the task go on.
//
// The error is an [*Error] with KERN_INVALID_ARGUMENT when the task has ended,
// KERN_FAILURE when it can't be stopped (traced by another, or a thread that
// does not stop in time), KERN_NOT_SUPPORTED when a sandbox refuses ptrace.
func (t *Task) Suspend() error {
	t.open.RLock()
	defer t.open.RUnlock()
	if t.closed {
		return t.closedError(opSuspend)
	}
	s := &t.suspended
	s.Lock()
	defer s.Unlock()
	if err := t.maps.Alive(); err != nil {
		return t.newError(opSuspend, 0, 0, fault{}, err)
	}
	if s.session == nil {
		session, err := t.stopNow()
		if err != nil {
			return t.newError(opSuspend, 0, 0, fault{}, err)
		}
		s.session = session
	}
	s.count.Add(1)
	return nil
}

// Resume takes one [Task.Suspend] back: Mach's task_resume. The error is an
// [*Error] with KERN_FAILURE when there is none to take back.
func (t *Task) Resume() error {
	t.open.RLock()
	defer t.open.RUnlock()
	if t.closed {
		return t.closedError(opResume)
	}
	s := &t.suspended
	s.Lock()
	defer s.Unlock()
	if s.count.Load() == 0 {
		return &Error{Op: opResume, PID: t.pid, Code: KERN_FAILURE, Err: errNotSuspended}
	}
	if s.count.Add(-1) == 0 {
		s.end()
	}
	return nil
}

// SuspendCount returns how many calls of [Task.Suspend] are without their
// [Task.Resume]: suspend_count of task_info. It never waits.
func (t *Task) SuspendCount() int { return int(t.suspended.count.Load()) }

// end lets the task go on.
func (s *suspension) end() {
	if s.session != nil {
		s.session.Resume()
		s.session = nil
	}
	s.count.Store(0)
}

// stop stops the task, unless it is suspended, until release is called.
func (t *Task) stop() (session *ptrace.Session, release func(), err error) {
	t.suspended.Lock()
	if t.suspended.session != nil {
		return t.suspended.session, t.suspended.Unlock, nil
	}
	t.suspended.Unlock()
	session, err = t.stopNow()
	if err != nil {
		return nil, nil, err
	}
	return session, session.Resume, nil
}

func (t *Task) stopNow() (*ptrace.Session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), t.settings.stopTimeout)
	defer cancel()
	return ptrace.Stop(ctx, t.pid)
}

// boundStop makes sure that a write through process_vm_writev does not keep the
// target stopped for ever: that call waits for a page that a thread of the
// target itself may have to bring (userfaultfd(2)). When the write takes longer
// than the stop may, and than the slowest memory could, the target goes on; the
// kernel checks the protection during the write all the same. lapsed tells that
// this happened.
func (t *Task) boundStop(segments []pwrite.Segment, release func()) (lapsed *atomic.Bool, end func()) {
	const slowest = 10 * time.Nanosecond // for a byte: 100 MB/s
	limit := max(t.settings.stopTimeout, 0) + time.Duration(pwrite.Position{Segment: len(segments)}.Moved(segments))*slowest
	lapsed = new(atomic.Bool)
	once := sync.OnceFunc(release)
	timer := time.AfterFunc(limit, func() {
		lapsed.Store(true)
		once()
	})
	return lapsed, func() {
		timer.Stop()
		once()
	}
}
