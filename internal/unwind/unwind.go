// SPDX-License-Identifier: Apache-2.0

// Package unwind finds the callers of a stopped thread by the tables that compilers write
// for exceptions: .eh_frame, which .eh_frame_hdr indexes (Linux Standard Base, "Exception
// Frames", and DWARF 4, section 6.4).
//
// Nothing in the memory of the process is trusted. Where the tables do not say who called,
// the answer is "unknown" and never "nobody": frame pointers are not followed and no stack
// is searched for what looks like a return address. Neither may be added.
package unwind

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"iter"
)

// ErrUnknown means that the caller of a frame is not known. Every error of this package
// wraps it.
var ErrUnknown = errors.New("the caller is unknown")

// Error says for which frame the caller is not known, and why. It wraps [ErrUnknown] and
// the reason, such as the error of a read.
type Error struct {
	PC  uint64 // of the frame
	Err error
}

// Error names the place in the code and the reason.
func (e *Error) Error() string { return fmt.Sprintf("%#x: %v: %v", e.PC, ErrUnknown, e.Err) }

// Unwrap returns [ErrUnknown] and the reason.
func (e *Error) Unwrap() []error { return []error{ErrUnknown, e.Err} }

// Table is where a module has its table.
type Table struct {
	Base, Size         uint64 // of the module, in memory
	Header, HeaderSize uint64 // of .eh_frame_hdr: PT_GNU_EH_FRAME; 0 if the module has none
}

// Frame is a function that was called and has not returned.
type Frame struct {
	PC uint64 // where it goes on
	// Interrupted says that PC is the next instruction of a function that was
	// interrupted: of the innermost frame, and of the one that a signal handler returns to.
	// Else PC is a return address.
	Interrupted bool
	CFA         uint64 // the canonical frame address: the stack pointer of the caller before the call; 0 with an error
}

const (
	maxFrames = 1 << 15
	// maxWork bounds what one walk does, in bytes read and steps of expressions. A deep
	// stack takes a hundredth of it.
	maxWork    = 64 << 20
	maxEntries = 1 << 14 // that are kept
)

// Unwinder finds the callers of the threads of one process. It keeps what it has read of
// the memory, so it serves for as long as the process is stopped. It is not safe for
// concurrent use.
type Unwinder struct {
	abi     *abi
	memory  memory
	tables  func(pc uint64) (Table, bool)
	entries map[uint64]*entry // by the address that was looked up
}

// New returns an Unwinder for a process of a machine: EM_X86_64, EM_386 or EM_AARCH64. The
// offset of a ReadAt of memory is an address, all 64 bits of it. The function tables
// returns the table of the module that an address lies in.
func New(machine elf.Machine, memory io.ReaderAt, tables func(pc uint64) (Table, bool)) *Unwinder {
	u := &Unwinder{abi: abis[machine], tables: tables, entries: map[uint64]*entry{}}
	u.memory.r = memory
	return u
}

// Frames is [Unwinder.Frames] of a new Unwinder.
func Frames(machine elf.Machine, memory io.ReaderAt, tables func(pc uint64) (Table, bool), pc uint64, registers []uint64) iter.Seq2[Frame, error] {
	return New(machine, memory, tables).Frames(pc, registers)
}

// Frames yields the frames of a thread, the innermost first. The registers are in the order
// of their DWARF numbers: rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15 of amd64; eax,
// ecx, edx, ebx, esp, ebp, esi, edi of 386; x0 to x30, sp of arm64. More are ignored.
//
// The frames are all there are if no error comes. An error, which is an [*Error], comes
// last, with the frame whose caller is not known.
func (u *Unwinder) Frames(pc uint64, registers []uint64) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		frame := Frame{PC: pc, Interrupted: true}
		if u.abi == nil {
			yield(frame, &Error{pc, errors.New("frames of this machine are not known")})
			return
		}
		t := u.abi.thread(pc, registers)
		u.memory.work = maxWork
		var below uint64 // the CFA of the frame before
		for n := 0; ; n++ {
			frame = Frame{PC: t.pc, Interrupted: t.interrupted}
			s, err := u.step(&t)
			switch {
			case err != nil:
			case n == maxFrames:
				err = fmt.Errorf("there are more than %d frames", maxFrames)
			case t.interrupted: // a handler may have a stack of its own
			case s.cfa < below, s.cfa == below && !s.end: // the first function of arm64 may use no stack
				err = fmt.Errorf("the stack leads from %#x back to %#x", below, s.cfa)
			}
			if err != nil {
				yield(frame, &Error{t.pc, err})
				return
			}
			frame.CFA, below = s.cfa, s.cfa
			if !yield(frame, nil) || s.end {
				return
			}
			t = s.caller
			if t.pc == 0 && !t.interrupted {
				return // of a thread that was started without an end for its table
			}
		}
	}
}

