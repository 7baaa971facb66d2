// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || 386

package inject

import (
	"bytes"
	"encoding/binary"

	"github.com/vmwrite/vmwrite/internal/linux"
	"golang.org/x/sys/unix"
)

// Where struct rt_sigframe of a 64-bit thread has its parts: the address that
// a handler would return to, and struct ucontext of the uapi header asm/ucontext.h
// with struct sigcontext of asm/sigcontext.h.
const (
	frameFlags          = 8
	frameLink           = 16 // which the kernel does not look at
	frameAlternateFlags = 32 // ss_flags of uc_stack
	frameRegisters      = 48
	framePointerToState = frameRegisters + 23*8
	frameMask           = frameRegisters + 256
	frameHead           = frameState
	frameState          = 512 // behind siginfo_t, which nobody reads; aligned to 64, as XRSTOR wants it

	flagsOfContext = 7 // UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS
	extendedState  = 1 // UC_FP_XSTATE
)

// Marks in the state of the vector registers, of asm/sigcontext.h.
const (
	stateMagic1     = 0x46505853
	stateMagic2     = 0x46505845
	stateSoftware   = 464       // struct _fpx_sw_bytes
	statePresent    = 512       // XSTATE_BV
	oldComponents   = 1<<10 - 1 // all that came before the tiles of AMX
	oldState        = 2696      // and their bytes
	shortestState   = 576
	lengthOfMagic2  = 4
	restartBySystem = 0x200 // ERESTARTSYS of linux/errno.h, and those that follow
)

// The places of registers in the kernel's user_regs_struct, in the order in
// which struct sigcontext has them: r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx,
// rsp, rip, eflags.
var sigcontextOrder = [...]int{9, 8, 7, 6, 3, 2, 1, 0, 14, 13, 4, 5, 12, 10, 11, 19, 16, 18}

const (
	placeCS = 17
	placeSS = 20
)

// layFrame makes the frame of a thread. It returns false when it can't.
func layFrame(t *thread) ([]byte, bool) {
	var all [16 << 10]byte
	n, err := linux.PtraceRegisterSet(t.tid, unix.NT_X86_XSTATE, all[:])
	flags, ok := uint64(flagsOfContext), true
	if err == unix.ENODEV { // a processor without XSAVE
		n, err = linux.PtraceRegisterSet(t.tid, unix.NT_PRFPREG, all[:])
		flags &^= extendedState
	}
	state := all[:n]
	if flags&extendedState != 0 {
		state, ok = signalState(state)
	}
	if err != nil || !ok {
		return nil, false
	}
	frame := make([]byte, frameState, frameSize)
	put := func(at int, value uint64) { binary.NativeEndian.PutUint64(frame[at:], value) }
	put(frameFlags, flags)
	copy(frame[frameLink:], frameMark[:])
	put(frameAlternateFlags, noAlternate)
	r := t.startAgain()
	for i, place := range sigcontextOrder {
		put(frameRegisters+8*i, r.get(place))
	}
	put(frameRegisters+8*len(sigcontextOrder), r.get(placeCS)|r.get(placeSS)<<48)
	put(framePointerToState, t.frame.address+frameState)
	put(frameMask, t.mask)
	frame = append(frame, state...)
	return frame, len(frame) <= frameSize
}

// startAgain returns the registers with which a system call that the stop
// interrupted begins again, as the kernel would have it. One that has waited for
// part of its time waits for the whole of it.
func (t *thread) startAgain() registers {
	r := t.saved
	interrupted := -int64(r.get(r.abi.result)) - restartBySystem
	// ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK
	if !r.inSystemCall() || interrupted < 0 || interrupted == 3 || interrupted > 4 {
		return r
	}
	const lengthOfSyscall = 2
	r.set(r.abi.result, t.waitedIn())
	r.set(r.abi.pc, r.get(r.abi.pc)-lengthOfSyscall)
	return r
}

// signalState is the vector state that ptrace(2) shows, as a signal frame has it.
func signalState(state []byte) ([]byte, bool) {
	if len(state) < shortestState {
		return nil, false
	}
	components := binary.NativeEndian.Uint64(state[stateSoftware:]) // XCR0, where ptrace shows it
	if len(state) > oldState {
		// A thread that has not asked for tiles may not restore their bytes.
		if binary.NativeEndian.Uint64(state[statePresent:])&^oldComponents != 0 {
			return nil, false
		}
		state, components = state[:oldState], components&oldComponents
	}
	software := make([]byte, 48)
	binary.NativeEndian.PutUint32(software, stateMagic1)
	binary.NativeEndian.PutUint32(software[4:], uint32(len(state)+lengthOfMagic2))
	binary.NativeEndian.PutUint64(software[8:], components)
	binary.NativeEndian.PutUint32(software[16:], uint32(len(state)))
	state = bytes.Clone(state)
	copy(state[stateSoftware:], software)
	return binary.NativeEndian.AppendUint32(state, stateMagic2), true
}
