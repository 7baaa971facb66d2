// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/vmwrite/vmwrite/internal/inject"
	"github.com/vmwrite/vmwrite/internal/poller"
	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
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
func (s *Stopped) Threads() ([]Thread, error) {
	scope := scope{stop: s.stop}
	if err := scope.begin(true); err != nil {
		return nil, s.process.newError(opSuspend, 0, 0, fault{}, err)
	}
	defer scope.done(true)
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

// stops are the stops of a process. Its lock, which also guards the holds of each
// stop, is never held while anything waits.
type stops struct {
	opening chan struct{} // holds a token while a stop is being opened

	sync.Mutex
	shared   *standstill // that the calls which need a stop join; nil when there is none
	suspends []*stop
	writable []writableSpan
}

// standstill is a process all of whose threads are stopped, for as long as there are
// holds: of each caller whose code runs in it, and of each call that needs it to its
// end, because /proc/PID/mem ignores protection or a thread is not what it was.
type standstill struct {
	process *process
	session *ptrace.Session
	turn    chan struct{} // holds a token while a call works in it
	holds   int
}

// stop is the hold of one caller, until it leaves or its context ends.
type stop struct {
	*standstill
	ctx    context.Context // has a deadline, but for Suspend
	cancel context.CancelFunc
	keep   func() bool // false when ctx has ended the hold
}

// withDeadline returns ctx with a deadline. The error is that of a timer.
func (p *process) withDeadline(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := poller.Ready(); err != nil {
		return ctx, func() {}, &ptrace.StopError{TID: p.pid, Err: err}
	}
	if _, ok := ctx.Deadline(); ok {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.settings.stopTimeout)
	return ctx, cancel, nil
}

// openShared returns a hold until the end of ctx.
func (p *process) openShared(ctx context.Context) (*stop, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errExpired, err)
	}
	ctx, cancel, err := p.withDeadline(ctx)
	if err != nil {
		return nil, err
	}
	at, err := p.open(ctx, true)
	if err != nil {
		cancel()
		return nil, err
	}
	return at.hold(ctx, cancel), nil
}

// openOwn returns a hold for a transfer of the segments, which ends after more time
// than the slowest memory could take: process_vm_writev waits for a page that a thread
// of the process itself may have to bring (userfaultfd(2)).
func (p *process) openOwn(segments []pwrite.Segment) (*stop, error) {
	ctx, cancel, err := p.withDeadline(context.Background())
	if err != nil {
		return nil, err
	}
	defer cancel()
	at, err := p.open(ctx, false)
	if err != nil {
		return nil, err
	}
	const slowest = 10 // nanoseconds for a byte: 100 MB/s
	limit := uint64(max(p.settings.stopTimeout, 0)) + pwrite.Position{Segment: len(segments)}.Moved(segments)*slowest
	return at.hold(context.WithTimeout(context.Background(), time.Duration(min(limit, math.MaxInt64)))), nil
}

// open joins the shared stop, or stops the process, and makes sure that it is
// still the one that was opened: that can't change while it is stopped. The caller
// has a hold afterwards.
func (p *process) open(ctx context.Context, shared bool) (*standstill, error) {
	if err := p.beginOpening(ctx); err != nil {
		return nil, err
	}
	defer p.endOpening()
	if at := p.join(); at != nil {
		return at, nil
	}
	session, err := ptrace.Stop(ctx, p.pid)
	if err != nil {
		return nil, err
	}
	if err := p.identity.confirm(); err != nil {
		session.Resume()
		return nil, err
	}
	at := &standstill{process: p, session: session, turn: make(chan struct{}, 1), holds: 1}
	if shared {
		p.stops.Lock()
		p.stops.shared = at
		p.stops.Unlock()
	}
	return at, nil
}

func (p *process) beginOpening(ctx context.Context) error {
	if p.tryOpening() { // however little time was given
		return nil
	}
	select {
	case p.stops.opening <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &ptrace.StopError{TID: p.pid, Err: fmt.Errorf("%w: %w", ptrace.ErrBusy, ctx.Err())}
	}
}

