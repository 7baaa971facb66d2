// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"context"
	"errors"

	"github.com/vmwrite/vmwrite/internal/ptrace"
)

// Stopped is a task all of whose threads are stopped: see [Task.Stopped]. Its
// methods are like those of [Task], and work in that one stop, one at a time. After
// its end they fail with KERN_ABORTED.
type Stopped struct {
	process *process
	stop    *stop
}

// Thread is a stopped thread of a task: its id TID (an int), and the addresses PC, of
// the instruction that comes next, and SP, of its stack (both uint64).
type Thread = ptrace.Thread

// Stopped stops all threads of the task, runs f, and lets them go on as they were,
// also when f panics. The target can run another program neither before f nor in
// it, so what f reads, compares and writes belongs together.
//
// ctx bounds all of it: how long the threads have to stop, each call that the task
// makes itself, and f. When it is done the task goes on and later calls of s fail
// with KERN_ABORTED, as Stopped does; so a task that must itself bring a page
// that f waits for (userfaultfd(2)) is not stopped for ever. A ctx without a
// deadline gets that of [WithStopTimeout], 10 s. To hold a task for longer see
// [Task.Suspend].
//
// Calls of t that need a stop, from f or from elsewhere, share this one, and keep
// the task stopped until they end; so goroutines whose stops overlap without a gap
// leave it no time. Those of another Task of the same process wait until this one
// has ended.
//
// The error is that of f, or an [*Error]: KERN_INVALID_ARGUMENT when the task has
// ended, KERN_FAILURE when it can't be stopped (traced by another, or a thread
// that does not stop in time), KERN_NOT_SUPPORTED when a sandbox refuses ptrace.
// A process that shares the target's memory without being one of its threads
// (CLONE_VM, vfork) is not stopped.
func (t *Task) Stopped(ctx context.Context, f func(s *Stopped) error) error {
	if !t.enter() {
		return t.closedError(opSuspend)
	}
	defer t.leave()
	s, err := t.openShared(ctx)
	if err != nil {
		return t.newError(opSuspend, 0, 0, fault{}, err)
	}
	return s.run(f)
}

// run runs f in the stop, and leaves it.
func (s *stop) run(f func(*Stopped) error) error {
	defer s.leave()
	if err := f(&Stopped{s.process, s}); err != nil {
		return err
	}
	if err := s.hasExpired(); err != nil {
		return s.process.newError(opSuspend, 0, 0, fault{}, err)
	}
	return nil
}

// StoppedByCaller runs f as [Task.Stopped] does, for a caller that traces the task
// itself, such as a debugger, and has all its threads stopped. It must be called
// on the thread that traces (see runtime.LockOSThread), and f must stay on it. No
// thread goes on afterwards. A call that the task must make itself (Protect,
// Allocate, Deallocate, and CompareAndWrite for a Change with Unprotect) runs one of
// its threads for a moment, whose registers and signal mask are what they were
// afterwards; no stop is left to be waited for.
// Those calls must be methods of s: those of t would stop the task themselves.
//
// The error is that of f, or KERN_FAILURE when a thread is not stopped or another
// thread traces it.
func (t *Task) StoppedByCaller(ctx context.Context, f func(s *Stopped) error) error {
	if !t.enter() {
		return t.closedError(opSuspend)
	}
	defer t.leave()
	ctx, cancel, err := t.withDeadline(ctx)
	var session *ptrace.Session
	if err == nil {
		session, err = ptrace.Adopt(t.pid)
	}
	if err == nil {
		err = t.identity.confirm()
	}
	if err != nil {
		cancel()
		return t.newError(opSuspend, 0, 0, fault{}, err)
	}
	s := (&standstill{process: t.process, session: session, turn: make(chan struct{}, 1), holds: 1}).hold(ctx, cancel)
	return s.run(f)
}

// Threads returns the threads of the task and where each stands.
func (s *Stopped) Threads() (threads []Thread, err error) {
	err = s.inSession(func() (err error) {
		threads, err = s.stop.session.Threads()
		return err
	})
	return threads, err
}

