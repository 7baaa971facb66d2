package machcompat

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmwrite/vmwrite/internal/inject"
	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// Stopped is a task all of whose threads are stopped: see [Task.Stopped]. Its
// methods are those of [Task], for one after the other or at the same time, and
// work in that one stop.
type Stopped struct {
	process *process
	stop    *stop
}

// Thread is a stopped thread of a task.
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
// Calls of t that need a stop, from f or from elsewhere, share this one.
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
	s, err := t.openShared(ctx, true)
	if err != nil {
		return t.newError(opSuspend, 0, 0, fault{}, err)
	}
	defer s.leave()
	if err := f(&Stopped{t.process, s}); err != nil {
		return err
	}
	if err := s.hasExpired(); err != nil {
		return t.newError(opSuspend, 0, 0, fault{}, err)
	}
	return nil
}

// StoppedByCaller runs f as [Task.Stopped] does, for a caller that traces the task
// itself, such as a debugger, and has all its threads stopped. It must be called
// on the thread that traces (see runtime.LockOSThread), and f must stay on it. No
// thread goes on afterwards. A call that the task must make itself (Protect,
// Allocate, Deallocate) runs one of its threads for a moment, whose registers and
// signal mask are what they were afterwards; no stop is left to be waited for.
//
// The error is that of f, or KERN_FAILURE when a thread is not stopped or another
// thread traces it.
func (t *Task) StoppedByCaller(ctx context.Context, f func(s *Stopped) error) error {
	if !t.enter() {
		return t.closedError(opSuspend)
	}
	defer t.leave()
	session, err := ptrace.Adopt(t.pid)
	if err == nil {
		err = t.identity.confirm()
	}
	if err != nil {
		return t.newError(opSuspend, 0, 0, fault{}, err)
	}
	ctx, cancel := t.withDeadline(ctx)
	s := &stop{process: t.process, session: session, ctx: ctx, cancel: cancel, turn: make(chan struct{}, 1), users: 1}
	defer s.leave()
	return f(&Stopped{t.process, s})
}

// Threads returns the threads of the task and where each stands.
func (s *Stopped) Threads() ([]Thread, error) {
	scope := scope{stop: s.stop}
	if err := scope.begin(true); err != nil {
		return nil, s.process.newError(opSuspend, 0, 0, fault{}, err)
	}
	defer scope.done()
	threads, err := s.stop.session.Threads()
	if err != nil {
		return nil, s.process.newError(opSuspend, 0, 0, fault{}, err)
	}
	return threads, nil
}

// Write is [Task.Write].
func (s *Stopped) Write(address uint64, data []byte) error {
	return s.WriteBatch([]Segment{{Address: address, Data: data}})
}

// WriteBatch is [Task.WriteBatch] of an [Atomic] task.
func (s *Stopped) WriteBatch(segments []Segment) error {
	return s.process.write(opWrite, scope{stop: s.stop}, segments, true)
}

// Read is [Task.ReadOverwrite].
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

// errExpired means that a stop has come to its end before the call in it.
var errExpired = errors.New("the task could not be kept stopped any longer")

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
	s, err := t.openShared(ctx, false)
	if err == nil {
		if err = t.identity.confirm(); err != nil { // it may have been killed
			s.leave()
		}
	}
	if err != nil {
		return t.newError(opSuspend, 0, 0, fault{}, err)
	}
	t.stops.Lock()
	defer t.stops.Unlock()
	s.kept, s.ctx = true, context.Background()
	t.stops.suspended = s
	t.stops.suspends.Add(1)
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
	suspended := p.stops.suspends.Load() > 0
	if suspended {
		p.stops.suspends.Add(-1)
	}
	s := p.stops.suspended
	p.stops.Unlock()
	if suspended {
		s.leave()
	}
	return suspended
}

// SuspendCount returns how many calls of [Task.Suspend] are without their
// [Task.Resume]: suspend_count of task_info. It never waits.
func (t *Task) SuspendCount() int {
	if t.process == nil {
		return 0
	}
	return int(t.stops.suspends.Load())
}

// stops are the stops of a process. Those in which the caller's code runs, of
// Stopped, WithWritable and Suspend, are shared by the calls that need a stop
// meanwhile. Its lock, which also guards the fields of each stop, is never held
// while anything waits.
type stops struct {
	opening chan struct{} // holds a token while a shared stop is being opened

	sync.Mutex
	shared    *stop // nil when there is none
	suspended *stop // what Suspend has kept
	suspends  atomic.Int32
	writable  map[uint64]*writablePage
}

// stop is a stop of all threads of a process.
type stop struct {
	process *process
	session *ptrace.Session
	turn    chan struct{} // holds a token while a call works in the stop

	ctx    context.Context // ends the stop, and bounds the calls that the process makes
	cancel context.CancelFunc
	users  int  // the stop lasts while there are any
	kept   bool // by Suspend: ctx does not end it
	pinned bool // a call is under way that needs the process stopped to its end
	over   bool // ctx has ended it, or is to do so after that call

	ended atomic.Bool
}

// withDeadline returns ctx with a deadline.
func (p *process) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, p.settings.stopTimeout)
}

// openShared returns the shared stop. If it has to make one, ctx ends that if it is
// bounded.
func (p *process) openShared(ctx context.Context, bounded bool) (*stop, error) {
	ctx, cancel := p.withDeadline(ctx)
	s, made, err := p.open(ctx, true)
	if made && bounded {
		s.endWith(ctx, cancel)
	} else {
		cancel()
	}
	return s, err
}

