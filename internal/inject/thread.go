package inject

import (
	"context"
	"fmt"
	"math"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/ptrace"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// thread is a stopped thread that makes system calls for us, and of which
// everything is kept that those change: the registers and the signal mask. All its
// methods must run on the thread that traces it.
type thread struct {
	target Target
	tid    int
	before linux.StopInfo // why it is stopped
	saved  registers
	mask   uint64
	taken  bool  // it must be given back
	lost   error // why it can't be

	frame *restoreFrame // nil when it has none

	filtersRead bool
	shadowStack bool      // known when the filters are
	filters     []*bpf.VM // of seccomp, the last installed first
}

// call makes a system call in the thread.
func (t *thread) call(ctx context.Context, f function, arguments []uint64) (uint64, error) {
	abi := t.saved.abi
	var a [6]uint64
	copy(a[:], arguments)
	for _, argument := range arguments {
		// Cut to a word it would be another address. -1 is so in every width.
		if abi.word == 4 && argument > math.MaxUint32 && argument != math.MaxUint64 {
			return 0, unix.EOVERFLOW
		}
	}
	instruction := abi.instruction
	if t.frame != nil {
		instruction = abi.callAndReturn
	}
	place, err := t.target.findCode(abi, instruction)
	if err != nil {
		return 0, err
	}
	if err := t.confirmAllowed(place+uint64(len(abi.instruction)), abi.numbers[f], a); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := t.take(); err != nil {
		return 0, err
	}
	ctx = t.bound(ctx) // now that it is known whether it has a frame
	r := t.saved
	r.call(place, abi.numbers[f], a)
	if t.frame != nil {
		r.set(abi.stack, t.frame.address)
	}
	if err := r.write(t.tid); err != nil {
		return 0, t.lose(err)
	}
	for range 2 { // the entry of the system call, and its exit
		if err := t.runToSystemCall(ctx); err != nil {
			return 0, fmt.Errorf("%w; it may still make the system call", err)
		}
	}
	if _, err := r.read(t.tid); err != nil {
		return 0, t.lose(err)
	}
	const highestErrno = 4095
	result := r.get(abi.result)
	if errno := -result; errno >= 1 && errno <= highestErrno {
		return 0, unix.Errno(errno)
	}
	if abi.word == 4 {
		result = uint64(uint32(result))
	}
	return result, nil
}

// bound returns what bounds how long the thread may run for us. One that has no
// restore frame must be waited for, whatever time that takes: let go as it is, it
// would run on from the wrong place.
func (t *thread) bound(ctx context.Context) context.Context {
	if t.frame == nil {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// isDispatched reports whether Syscall User Dispatch (prctl(2)), as Wine uses it, would
// make a SIGSYS of a system call, which ends a process that has it blocked.
func (t *thread) isDispatched() bool {
	dispatch, err := linux.PtraceSyscallUserDispatch(t.tid)
	if err != nil || dispatch.Mode == 0 {
		return false // before Linux 6.4 it can't be told
	}
	selector := [1]byte{1} // PR_SYS_DISPATCH_BLOCK, unless the process says otherwise
	return dispatch.Selector == 0 || t.target.Memory.Read(dispatch.Selector, selector[:]) != nil || selector[0] != 0
}

// take keeps signals from the thread until it is given back.
func (t *thread) take() (err error) {
	if t.taken {
		return t.lost
	}
	t.taken = true
	if t.mask, err = linux.PtraceSigmask(t.tid); err != nil {
		return t.lose(err)
	}
	// From here on the frame must be there, which restores the mask.
	if err := t.layFrame(); err != nil {
		return t.lose(err)
	}
	if err := t.setMask(^uint64(0)); err != nil || t.target.Session.Adopted() {
		return err // a debugger's options can't be asked for, to be put back
	}
	// Without it a stop at a system call turns into a SIGTRAP if we are killed.
	if err := unix.PtraceSetOptions(t.tid, unix.PTRACE_O_TRACESYSGOOD); err != nil {
		return t.lose(err)
	}
	return nil
}

func (t *thread) setMask(mask uint64) error {
	if err := linux.PtraceSetSigmask(t.tid, mask); err != nil {
		return t.lose(err)
	}
	return nil
}

// lose notes that the thread can't be given back.
func (t *thread) lose(err error) error {
	stopErr, ok := err.(*ptrace.StopError)
	if !ok {
		stopErr = &ptrace.StopError{TID: t.tid, Err: err}
	}
	t.lost = stopErr
	return stopErr
}

// isSystemCallStop reports whether a stop is at the entry or the exit of a system
// call. Which code that has depends on PTRACE_O_TRACESYSGOOD, which is a debugger's
// to set or not.
func isSystemCallStop(stop linux.StopInfo) bool {
	return stop.Signal == int32(unix.SIGTRAP) && stop.Code&^0x80 == int32(unix.SIGTRAP)
}

// isEventStop reports whether a stop is one of PTRACE_INTERRUPT or of job control.
func isEventStop(stop linux.StopInfo) bool { return stop.Code>>8 == unix.PTRACE_EVENT_STOP }

// runToSystemCall lets the thread run to the next entry or exit of a system call.
func (t *thread) runToSystemCall(ctx context.Context) error {
	return t.runTo(ctx, unix.PtraceSyscall, isSystemCallStop)
}

// runTo lets the thread run until it stops as wanted. SIGSTOP alone can't be
// blocked: one that comes is let through at once, so that the kernel keeps the
// state of job control, which a SIGCONT may change in the next moment. While it is
// traced a thread runs on all the same, and stops for good when it is let go.
func (t *thread) runTo(ctx context.Context, run func(tid, signal int) error, wanted func(linux.StopInfo) bool) error {
	for signal := 0; ; {
		if err := run(t.tid, signal); err != nil {
			return t.lose(err)
		}
		stop, err := t.target.Session.AwaitStop(ctx, t.tid)
		switch {
		case err != nil:
			return t.lose(err)
		case wanted(stop):
			return nil
		case isEventStop(stop):
			signal = 0
		case stop.Signal == int32(unix.SIGSTOP):
			signal = int(unix.SIGSTOP)
		default:
			return t.lose(fmt.Errorf("it got %v instead of making a system call", unix.Signal(stop.Signal)))
		}
	}
}

// giveBack makes the thread what it was.
func (t *thread) giveBack(ctx context.Context) error {
	if !t.taken || t.lost != nil {
		return t.lost
	}
	if err := t.stopAgain(t.bound(ctx)); err != nil {
		return err
	}
	// The mask comes first: as long as the registers are ours, they lead to the
	// frame, which restores both.
	if err := t.setMask(t.mask); err != nil {
		return err
	}
	if err := t.saved.write(t.tid); err != nil {
		return t.lose(err)
	}
	t.sweepFrame()
	return nil
}

// stopAgain has the thread stop where the kernel has signals looked at, because
// only from there does it start an interrupted system call again.
func (t *thread) stopAgain(ctx context.Context) error {
	if isEventStop(t.before) {
		if err := unix.PtraceInterrupt(t.tid); err != nil {
			return t.lose(err)
		}
		if err := t.runTo(ctx, unix.PtraceCont, isEventStop); err != nil {
			return err
		}
	} else if err := t.stopBySignal(ctx); err != nil {
		return err
	}
	if t.target.Session.Adopted() {
		// The debugger has waited for this stop already.
		if _, err := unix.Wait4(t.tid, nil, unix.WNOHANG|unix.WALL, nil); err != nil {
			return t.lose(err)
		}
	}
	return nil
}

// stopBySignal is for a thread that PTRACE_INTERRUPT may not work on, and that a
// debugger expects to be about to take a signal.
func (t *thread) stopBySignal(ctx context.Context) error {
	const harmless = unix.SIGWINCH // if we are killed before it is taken back
	if err := t.setMask(^uint64(1 << (harmless - 1))); err != nil {
		return err
	}
	if err := unix.Tgkill(t.target.Session.PID(), t.tid, harmless); err != nil {
		return t.lose(err)
	}
	err := t.runTo(ctx, unix.PtraceCont, func(stop linux.StopInfo) bool { return stop.Signal == int32(harmless) })
	if err == nil && t.before != (linux.StopInfo{}) {
		err = linux.PtraceSetStopInfo(t.tid, t.before)
	}
	return err
}