// PID is [Task.PID].
func (s *Stopped) PID() int { return s.process.pid }

// PointerSize is [Task.PointerSize].
func (s *Stopped) PointerSize() int { return s.process.sizeOfPointer() }

// Write is [Task.Write].
func (s *Stopped) Write(address uint64, data []byte) error {
	return s.WriteBatch([]Segment{{Address: address, Data: data}})
}

// WriteBatch is [Task.WriteBatch] of an [Atomic] task.
func (s *Stopped) WriteBatch(segments []Segment) error {
	return s.process.write(scope{stop: s.stop}, segments, true)
}

// Read fills p with the bytes at address, up to the first that can't be read: see
// [Task.ReadBatch].
func (s *Stopped) Read(address uint64, p []byte) error {
	return s.ReadBatch([]Segment{{Address: address, Data: p}})
}

// ReadBatch is [Task.ReadBatch].
func (s *Stopped) ReadBatch(segments []Segment) error {
	return s.process.readBatch(scope{stop: s.stop}, segments)
}

// Protect is [Task.Protect].
func (s *Stopped) Protect(address, size uint64, setMaximum bool, prot VMProt) error {
	return s.process.protect(scope{stop: s.stop}, address, size, setMaximum, prot)
}

// Allocate is [Task.Allocate].
func (s *Stopped) Allocate(address, size uint64, flags int) (uint64, error) {
	return s.process.allocate(scope{stop: s.stop}, address, size, flags)
}

// Deallocate is [Task.Deallocate].
func (s *Stopped) Deallocate(address, size uint64) error {
	return s.process.deallocate(scope{stop: s.stop}, address, size)
}

// Suspend stops all threads of the task until [Task.Resume] was called as often:
// Mach's task_suspend. Unlike there the task belongs to this program meanwhile:
// it can have no other tracer, and when this program ends, or closes the Task,
// the kernel lets the task go on. The error is that of [Task.Stopped].
func (t *Task) Suspend() error { return t.SuspendContext(context.Background()) }

// SuspendContext is Suspend, which ctx ends while the threads have not stopped.
func (t *Task) SuspendContext(ctx context.Context) error {
	if !t.enter() {
		return t.closedError(opSuspend)
	}
	defer t.leave()
	ctx, cancel, err := t.withDeadline(ctx)
	defer cancel()
	var at *standstill
	if err == nil {
		at, err = t.open(ctx, true)
	}
	if err == nil {
		if err = t.identity.confirm(); err != nil { // it may have been killed
			at.release()
		}
	}
	if err != nil {
		return t.newError(opSuspend, 0, 0, fault{}, err)
	}
	t.stops.Lock()
	open := t.users.Load() > 0
	if open {
		t.stops.suspends = append(t.stops.suspends, at.hold(context.WithCancel(context.Background())))
	}
	t.stops.Unlock()
	if !open { // and Close has taken back all others
		at.release()
		return t.closedError(opSuspend)
	}
	return nil
}

// Resume takes one [Task.Suspend] back: Mach's task_resume. The error is an
// [*Error] with KERN_FAILURE when there is none to take back.
func (t *Task) Resume() error {
	if !t.enter() {
		return t.closedError(opResume)
	}
	defer t.leave()
	if !t.resume() {
		return &Error{Op: opResume, PID: t.pid, Code: KERN_FAILURE, Err: errors.New("the task is not suspended")}
	}
	return nil
}

func (p *process) resume() bool {
	p.stops.Lock()
	last := len(p.stops.suspends) - 1
	if last < 0 {
		p.stops.Unlock()
		return false
	}
	s := p.stops.suspends[last]
	p.stops.suspends = p.stops.suspends[:last]
	p.stops.Unlock()
	s.leave()
	return true
}

// SuspendCount returns how many calls of [Task.Suspend] are without their
// [Task.Resume]: suspend_count of task_info. It never waits.
func (t *Task) SuspendCount() int {
	if t.PID() == 0 {
		return 0
	}
	t.stops.Lock()
	defer t.stops.Unlock()
	return len(t.stops.suspends)
}
