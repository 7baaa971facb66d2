package ptrace

import (
	"errors"

	"github.com/vmwrite/vmwrite/internal/linux"
)

// WayBack is what a borrowed thread needs to become by itself what it was, if
// this process is killed while it has the thread: nobody else could give it its
// registers and its signal mask back.
//
// It is a signal frame, as the kernel lays down before it runs a signal's
// handler, with all that borrowing changes. At every moment the thread would
// either go on as it was, or run into the system call that ends a handler,
// rt_sigreturn (sigreturn(2)), which makes it what the frame says.
type WayBack struct {
	// SignalReturn is the address of one of the ABI's SignalReturn in the process.
	SignalReturn uint64
	// Frame is the address of [FrameSize] bytes that the process may write and
	// does not use, with room below them for a signal's handler. They must be 0
	// or [ABI.IsFrame], and are 0 when the thread has been given back.
	Frame uint64
	// Write writes memory of the process.
	Write func(address uint64, p []byte) error
}

// FrameSize is how many bytes a [WayBack] takes in the process at most.
const FrameSize = 4096

// ErrNoWayBack means that a thread can't have a [WayBack]: of another
// architecture than amd64, with a shadow stack, or with more state than a frame
// holds.
var ErrNoWayBack = errors.New("the thread has no way back by itself")

// SetWayBack gives the thread a way back. It must be called before the first
// Call, all of which must then use an instruction of the ABI's CallAndReturn.
func (b *Borrowed) SetWayBack(way WayBack) (err error) {
	b.session.do(func() { err = b.setWayBack(way) })
	return err
}

func (b *Borrowed) setWayBack(way WayBack) error {
	if b.taken || b.ABI.layFrame == nil {
		return ErrNoWayBack
	}
	if err := b.confirmAllowed(way.SignalReturn, b.ABI.signalReturn, [6]uint64{}); err != nil {
		return err
	}
	if b.shadowStack {
		return ErrNoWayBack
	}
	b.way = &way
	if err := b.take(); err != nil {
		return err
	}
	if b.way == nil {
		return ErrNoWayBack
	}
	return nil
}

// openWayBack lays the frame and makes the registers those of a thread that
// takes the way back as soon as it is let go. What keeps it from that leaves the
// thread without a way back.
func (b *Borrowed) openWayBack() error {
	if b.way == nil {
		return nil
	}
	frame, ok := b.frame()
	if !ok || b.way.Write(b.way.Frame, frame) != nil {
		b.way = nil
		return nil
	}
	b.frameLength = len(frame)
	r := b.saved
	r.set(b.ABI.pc, b.way.SignalReturn)
	r.set(b.ABI.stack, b.way.Frame+8) // behind the address that a handler returns to
	r.set(b.ABI.original, ^uint64(0))
	return r.write(b.tid)
}

func (b *Borrowed) frame() ([]byte, bool) {
	var state [16 << 10]byte
	n, err := linux.PtraceExtendedState(b.tid, state[:])
	if err != nil || n == len(state) {
		return nil, false
	}
	return b.ABI.layFrame(&b.saved, b.mask, *b.way, state[:n])
}

// sweep removes the frame.
func (b *Borrowed) sweep() {
	if b.way != nil {
		_ = b.way.Write(b.way.Frame, make([]byte, b.frameLength))
	}
}

// StackPointers returns the stack pointer of each thread.
func (s *Session) StackPointers() (all []uint64) {
	s.do(func() {
		var r registers
		for tid := range s.threads {
			if known, err := r.read(tid); known && err == nil {
				all = append(all, r.get(r.abi.stack))
			}
		}
	})
	return all
}
