package inject

import (
	"encoding/binary"

	"github.com/vmwrite/vmwrite/internal/linux"
)

// function is a system call that can be injected.
type function int

const (
	mmap function = iota
	mprotect
	munmap
)

// abi is how a thread makes system calls, and where its registers stand in what
// the kernel shows of them (NT_PRSTATUS): struct user_regs_struct of x86,
// user_pt_regs of arm64.
type abi struct {
	word        int    // bytes of an address and of a register: 4 or 8
	instruction []byte // the instruction that makes one

	// What a restore frame needs, nil where there is none: an instruction that makes
	// a system call and returns, the ways in which code makes rt_sigreturn, and
	// what tells whether bytes are a frame that was left behind.
	callAndReturn []byte
	signalReturns [][]byte
	isFrame       func([]byte) bool
	signalReturn  uint64 // the number of rt_sigreturn
	restart       uint64 // the number of restart_syscall
	layFrame      func(saved *registers, mask uint64, frame *restoreFrame, state []byte) ([]byte, bool)

	audit   uint32 // AUDIT_ARCH of the uapi header linux/audit.h, which seccomp filters see
	numbers [munmap + 1]uint64

	registers int // how many registers the kernel shows
	// Places of registers: the next instruction, the stack pointer, the system
	// call's number, its arguments and its result.
	pc, stack, number, result int
	arguments                 [6]int
	// original is where x86 keeps the number of the system call that a thread is
	// in, or -1; it is 0 elsewhere, where the kernel shows none.
	original int
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
	n, err := linux.PtraceRegisters(tid, r.data[:])
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

func (r *registers) write(tid int) error { return linux.PtraceSetRegisters(tid, r.bytes()) }

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

// fitness says how well a thread fits a call, given its registers. One of 32 bits
// comes last: in a 64-bit process, there may be no code for it. Before it comes one
// that has waited for part of a time that it wants to wait: it can't be made to wait
// for the rest of it by what a restore frame restores.
func (r *registers) fitness() int {
	const restartsWithBlock = 516 // ERESTART_RESTARTBLOCK of linux/errno.h
	switch {
	case r.abi.word == 4 && !r.inSystemCall():
		return 1
	case r.abi.word == 4:
		return 2
	case r.abi.layFrame != nil && r.inSystemCall() && (r.get(r.abi.original) == r.abi.restart || -int64(r.get(r.abi.result)) == restartsWithBlock):
		return 3
	case !r.inSystemCall():
		return 4
	}
	return fittest
}

const fittest = 5

// call makes the registers those of a thread that is about to make a system call
// with the instruction at the address.
func (r *registers) call(instruction, number uint64, arguments [6]uint64) {
	r.set(r.abi.pc, instruction)
	r.set(r.abi.number, number)
	for i, place := range r.abi.arguments {
		r.set(place, arguments[i])
	}
	if r.abi.original != 0 {
		// Else the kernel would take the thread for one in the system call that
		// the stop interrupted, and start that again with these registers.
		r.set(r.abi.original, ^uint64(0))
	}
}
