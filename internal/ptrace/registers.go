package ptrace

import (
	"encoding/binary"

	"github.com/vmwrite/vmwrite/internal/linux"
)

// Function is a system call that a [Session] can make in its process.
type Function int

// The system calls that a [Session] can make.
const (
	Mmap Function = iota
	Mprotect
	Munmap
)

// ABI is how a thread makes system calls, and where its registers stand in what
// the kernel shows of them (NT_PRSTATUS): struct user_regs_struct of x86,
// user_pt_regs of arm64.
type ABI struct {
	Word        int    // bytes of an address and of a register: 4 or 8
	Instruction []byte // the instruction that makes one
	audit       uint32 // AUDIT_ARCH of the uapi header linux/audit.h, which seccomp filters see
	numbers     [Munmap + 1]uint64

	registers int // how many registers the kernel shows
	// Places of registers: the next instruction, the system call's number, its
	// arguments and its result.
	pc, number, result int
	arguments          [6]int
	// original is where x86 keeps the number of the system call that a thread is
	// in, or -1; it is 0 elsewhere, where the kernel shows none.
	original int
}

// registers are those of a stopped thread.
type registers struct {
	abi  *ABI
	data [512]byte
}

func (r *registers) bytes() []byte { return r.data[:r.abi.registers*r.abi.Word] }

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
	at := r.data[place*r.abi.Word:]
	if r.abi.Word == 4 {
		return uint64(int64(int32(binary.NativeEndian.Uint32(at))))
	}
	return binary.NativeEndian.Uint64(at)
}

func (r *registers) set(place int, value uint64) {
	at := r.data[place*r.abi.Word:]
	if r.abi.Word == 4 {
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