// openOwn returns the shared stop, or makes one for a transfer of the segments
// alone, which ends after more time than the slowest memory could take:
// process_vm_writev waits for a page that a thread of the process itself may have
// to bring (userfaultfd(2)).
func (p *process) openOwn(segments []pwrite.Segment) (*stop, error) {
	ctx, cancel := p.withDeadline(context.Background())
	defer cancel()
	s, made, err := p.open(ctx, false)
	if made {
		const slowest = 10 // nanoseconds for a byte: 100 MB/s
		limit := uint64(max(p.settings.stopTimeout, 0)) + pwrite.Position{Segment: len(segments)}.Moved(segments)*slowest
		s.endWith(context.WithTimeout(context.Background(), time.Duration(min(limit, math.MaxInt64))))
	}
	return s, err
}

// open joins the shared stop, or stops the process, and makes sure that it is
// still the one that was opened: that can't change while it is stopped.
func (p *process) open(ctx context.Context, shared bool) (s *stop, made bool, err error) {
	select {
	case p.stops.opening <- struct{}{}:
		defer func() { <-p.stops.opening }()
	case <-ctx.Done():
		return nil, false, &ptrace.StopError{TID: p.pid, Err: ptrace.ErrBusy}
	}
	p.stops.Lock()
	if s = p.stops.shared; s != nil {
		s.users++
	}
	p.stops.Unlock()
	if s != nil {
		return s, false, nil
	}
	session, err := ptrace.Stop(ctx, p.pid)
	if err != nil {
		return nil, false, err
	}
	if err := p.identity.confirm(); err != nil {
		session.Resume()
		return nil, false, err
	}
	s = &stop{process: p, session: session, turn: make(chan struct{}, 1), ctx: context.Background(), cancel: func() {}, users: 1}
	if shared {
		p.stops.Lock()
		p.stops.shared = s
		p.stops.Unlock()
	}
	return s, true, nil
}

// endWith makes ctx end the stop.
func (s *stop) endWith(ctx context.Context, cancel context.CancelFunc) {
	s.process.stops.Lock()
	s.ctx, s.cancel = ctx, cancel
	s.process.stops.Unlock()
	context.AfterFunc(ctx, s.expire)
}

// expire ends the stop, but for a call that needs it to its end, because
// /proc/PID/mem ignores protection or a thread of the process is not what it was.
func (s *stop) expire() {
	l := &s.process.stops
	l.Lock()
	s.over = !s.kept
	now := s.over && !s.pinned
	if s.over && l.shared == s {
		l.shared = nil
	}
	l.Unlock()
	if now {
		s.end()
	}
}

// leave ends the stop for one of its users.
func (s *stop) leave() {
	l := &s.process.stops
	l.Lock()
	s.users--
	last := s.users == 0
	if last && l.shared == s {
		l.shared = nil
	}
	l.Unlock()
	if last {
		s.end()
	}
}

// end lets the process go on, once.
func (s *stop) end() {
	if !s.ended.Swap(true) {
		s.cancel()
		s.session.Resume()
	}
}

// scope is the stop that a call is made in; none if it is zero.
type scope struct {
	*stop
	alone bool // the caller is the one that works in the stop
}

// begin begins a call that works in the stop, which may need it to its end. One such
// call is made at a time.
func (s scope) begin(toEnd bool) error {
	ctx, cancel := s.bound()
	defer cancel()
	if !s.alone {
		select {
		case s.turn <- struct{}{}:
		case <-ctx.Done():
			if err := s.hasExpired(); err != nil {
				return err
			}
			return &ptrace.StopError{TID: s.process.pid, Err: ptrace.ErrBusy}
		}
	}
	s.process.stops.Lock()
	s.pinned = toEnd
	s.process.stops.Unlock()
	if err := s.hasExpired(); err != nil {
		s.done()
		return err
	}
	return nil
}

// done ends a call.
func (s scope) done() {
	s.process.stops.Lock()
	s.pinned = false
	over := s.over
	s.process.stops.Unlock()
	if !s.alone {
		<-s.turn
	}
	if over {
		s.end()
	}
}

// bound returns what bounds a call in the stop.
func (s *stop) bound() (context.Context, context.CancelFunc) {
	s.process.stops.Lock()
	ctx := s.ctx
	s.process.stops.Unlock()
	return s.process.withDeadline(ctx)
}

// hasExpired returns an error when the stop has ended before its users.
func (s *stop) hasExpired() error {
	s.process.stops.Lock()
	defer s.process.stops.Unlock()
	if !s.over {
		return nil
	}
	return fmt.Errorf("%w: %w", errExpired, s.ctx.Err())
}

// inject has the process make system calls. It must be called between begin, to
// its end, and done.
func (s *stop) inject(f func(systemCalls) error) error {
	ctx, cancel := s.bound()
	defer cancel()
	p := s.process
	target := inject.Target{Session: s.session, Maps: p.maps, Memory: injectMemory{p}, Known: &p.known}
	return inject.Run(ctx, target, func(c *inject.Caller) error { return f(c) })
}

// injectMemory is the memory of a stopped process, whatever its protection.
type injectMemory struct{ process *process }

func (m injectMemory) Read(address uint64, b []byte) error {
	raw, err := m.process.rawMemory()
	if err == nil {
		_, err = raw.read([]pwrite.Segment{{Address: address, Data: b}})
	}
	return err
}

func (m injectMemory) Write(address uint64, b []byte) error {
	raw, err := m.process.rawMemory()
	if err == nil {
		_, err = raw.write([]pwrite.Segment{{Address: address, Data: b}})
	}
	return err
}