func (p *process) tryOpening() bool {
	select {
	case p.stops.opening <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p *process) endOpening() { <-p.stops.opening }

// join joins the shared stop; nil if there is none.
func (p *process) join() *standstill {
	p.stops.Lock()
	defer p.stops.Unlock()
	at := p.stops.shared
	if at != nil {
		at.holds++
	}
	return at
}

// attemptStopped makes a short write through a file in a stop for it alone. It works
// on the thread that traces, so that nobody waits for another thread of ours, which
// takes longer than all the rest. It returns false for a long write, or where it would
// have to wait for another stop or to share one.
func (p *process) attemptStopped(plan writePlan, segments []pwrite.Segment) (r result, made bool) {
	const short = 64 << 10
	if (pwrite.Position{Segment: len(segments)}).Moved(segments) > short {
		return r, false
	}
	copies, err := copied(segments)
	if err != nil || !p.tryOpening() {
		return r, false
	}
	defer p.endOpening()
	if at := p.join(); at != nil {
		at.release()
		return r, false
	}
	err = ptrace.While(p.pid, p.settings.stopTimeout, func() {
		if r.err = p.identity.confirm(); r.err == nil {
			own := &stop{standstill: &standstill{process: p}, ctx: context.Background()}
			r = p.attempt(plan, scope{stop: own, alone: true}, copies)
		}
	})
	if err != nil {
		r.err = err
	}
	return r, !errors.Is(err, ptrace.ErrBusy)
}

// copied copies segments, whose bytes may lie on the stack of this goroutine, which
// moves, for another one. The error is that of bytes which can't be read.
func copied(segments []pwrite.Segment) (copies []pwrite.Segment, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = pwrite.ErrLocalFault
		}
	}()
	copies = make([]pwrite.Segment, len(segments))
	for i, segment := range segments {
		copies[i] = pwrite.Segment{Address: segment.Address, Data: append([]byte(nil), segment.Data...)}
	}
	return copies, nil
}

// hold makes the caller's hold one that ends with ctx.
func (at *standstill) hold(ctx context.Context, cancel context.CancelFunc) *stop {
	return &stop{at, ctx, cancel, context.AfterFunc(ctx, at.release)}
}

// leave ends a hold.
func (s *stop) leave() {
	if s.keep() {
		s.release()
	}
	s.cancel()
}

// release takes one hold off; the process goes on when it was the last.
func (at *standstill) release() {
	l := &at.process.stops
	l.Lock()
	at.holds--
	last := at.holds == 0
	if last && l.shared == at {
		l.shared = nil
	}
	l.Unlock()
	if last {
		at.session.Resume()
	}
}

// hasExpired returns an error when the hold has ended.
func (s *stop) hasExpired() error {
	if err := s.ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", errExpired, err)
	}
	return nil
}

// scope is the stop that a call is made in; none if it is zero.
type scope struct {
	*stop
	alone bool // the caller is the one that works in the stop
}

// begin begins a call that works in the stop, which may need it to its end. One such
// call is made at a time.
func (s scope) begin(toEnd bool) error {
	if !s.process.enter() {
		return ErrClosed
	}
	if s.alone {
		return nil // within a call that began it
	}
	select {
	case s.turn <- struct{}{}:
	case <-s.ctx.Done():
		s.process.leave()
		return s.hasExpired()
	}
	s.process.stops.Lock()
	err := s.hasExpired()
	if toEnd && err == nil {
		s.holds++
	}
	s.process.stops.Unlock()
	if err != nil {
		s.done(false)
	}
	return err
}

// done ends a call.
func (s scope) done(toEnd bool) {
	if !s.alone {
		<-s.turn
		if toEnd {
			s.release()
		}
	}
	s.process.leave()
}

// inject has the process make system calls. It must be called between begin, to
// its end, and done.
func (s *stop) inject(f func(systemCalls) error) error {
	p := s.process
	ctx, cancel, err := p.withDeadline(s.ctx) // that of Suspend has none
	if err != nil {
		return err
	}
	defer cancel()
	if _, err := p.rawMemory(); err != nil { // else it would seem to hold nothing
		return err
	}
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
