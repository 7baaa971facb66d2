// SPDX-License-Identifier: Apache-2.0

package unwind

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// maxRegisters is how many registers a machine has here at most, the program counter
// among them.
const maxRegisters = 33

// abi is what is particular to a machine. Registers have their DWARF numbers.
type abi struct {
	word      int    // bytes of an address
	registers int    // how many
	sp, pc    int    // the stack pointer, and where expressions find the program counter
	kept      uint64 // a bit for each register that a function leaves as it was
	signs     bool   // return addresses may have an authentication code
	returns   []signalReturn
	maxCall   int // bytes of the longest call instruction
	isCall    func(before []byte) bool
}

// signalReturn is code that a signal handler returns to, and that makes the system call
// which restores the registers.
type signalReturn struct {
	code []byte
	// places are the offsets of its instructions, and how far above the stack pointer the
	// kernel has saved the registers there.
	places [][2]uint64
	saved  []int // the registers in the order in which they are saved; -1 for something else
}

const longestReturn = 9 // bytes of code

var abis = map[elf.Machine]*abi{
	elf.EM_X86_64: {
		word: 8, registers: 17, sp: 7, pc: 16,
		kept:    1<<3 | 1<<6 | 1<<12 | 1<<13 | 1<<14 | 1<<15,
		maxCall: 7, isCall: isCallX86,
		// mov $15, %rax; syscall. struct ucontext and struct sigcontext_64 of the uapi headers.
		returns: []signalReturn{{
			code:   []byte{0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05},
			places: [][2]uint64{{0, 40}, {7, 40}},
			saved:  []int{8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16},
		}},
	},
	elf.EM_386: {
		word: 4, registers: 9, sp: 4, pc: 8,
		kept:    1<<3 | 1<<5 | 1<<6 | 1<<7,
		maxCall: 7, isCall: isCallX86,
		returns: []signalReturn{{ // pop %eax; mov $119, %eax; int $0x80. struct sigframe of the kernel
			code:   []byte{0x58, 0xb8, 0x77, 0, 0, 0, 0xcd, 0x80},
			places: [][2]uint64{{0, 4}, {1, 0}, {6, 0}},
			saved:  sigcontext32,
		}, { // mov $173, %eax; int $0x80. struct rt_sigframe
			code:   []byte{0xb8, 0xad, 0, 0, 0, 0xcd, 0x80},
			places: [][2]uint64{{0, 160}, {5, 160}},
			saved:  sigcontext32,
		}},
	},
	elf.EM_AARCH64: {
		word: 8, registers: 33, sp: 31, pc: 32,
		kept:    0x7ff << 19,
		signs:   true,
		maxCall: 4, isCall: isCallARM64,
		returns: []signalReturn{{ // mov x8, #139; svc #0. struct rt_sigframe of the kernel
			code:   []byte{0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4},
			places: [][2]uint64{{0, 312}, {4, 312}},
			saved:  upTo(32),
		}},
	},
}

var sigcontext32 = []int{-1, -1, -1, -1, 7, 6, 5, 4, 3, 2, 1, 0, -1, -1, 8}

func upTo(last int) (numbers []int) {
	for i := range last + 1 {
		numbers = append(numbers, i)
	}
	return numbers
}

// mask has the bits that an address can have.
func (a *abi) mask() uint64 { return 1<<(8*a.word) - 1 }

// thread returns the thread of these registers.
func (a *abi) thread(pc uint64, registers []uint64) thread {
	t := thread{pc: pc, interrupted: true}
	for i, value := range registers[:min(len(registers), a.registers)] {
		t.set(i, value&a.mask())
	}
	t.set(a.pc, pc)
	return t
}

// fromSignal finds the interrupted frame if the thread is about to return to it from a
// signal handler. The instructions tell, whatever the tables say: some C libraries and
// kernels have no table for them, or a wrong one.
func (u *Unwinder) fromSignal(t *thread) (caller thread, found bool, err error) {
	for _, s := range u.abi.returns {
		for _, place := range s.places {
			if place[0] != 0 && !t.interrupted {
				continue
			}
			var buffer [longestReturn]byte
			code := buffer[:len(s.code)]
			if u.memory.read(t.pc-place[0], code) != nil || !bytes.Equal(code, s.code) {
				continue
			}
			sp, err := t.get(u.abi.sp)
			if err != nil {
				return caller, true, err
			}
			for i, register := range s.saved {
				value, err := u.memory.word(sp+place[1]+uint64(i*u.abi.word), u.abi.word)
				if err != nil {
					return caller, true, err
				}
				if register >= 0 {
					caller.set(register, value)
				}
			}
			caller.pc, caller.interrupted = caller.registers[u.abi.pc], true
			return caller, true, nil
		}
	}
	return caller, false, nil
}

// isCalled reports whether a call instruction ends where the return address points to.
// Tables of hand-written code are wrong at times.
func (a *abi) isCalled(m *memory, pc uint64) (bool, error) {
	before := make([]byte, a.maxCall)
	if err := m.read(pc-uint64(len(before)), before); err != nil {
		return false, err
	}
	return a.isCall(before), nil
}

// isCallX86 looks for E8 with a distance of 4 bytes and FF /2 with each length of its
// operand: Intel's manual, volume 2, "CALL".
func isCallX86(before []byte) bool {
	if before[len(before)-5] == 0xe8 {
		return true
	}
	for size := 2; size <= len(before); size++ {
		code := before[len(before)-size:]
		if code[0] != 0xff || code[1]>>3&7 != 2 {
			continue
		}
		mod, rm := code[1]>>6, code[1]&7
		want := 2 + [...]int{0, 1, 4, 0}[mod]
		if mod != 3 && rm == 4 {
			want++
			if size > 2 && mod == 0 && code[2]&7 == 5 {
				want += 4
			}
		} else if mod == 0 && rm == 5 {
			want += 4
		}
		if size == want {
			return true
		}
	}
	return false
}

// isCallARM64 looks for BL, and for BLR in all its forms.
func isCallARM64(before []byte) bool {
	code := binary.LittleEndian.Uint32(before)
	return code>>26 == 0x25 || code&0xfeff_f000 == 0xd63f_0000
}
