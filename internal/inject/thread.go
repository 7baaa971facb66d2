// SPDX-License-Identifier: Apache-2.0

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
	taken  bool     // it must be given back
	last   function // that it was made to call
	lost   error    // why it can't be

	vectors []byte        // registers that system calls destroy
	frame   *restoreFrame // nil when it has none

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
	before, made, err := t.prepare(abi.numbers[f], a)
	if err != nil {
		return 0, err
	}
	if err := t.confirmAllowed(made.get(abi.pc), abi.numbers[f], a); err != nil {
		return 0, err
	}
	if abi.original == 0 { // a filter is shown the first argument of the call that is exchanged
		shown := a
		shown[0] = before.get(abi.arguments[0])
		if err := t.confirmAllowed(made.get(abi.pc), abi.numbers[f], shown); err != nil {
			return 0, err
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if t.lost != nil {
		return 0, t.lost
	}
	ctx, t.last = t.bound(ctx), f
	err = t.enter(ctx, &before, &made)
	if err == nil {
		err = t.runToSystemCall(ctx) // the exit
	}
	if err != nil {
		return 0, fmt.Errorf("%w; it may still make the system call", err)
	}
	r := t.saved
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

// prepare returns the registers with which the thread comes to the entry of a system
// call, and those with which that becomes the call to be made: by then the kernel has
// forgotten which call the stop interrupted, and no longer puts another number in the
// place of ours. With a frame the first one is rt_sigreturn, which the thread runs into
// again afterwards. Without, it runs on behind the instruction that made the call.
func (t *thread) prepare(number uint64, arguments [6]uint64) (before, made registers, err error) {
	before, made = t.saved, t.saved
	stack := t.saved.get(t.saved.abi.stack)
	if t.frame != nil {
		stack = t.frame.address + t.saved.abi.stackInFrame
		before.goTo(t.frame.signalReturn, stack)
		made.goTo(t.frame.signalReturn, stack)
	} else {
		place, err := t.target.findCode(made.abi, made.abi.instruction)
		if err != nil {
			return before, made, err
		}
		before.goTo(place, stack)
		before.set(before.abi.number, number)
		made.goTo(place+uint64(len(made.abi.instruction)), stack)
	}
	made.set(made.abi.number, number)
	if made.abi.original != 0 {
		made.set(made.abi.original, number)
	}
	for i, place := range made.abi.arguments {
		made.set(place, arguments[i])
	}
	return before, made, nil
}

// enter brings the thread to the entry of a system call and makes that the call. From
// the first time on signals are kept from it until it is given back.
func (t *thread) enter(ctx context.Context, before, made *registers) error {
	if err := before.write(t.tid); err != nil {
		return t.lose(err)
	}
	if !t.taken {
		t.taken = true
		if err := t.setMask(^uint64(0)); err != nil {
			return err
		}
	}
	if err := t.runToSystemCall(ctx); err != nil {
		return err
	}
	if err := made.write(t.tid); err != nil {
		return t.lose(err)
	}
	if setNumber := made.abi.setNumber; setNumber != nil {
		if err := setNumber(t.tid, made.get(made.abi.number)); err != nil {
			return t.lose(err)
		}
	}
	return nil
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

// begin makes the thread ready to be let run.
func (t *thread) begin() (err error) {
	if t.waits() {
		t.noteWait()
	}
	if t.mask, err = linux.PtraceSigmask(t.tid); err != nil {
		return t.lose(err)
	}
	if vectors := t.saved.abi.vectors; vectors != nil {
		t.vectors = vectors(t.tid)
	}
	// Without it a stop at a system call turns into a SIGTRAP if we are killed. A
	// debugger's options can't be asked for, to be put back.
	if !t.target.Session.Adopted() {
		if err := unix.PtraceSetOptions(t.tid, unix.PTRACE_O_TRACESYSGOOD); err != nil {
			return t.lose(err)
		}
	}
	return nil
}

// noteWait notes the system call in which the thread waits for a time, for when it is
// found where it goes on with that by restart_syscall.
func (t *thread) noteWait() {
	t.target.Known.mutex.Lock()
	defer t.target.Known.mutex.Unlock()
	if t.target.Known.waits == nil {
		t.target.Known.waits = map[int]wait{}
	}
	t.target.Known.waits[t.tid] = wait{t.saved.callNumber(), t.saved.place()}
}

// waitedIn returns the number of the system call that is to begin anew if we are
// killed, because rt_sigreturn makes the kernel forget the rest of a wait.
func (t *thread) waitedIn() uint64 {
	number := t.saved.callNumber()
	t.target.Known.mutex.Lock()
	defer t.target.Known.mutex.Unlock()
	if known, ok := t.target.Known.waits[t.tid]; ok && number == t.saved.abi.restart && known.place == t.saved.place() {
		return known.number
	}
	return number
}

// settle makes the registers tell all that the thread needs to go on, where the kernel
// keeps for itself that a system call which waits for a time is to wait for the rest
// of it: restart_syscall, whose number it puts into the registers when the thread
// goes on. So it is let go on, to the entry of that, and stopped again, which ends the
// wait as the first stop did. It returns false if the thread got a signal instead,
// which it holds back for the session. If we are killed, it waits on by itself, but
// with all signals blocked where the stop is a debugger's.
func (t *thread) settle(ctx context.Context) (settled bool, err error) {
	hidden, adopted := t.saved.abi.hiddenRestart, t.target.Session.Adopted()
	for hidden != nil && hidden(t) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if adopted { // where nobody is told of a signal
			if err := t.setMask(^uint64(0)); err != nil {
				return false, err
			}
		}
		held := false
		err := t.runTo(ctx, unix.PtraceSyscall, func(stop linux.StopInfo) bool {
			held = stop.IsSignal() && !adopted
			return held || stop.IsSystemCall()
		})
		if err != nil || held {
			return false, err
		}
		if err := t.stopAgain(ctx); err != nil {
			return false, err
		}
		if _, err := t.saved.read(t.tid); err != nil {
			return false, t.lose(err)
		}
	}
	return true, nil
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

// runToSystemCall lets the thread run to the next entry or exit of a system call.
func (t *thread) runToSystemCall(ctx context.Context) error {
	return t.runTo(ctx, unix.PtraceSyscall, linux.StopInfo.IsSystemCall)
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
		case stop.IsEvent():
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
	switch {
	case t.lost != nil:
		return t.lost
	case !t.taken:
		t.sweepFrame()
		return nil
	}
	ctx = t.bound(ctx)
	if err := t.interruptAgain(ctx); err != nil {
		return err
	}
	if err := t.stopAgain(ctx); err != nil {
		return err
	}
	if len(t.vectors) > 0 {
		if err := linux.PtraceSetRegisterSet(t.tid, unix.NT_ARM_SVE, t.vectors); err != nil {
			return t.lose(err)
		}
	}
	if err := t.saved.write(t.tid); err != nil {
		return t.lose(err)
	}
	t.sweepFrame()
	return nil
}

// interruptAgain makes the last call, at whose exit the thread is, the one that the stop
// interrupted, which then ends as it did. On x86 the registers say all that.
func (t *thread) interruptAgain(ctx context.Context) error {
	r := t.saved
	if r.abi.interrupted == nil {
		return nil
	}
	errno := r.abi.interrupted(t)
	if errno == 0 {
		return nil
	}
	// The kernel keeps the first argument of the last call for itself: the one before the
	// tracer changed it, or the one after, as in Linux 6.12.117. So that one more call is
	// made, with the argument of the interrupted one; of a length of 0, it does nothing.
	_, err := t.call(ctx, t.last, []uint64{r.get(r.abi.arguments[0]), 0})
	if _, made := err.(unix.Errno); err != nil && !made {
		if t.lost == nil { // it is not allowed; then the interrupted call begins anew, whatever happens meanwhile
			return nil
		}
		return err
	}
	r.set(r.abi.pc, r.get(r.abi.pc)+uint64(len(r.abi.instruction)))
	r.set(r.abi.result, -uint64(errno))
	if err := t.setMask(t.mask); err != nil {
		return err
	}
	if err := r.write(t.tid); err != nil {
		return t.lose(err)
	}
	return nil
}

// stopAgain has the thread stop where the kernel has signals looked at, because
// only from there does it start an interrupted system call again. It has its signal
// mask back then: as long as the registers are ours, they lead to the frame, which
// restores both.
func (t *thread) stopAgain(ctx context.Context) error {
	if t.before.IsEvent() {
		if err := unix.PtraceInterrupt(t.tid); err != nil {
			return t.lose(err)
		}
		if err := t.runTo(ctx, unix.PtraceCont, linux.StopInfo.IsEvent); err != nil {
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
	return t.setMask(t.mask)
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
