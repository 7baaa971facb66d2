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

// stops are the stops of a process. Its lock, which also guards the holds of each
// stop, is never held while anything waits.
type stops struct {
	opening chan struct{} // holds a token while a stop is being opened

	sync.Mutex
	shared   *standstill // that the calls which need a stop join; nil when there is none
	suspends []*stop
	threads  map[ThreadID][]*ptrace.Hold // that are suspended by themselves
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
		p.dropThreads()
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

// errExpired means that a stop has come to its end before the call in it.
var errExpired = errors.New("the task could not be kept stopped any longer")

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
