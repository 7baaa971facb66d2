// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"cmp"
	"encoding/binary"

	"github.com/vmwrite/vmwrite/internal/linux"
	"golang.org/x/sys/unix"
)

// function is a system call that can be injected.
type function int

const (
	mmap function = iota
	mprotect
	munmap
	madvise
	msync
)

// abi is how a thread makes system calls, and where its registers stand in what
// the kernel shows of them (NT_PRSTATUS): struct user_regs_struct of x86,
// user_pt_regs of arm64.
type abi struct {
	word        int    // bytes of an address and of a register: 4 or 8
	instruction []byte // the instruction that makes one

	// What a restore frame needs, nil where there is none: the ways in which code
	// makes rt_sigreturn, how many bytes above the frame the stack pointer stands
	// there, what lays a frame, and what tells one that was left behind.
	signalReturns [][]byte
	stackInFrame  uint64
	layFrame      func(*thread) ([]byte, bool)
	isFrame       func([]byte) bool
	signalReturn  uint64 // the number of rt_sigreturn
	restart       uint64 // the number of restart_syscall

	audit   uint32 // AUDIT_ARCH of the uapi header linux/audit.h, which seccomp filters see
	numbers [msync + 1]uint64

	registers int // how many registers the kernel shows
	// Places of registers: the next instruction, the stack pointer, the system
	// call's number, its arguments and its result.
	pc, stack, number, result int
	// The bits of the flags that say that a branch has led to the next instruction, which
	// some memory lets lead to some instructions only; 0 where there are none.
	flags     int
	branched  uint64
	arguments [6]int
	// original is where x86 keeps the number of the system call that a thread is
	// in, or -1; it is 0 elsewhere, where the kernel shows none.
	original int
	// setNumber changes the number where the kernel shows none: at the entry.
	setNumber func(tid int, number uint64) error

	// What the kernel of arm64 keeps for itself, and what it lets system calls destroy.
	// hiddenRestart tells whether the thread may be about to start a call again that
	// has waited for part of its time; interrupted is the error with which the stop
	// interrupted a call, 0 for none; vectors are the registers that a call destroys,
	// nil if they are not in use; a thread that isStreaming would lose more.
	hiddenRestart func(*thread) bool
	interrupted   func(*thread) unix.Errno
	vectors       func(tid int) []byte
	isStreaming   func(tid int) bool
}

// registers are those of a stopped thread.
type registers struct {
	abi  *abi
	data [512]byte
}

func (r *registers) bytes() []byte { return r.data[:r.abi.registers*r.abi.word] }

// read reads the registers. How many the kernel shows tells what kind of thread
// it is. It returns false for a kind that is not known here.
func (r *registers) read(tid int) (known bool, err error) {
	n, err := linux.PtraceRegisterSet(tid, unix.NT_PRSTATUS, r.data[:])
	if err != nil {
		return false, err
	}
	for i := range abis {
		if r.abi = &abis[i]; n == len(r.bytes()) {
			return true, nil
		}
	}
	return false, nil
}

func (r *registers) write(tid int) error {
	return linux.PtraceSetRegisterSet(tid, unix.NT_PRSTATUS, r.bytes())
}

func (r *registers) get(place int) uint64 {
	at := r.data[place*r.abi.word:]
	if r.abi.word == 4 {
		return uint64(int64(int32(binary.NativeEndian.Uint32(at))))
	}
	return binary.NativeEndian.Uint64(at)
}

func (r *registers) set(place int, value uint64) {
	at := r.data[place*r.abi.word:]
	if r.abi.word == 4 {
		binary.NativeEndian.PutUint32(at, uint32(value))
		return
	}
	binary.NativeEndian.PutUint64(at, value)
}

// inSystemCall reports whether the thread was stopped in a system call, as far
// as its registers tell.
func (r *registers) inSystemCall() bool {
	return r.abi.original != 0 && int64(r.get(r.abi.original)) >= 0
}

// place returns the registers without the number and the result of a system call.
func (r *registers) place() registers {
	place := *r
	for _, changed := range []int{r.abi.number, r.abi.original, r.abi.result} {
		place.set(changed, 0)
	}
	return place
}

// callNumber returns the number of the system call that the thread is in.
func (r *registers) callNumber() uint64 { return r.get(cmp.Or(r.abi.original, r.abi.number)) }

// goTo makes the registers those of a thread that goes on at an address with a
// stack. It is in no system call: else the kernel would take it for one in the call
// that the stop interrupted, and start that again with these registers.
func (r *registers) goTo(pc, stack uint64) {
	r.set(r.abi.pc, pc)
	r.set(r.abi.stack, stack)
	r.set(r.abi.flags, r.get(r.abi.flags)&^r.abi.branched)
	if r.abi.original != 0 {
		r.set(r.abi.original, ^uint64(0))
	}
}