// thread is what is known of a thread where a frame goes on.
type thread struct {
	pc          uint64
	interrupted bool
	registers   [maxRegisters]uint64 // by DWARF number
	known       uint64               // a bit for each of registers
}

func (t *thread) set(register int, value uint64) {
	t.registers[register] = value
	t.known |= 1 << register
}

func (t *thread) get(register int) (uint64, error) {
	if register >= maxRegisters || t.known&(1<<register) == 0 {
		return 0, fmt.Errorf("register %d of the frame is not known", register)
	}
	return t.registers[register], nil
}

// step is the way from a frame to its caller.
type step struct {
	cfa    uint64
	end    bool // there is no caller
	caller thread
}

func (u *Unwinder) step(t *thread) (step, error) {
	caller, found, err := u.fromSignal(t)
	if err != nil || found {
		return step{cfa: caller.registers[u.abi.sp], caller: caller}, err
	}
	at := t.pc
	if !t.interrupted {
		// A call may be the last instruction of its function.
		at--
	}
	e, err := u.entryOf(at)
	if err != nil {
		return step{}, err
	}
	if !t.interrupted && !e.signal {
		if called, err := u.abi.isCalled(&u.memory, t.pc); err != nil || !called {
			return step{}, errors.Join(errors.New("no call stands before this return address"), err)
		}
	}
	return u.apply(t, e)
}

// apply finds the caller of a frame by the rules for its place.
func (u *Unwinder) apply(t *thread, e *entry) (s step, err error) {
	if s.cfa, err = u.value(t, e.cfa, 0); err != nil {
		return s, fmt.Errorf("the frame's address: %w", err)
	}
	for i, r := range e.registers[:u.abi.registers] {
		switch kept := e.signal || u.abi.kept>>i&1 != 0; {
		case r.kind == undefined, r.kind == unset && i == u.abi.pc:
		case r.kind == same, r.kind == unset && (kept || i == e.column):
			s.caller.registers[i] = t.registers[i]
			s.caller.known |= t.known & (1 << i)
		case r.kind == unset:
			// What a call may destroy is not what it was.
		default:
			value, err := u.value(t, r, s.cfa)
			if err != nil {
				return s, fmt.Errorf("register %d of the caller: %w", i, err)
			}
			s.caller.set(i, value)
		}
	}
	if e.registers[u.abi.sp].kind == unset {
		s.caller.set(u.abi.sp, s.cfa)
	}
	if e.registers[e.column].kind == undefined {
		s.end = true
		return s, nil
	}
	if s.caller.pc, err = s.caller.get(e.column); err != nil {
		return s, fmt.Errorf("the return address: %w", err)
	}
	if e.signed {
		s.caller.pc = withoutAuthentication(s.caller.pc)
	}
	if e.column != u.abi.pc {
		s.caller.known &^= 1 << e.column // it was destroyed by the call
	}
	s.caller.set(u.abi.pc, s.caller.pc)
	s.caller.interrupted = e.signal
	return s, nil
}

// value is what a rule says: the frame's address itself, or a register of the caller.
func (u *Unwinder) value(t *thread, r rule, cfa uint64) (v uint64, err error) {
	switch r.kind {
	case offset, valueOffset:
		v = cfa + uint64(r.offset)
	case register:
		v, err = t.get(r.register)
		v += uint64(r.offset)
	case expression, valueExpression:
		v, err = u.evaluate(t, r.expression, cfa, r.hasCFA)
	default:
		err = errors.New("no rule tells it")
	}
	v &= u.abi.mask()
	if err == nil && (r.kind == offset || r.kind == expression) {
		v, err = u.memory.word(v, u.abi.word)
	}
	return v, err
}

// withoutAuthentication returns the address in a pointer with an authentication code, which
// is in the bits that are else copies of bit 55.
func withoutAuthentication(pointer uint64) uint64 {
	const address = 1<<48 - 1
	if pointer>>55&1 != 0 {
		return pointer | ^uint64(address)
	}
	return pointer & address
}
