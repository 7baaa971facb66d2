// SPDX-License-Identifier: Apache-2.0

package unwind

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// firstFrames returns the innermost frame, and the next one if there is any.
func firstFrames(machine elf.Machine, memory io.ReaderAt, pc uint64, registers []uint64) (frames [2]Frame, err error) {
	n := 0
	for f, err := range Frames(machine, memory, fakeTables, pc, registers) {
		if n == 0 && err != nil {
			return frames, err
		}
		if frames[n] = f; n == 1 {
			break
		}
		n++
	}
	return frames, nil
}

func TestInstructionsOfTheTable(t *testing.T) {
	const amd64 = elf.EM_X86_64
	cases := []struct {
		name string
		description
		at   uint64 // in the function
		cfa  uint64 // above the stack pointer
		word int    // of the stack, that holds the return address; -1 for the end
		err  string
	}{
		{name: "what functions have in common", description: plain(amd64), cfa: 8},
		{name: "DW_CFA_def_cfa_offset before the place", description: plain(amd64).with(advanceLoc|1, defCFAOffset, 16), at: 1, cfa: 16, word: 1},
		{name: "DW_CFA_def_cfa_offset behind the place", description: plain(amd64).with(advanceLoc|2, defCFAOffset, 16), at: 1, cfa: 8},
		{name: "DW_CFA_advance_loc1", description: plain(amd64).with(advanceLoc1, 0xff, defCFAOffset, 16), at: 0xff, cfa: 16, word: 1},
		{name: "DW_CFA_advance_loc2", description: plain(amd64).with(advanceLoc2, 0, 2, defCFAOffset, 16), at: 0x200, cfa: 16, word: 1},
		{name: "DW_CFA_advance_loc4", description: plain(amd64).with(advanceLoc4, 0, 3, 0, 0, defCFAOffset, 16), at: 0x2ff, cfa: 8},
		{name: "DW_CFA_def_cfa_sf", description: plain(amd64).with(defCFASF, 7, 0x7c), cfa: 32, word: 3},
		{name: "DW_CFA_def_cfa_offset_sf", description: plain(amd64).with(defCFAOffsetSF, 0x7d), cfa: 24, word: 2},
		{name: "DW_CFA_def_cfa_register", description: plain(amd64).with(defCFARegister, 7), cfa: 8},
		{name: "DW_CFA_def_cfa_expression", description: plain(amd64).with(defCFAExpression, 3, opBreg0+7, 8, opNop), cfa: 8},
		{name: "DW_CFA_offset_extended", description: plain(amd64).with(defCFAOffset, 24, offsetExtended, 16, 2), cfa: 24, word: 1},
		{name: "DW_CFA_offset_extended_sf", description: plain(amd64).with(defCFAOffset, 24, offsetExtendedSF, 16, 3), cfa: 24},
		{name: "DW_CFA_GNU_negative_offset_extended", description: plain(amd64).with(offsetExtendedNegated, 16, 1), cfa: 8, word: 2},
		{name: "DW_CFA_register", description: plain(amd64).with(registerRule, 16, 3), cfa: 8, err: "0x1003"},
		{name: "DW_CFA_val_offset", description: plain(amd64).with(valOffset, 16, 1), cfa: 8, err: "0x80000"},
		{name: "DW_CFA_val_offset_sf", description: plain(amd64).with(valOffsetSF, 16, 1), cfa: 8, err: "0x80000"},
		{name: "DW_CFA_expression", description: plain(amd64).with(expressionRule, 16, 2, opPlusConst, 8), cfa: 8, word: 2},
		{name: "DW_CFA_val_expression", description: plain(amd64).with(valExpression, 16, 1, opDeref), cfa: 8, word: 1},
		{name: "DW_CFA_restore", description: plain(amd64).with(undefinedRule, 16, restoreShort|16), cfa: 8},
		{name: "DW_CFA_restore_extended", description: plain(amd64).with(undefinedRule, 16, restoreExtended, 16), cfa: 8},
		{name: "DW_CFA_remember_state", description: plain(amd64).with(rememberState, defCFAOffset, 64, undefinedRule, 16, restoreState), cfa: 8},
		{name: "DW_CFA_undefined of the return address ends", description: plain(amd64).with(undefinedRule, 16), cfa: 8, word: -1},
		{name: "DW_CFA_GNU_args_size", description: plain(amd64).with(argumentsSize, 16), cfa: 8},
		{name: "registers of vectors", description: plain(amd64).with(offsetShort|17, 3, sameValue, 40, restoreShort|20), cfa: 8},
		{name: "version 3", description: description{version: 3, augmentation: "zR", data: []byte{0x1b}, encoding: 0x1b, column: 16, common: plain(amd64).common}, cfa: 8},
		{name: "no augmentation", description: description{version: 1, column: 16, common: plain(amd64).common}, cfa: 8},
		{name: "augmentation zPLR", description: description{version: 1, augmentation: "zPLR", data: []byte{0x9b, 1, 2, 3, 4, 0x1b, 0x1b}, encoding: 0x1b, column: 16, common: plain(amd64).common}, cfa: 8},
		{name: "augmentation zRS makes the caller interrupted", description: description{version: 1, augmentation: "zRS", data: []byte{0x1b}, encoding: 0x1b, column: 16, common: plain(amd64).common}, cfa: 8},

		{name: "no return address", description: description{version: 1, column: 16, common: []byte{defCFA, 7, 8}}, err: "the return address"},
		{name: "no frame's address", description: description{version: 1, column: 16}, err: "the frame's address: no rule"},
		{name: "another version", description: description{version: 4, column: 16, common: plain(amd64).common}, err: "version 4"},
		{name: "another augmentation", description: description{version: 1, augmentation: "zX", column: 16, common: plain(amd64).common}, err: `augmentation "zX"`},
		{name: "an augmentation without a length", description: description{version: 1, augmentation: "R", column: 16, common: plain(amd64).common}, err: `augmentation "R"`},
		{name: "another encoding", description: description{version: 1, augmentation: "zR", data: []byte{0x2b}, column: 16, common: plain(amd64).common}, err: "encoding 0x2b"},
		{name: "an indirect pointer", description: description{version: 1, augmentation: "zR", data: []byte{0x9b}, column: 16, common: plain(amd64).common}, err: "encoding 0x9b"},
		{name: "return addresses in a vector", description: description{version: 1, column: 17, common: plain(amd64).common}, err: "return addresses are in register 17"},
		{name: "another instruction", description: plain(amd64).with(0x3c), err: "instruction 0x3c"},
		{name: "an instruction of arm64", description: plain(amd64).with(negateSigned), err: "instruction 0x2d"},
		{name: "a value of a register that is not known", description: plain(amd64).with(defCFARegister, 17), err: "register 17"},
		{name: "an instruction that breaks off", description: plain(amd64).with(defCFAExpression, 100), err: "breaks off"},
		{name: "a state that was not remembered", description: plain(amd64).with(restoreState), err: "not remembered"},
		{name: "too many states", description: plain(amd64).with(slices.Repeat([]byte{rememberState}, 65)...), err: "more than 64 states"},
		{name: "an offset without a register", description: plain(amd64).with(defCFAExpression, 1, opLit0, defCFAOffset, 8), err: "of no register"},
		{name: "an address that cannot be read", description: plain(amd64).with(defCFAOffset, 0xff, 0xff, 0x7f), err: "reading the memory"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			frames, err := firstFrames(amd64, c.process(amd64), fakeFunction+c.at, fakeRegisters(amd64))
			if c.err != "" && err == nil { // it may be the caller that is unknown
				_, err = 0, &Error{frames[1].PC, errors.New("the caller")}
			}
			switch {
			case c.err != "":
				wantUnknown(t, err)
				if !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %q; want one with %q", err, c.err)
				}
				return
			case err != nil:
				t.Fatal(err)
			}
			if got := frames[0].CFA - fakeStack; got != c.cfa {
				t.Errorf("CFA %#x above the stack pointer; want %#x", got, c.cfa)
			}
			want := Frame{}
			if c.word >= 0 {
				want.PC = returnAddress(c.word)
				want.Interrupted = strings.HasSuffix(c.augmentation, "S")
			}
			if frames[1].CFA = 0; frames[1] != want {
				t.Errorf("caller %+v; want %+v", frames[1], want)
			}
		})
	}
}

func TestExpressions(t *testing.T) {
	const cfa = fakeStack + 8
	u := New(elf.EM_X86_64, plain(elf.EM_X86_64).process(elf.EM_X86_64), fakeTables)
	u32 := New(elf.EM_386, plain(elf.EM_386).process(elf.EM_386), fakeTables)
	minus := func(n int64) uint64 { return uint64(-n) }
	word := binary.LittleEndian.AppendUint64
	cases := []struct {
		name string
		code []byte
		want uint64
		err  string
	}{
		{name: "nothing: the frame's address", want: cfa},
		{name: "DW_OP_addr", code: word([]byte{opAddr}, 1<<40), want: 1 << 40},
		{name: "DW_OP_const1u", code: []byte{0x08, 0xfe}, want: 0xfe},
		{name: "DW_OP_const1s", code: []byte{0x09, 0xfe}, want: minus(2)},
		{name: "DW_OP_const2u", code: []byte{0x0a, 0xfe, 0xff}, want: 0xfffe},
		{name: "DW_OP_const2s", code: []byte{0x0b, 0xfe, 0xff}, want: minus(2)},
		{name: "DW_OP_const4u", code: []byte{0x0c, 0xfe, 0xff, 0xff, 0xff}, want: 0xfffffffe},
		{name: "DW_OP_const4s", code: []byte{0x0d, 0xfe, 0xff, 0xff, 0xff}, want: minus(2)},
		{name: "DW_OP_const8u", code: word([]byte{0x0e}, 1<<63), want: 1 << 63},
		{name: "DW_OP_const8s", code: word([]byte{0x0f}, 1<<63), want: 1 << 63},
		{name: "DW_OP_constu", code: []byte{opConstu, 0x80, 1}, want: 128},
		{name: "DW_OP_consts", code: []byte{opConsts, 0x7f}, want: minus(1)},
		{name: "DW_OP_lit31", code: []byte{opLit31}, want: 31},
		{name: "DW_OP_breg3", code: []byte{opBreg0 + 3, 0x7f}, want: 0x1002},
		{name: "DW_OP_bregx", code: []byte{opBregx, 3, 1}, want: 0x1004},
		{name: "the program counter", code: []byte{opBreg0 + 16, 0}, want: fakeFunction},
		{name: "DW_OP_deref", code: []byte{opDeref}, want: returnAddress(1)},
		{name: "DW_OP_deref_size", code: []byte{opDerefSize, 1}, want: returnAddress(1) & 0xff},
		{name: "DW_OP_dup", code: []byte{opLit0 + 3, opDup, opPlus}, want: 6},
		{name: "DW_OP_drop", code: []byte{opLit0, opDrop}, want: cfa},
		{name: "DW_OP_over", code: []byte{opLit0 + 3, opLit0, opOver}, want: 3},
		{name: "DW_OP_pick", code: []byte{opLit0 + 3, opLit0, opLit0, opPick, 2}, want: 3},
		{name: "DW_OP_swap", code: []byte{opLit0 + 5, opLit0 + 3, opSwap, opMinus}, want: minus(2)},
		{name: "DW_OP_rot brings the second to the top", code: []byte{opLit0 + 1, opLit0 + 2, opLit0 + 3, opRot}, want: 2},
		{name: "DW_OP_rot brings the top to the third", code: []byte{opLit0 + 1, opLit0 + 2, opLit0 + 3, opRot, opDrop, opDrop}, want: 3},
		{name: "DW_OP_abs", code: []byte{opConsts, 0x7d, opAbs}, want: 3},
		{name: "DW_OP_and", code: []byte{opLit0 + 6, opLit0 + 3, opAnd}, want: 2},
		{name: "DW_OP_mul", code: []byte{opLit0 + 6, opLit0 + 3, opMul}, want: 18},
		{name: "DW_OP_neg", code: []byte{opLit0 + 6, opNeg}, want: minus(6)},
		{name: "DW_OP_not", code: []byte{opLit0, opNot}, want: minus(1)},
		{name: "DW_OP_or", code: []byte{opLit0 + 6, opLit0 + 3, opOr}, want: 7},
		{name: "DW_OP_xor", code: []byte{opLit0 + 6, opLit0 + 3, opXor}, want: 5},
		{name: "DW_OP_plus_uconst", code: []byte{opLit0 + 6, opPlusConst, 3}, want: 9},
		{name: "DW_OP_shl", code: []byte{opLit0 + 6, opLit0 + 3, opShl}, want: 48},
		{name: "DW_OP_shr", code: []byte{opConsts, 0x7f, opLit0 + 31, opShr}, want: 1<<33 - 1},
		{name: "DW_OP_shra", code: []byte{opConsts, 0x70, opLit0 + 3, opShra}, want: minus(2)},
		{name: "DW_OP_shl by more than there is", code: []byte{opLit0 + 6, opConstu, 99, opShl}, want: 0},
		{name: "DW_OP_eq", code: []byte{opLit0, opLit0, opEq}, want: 1},
		{name: "DW_OP_ne", code: []byte{opLit0, opLit0, opNe}, want: 0},
		{name: "DW_OP_ge is of signed values", code: []byte{opConsts, 0x7f, opLit0, opGe}, want: 0},
		{name: "DW_OP_gt", code: []byte{opLit0 + 1, opLit0, opGt}, want: 1},
		{name: "DW_OP_le", code: []byte{opLit0 + 1, opLit0, opLe}, want: 0},
		{name: "DW_OP_lt is of signed values", code: []byte{opConsts, 0x7f, opLit0, opLt}, want: 1},
		{name: "DW_OP_skip", code: []byte{opLit0 + 1, opSkip, 1, 0, 0xff, opNop}, want: 1},
		{name: "DW_OP_bra of 0", code: []byte{opLit0 + 1, opLit0, opBra, 1, 0, opLit0 + 2}, want: 2},
		{name: "DW_OP_bra of another value", code: []byte{opLit0 + 1, opLit0 + 9, opBra, 1, 0, opLit0 + 2}, want: 1},
		{name: "an entry for a stub of the linker", code: []byte{opBreg0 + 7, 8, opBreg0 + 16, 0, opLit0 + 15, opAnd, opLit0 + 11, opGe, opLit0 + 3, opShl, opPlus}, want: fakeStack + 8},

		{name: "a loop", code: []byte{opSkip, 0xfd, 0xff}, err: "1000 steps"},
		{name: "a jump out of it", code: []byte{opSkip, 1, 0}, err: "jumps out"},
		{name: "a jump before it", code: []byte{opSkip, 0xfc, 0xff}, err: "jumps out"},
		{name: "too many values", code: slices.Repeat([]byte{opDup}, 64), err: "more than 64 values"},
		{name: "too few values", code: []byte{opPlus}, err: "lacks a value"},
		{name: "no value", code: []byte{opDrop}, err: "lacks a value"},
		{name: "another operation", code: []byte{opLit0, 0x1b}, err: "operation 0x1b"},
		{name: "a register that is not known", code: []byte{opBregx, 33, 0}, err: "register 33"},
		{name: "a size that is none", code: []byte{opDerefSize, 3}, err: "reads 3 bytes"},
		{name: "a number that breaks off", code: []byte{0x0e, 0}, err: "breaks off"},
		{name: "a number without an end", code: append([]byte{opConstu}, slices.Repeat([]byte{0x80}, 10)...), err: "more than 64 bits"},
		{name: "memory that cannot be read", code: []byte{opLit0, opDeref}, err: "reading the memory at 0x0"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			u.memory.work = maxWork
			thread := u.abi.thread(fakeFunction, fakeRegisters(elf.EM_X86_64))
			got, err := u.evaluate(&thread, c.code, cfa, true)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v; want one with %q", err, c.err)
				}
				return
			}
			if got != c.want || err != nil {
				t.Errorf("value %#x, %v; want %#x", got, err, c.want)
			}
		})
	}
	t.Run("values of 32 bits", func(t *testing.T) {
		u32.memory.work = maxWork
		thread := u32.abi.thread(fakeFunction, fakeRegisters(elf.EM_386))
		got, err := u32.evaluate(&thread, []byte{opLit0, opNot, opLit0 + 1, opShr}, cfa, true)
		if want := uint64(1<<31 - 1); got != want || err != nil {
			t.Errorf("value %#x, %v; want %#x", got, err, want)
		}
	})
	t.Run("work is bounded", func(t *testing.T) {
		u.memory.work = 1
		thread := u.abi.thread(fakeFunction, fakeRegisters(elf.EM_X86_64))
		if _, err := u.evaluate(&thread, []byte{opLit0, opLit0}, cfa, true); !errors.Is(err, errWork) {
			t.Errorf("error %v; want %v", err, errWork)
		}
	})
}

// TestReturnFromASignalHandler lays frames as the kernel does, and stands at each
// instruction that returns from a handler, where a table says that there is no caller.
func TestReturnFromASignalHandler(t *testing.T) {
	for _, machine := range []elf.Machine{elf.EM_X86_64, elf.EM_386, elf.EM_AARCH64} {
		a := abis[machine]
		for _, s := range a.returns {
			for _, place := range s.places {
				d := plain(machine)
				d.common = []byte{undefinedRule, d.column}
				memory := d.process(machine)
				const in = 0x200
				copy(memory[fakeFunction][in:], s.code)
				want := map[int]uint64{}
				for i, register := range s.saved {
					if register >= 0 {
						value := 0x2000 + uint64(register)
						want[register] = value
						at := place[1] + uint64(i*a.word)
						memory[fakeStack] = append(memory[fakeStack], make([]byte, max(0, int(at)+8-len(memory[fakeStack])))...)
						copy(memory[fakeStack][at:], binary.LittleEndian.AppendUint64(nil, value)[:a.word])
					}
				}
				u := New(machine, memory, fakeTables)
				u.memory.work = maxWork
				thread := a.thread(fakeFunction+in+place[0], fakeRegisters(machine))
				got, err := u.step(&thread)
				if err != nil || !got.caller.interrupted || got.caller.pc != want[a.pc] || got.cfa != want[a.sp] {
					t.Errorf("%v, % x at %d: %#x, %v; want an interrupted frame at %#x", machine, s.code, place[0], got.caller.pc, err, want[a.pc])
				}
				for register, value := range want {
					if got.caller.registers[register] != value {
						t.Errorf("%v, % x at %d: register %d is %#x; want %#x", machine, s.code, place[0], register, got.caller.registers[register], value)
					}
				}
			}
		}
	}
}

func TestSignedReturnAddress(t *testing.T) {
	const machine = elf.EM_AARCH64
	for _, c := range []struct {
		name             string
		code             byte
		pointer, address uint64
	}{
		{"a signed one", negateSigned, 0x3a<<56 | returnAddress(0), returnAddress(0)},
		{"a signed one with tags", negateSignedWithPC, 0xff7f<<48 | returnAddress(0), returnAddress(0)},
		{"one of the upper half", negateSigned, 0x00ff_0000_0000_1000, 0xffff_0000_0000_1000},
		{"one that is not signed", nop, 0x3a<<56 | returnAddress(0), 0x3a<<56 | returnAddress(0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			registers := fakeRegisters(machine)
			registers[30] = c.pointer
			frames, err := firstFrames(machine, plain(machine).with(c.code, defCFAOffset, 16).process(machine), fakeFunction, registers)
			if err != nil || frames[1].PC != c.address {
				t.Errorf("return address %#x, %v; want %#x", frames[1].PC, err, c.address)
			}
		})
	}
	t.Run("a link register that a call has changed", func(t *testing.T) {
		u := New(machine, plain(machine).process(machine), fakeTables)
		var err error
		for _, err = range u.Frames(fakeFunction, append(fakeRegisters(machine)[:30], returnAddress(0), fakeStack)) {
		}
		wantUnknown(t, err)
	})
}

func TestFramesThatAreWrong(t *testing.T) {
	const machine = elf.EM_X86_64
	for _, c := range []struct {
		name   string
		change func(memory fake)
		err    string
	}{
		{"the stack leads back", func(m fake) {
			table, _ := plain(machine).with(valOffset, 7, 1).table(machine, fakeTable)
			m[fakeTable] = table
		}, "leads from"},
		{"no call before the return address", func(m fake) { clear(m[fakeFunction][0x80:0x180]) }, "no call stands"},
		{"an index of another version", func(m fake) { m[fakeBase][0] = 2 }, "is of a kind"},
		{"an index of another kind", func(m fake) { m[fakeBase][3] = 0x1b }, "is of a kind"},
		{"an index without rows", func(m fake) { m[fakeBase][8] = 0 }, "no table for it"},
		{"more rows than there is room", func(m fake) { m[fakeBase][8] = 2 }, "2 rows in 20 bytes"},
		{"a table that cannot be read", func(m fake) { delete(m, fakeBase); delete(m, fakeTable) }, "reading the memory"},
		{"a function above the place", func(m fake) { m[fakeBase][13] = 0xff }, "no table for it"},
		{"a description outside of the module", func(m fake) { m[fakeBase][19] = 0x70 }, "outside of the module"},
		{"a description in common", func(m fake) { copy(m[fakeBase][16:], []byte{0, 1, 0, 0}) }, "is not of a function"},
		{"a description that is very long", func(m fake) { copy(m[fakeTable], []byte{0xff, 0xff, 0xff, 0xff}) }, "0xffffffff bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			memory := plain(machine).process(machine)
			c.change(memory)
			var last error
			for _, err := range Frames(machine, memory, fakeTables, fakeFunction, fakeRegisters(machine)) {
				last = err
			}
			wantUnknown(t, last)
			if last != nil && !strings.Contains(last.Error(), c.err) {
				t.Errorf("error %q; want one with %q", last, c.err)
			}
		})
	}
	t.Run("a thread that ends with address 0", func(t *testing.T) {
		memory := plain(machine).process(machine)
		clear(memory[fakeStack][8*8:])
		n := 0
		for _, err := range Frames(machine, memory, fakeTables, fakeFunction, fakeRegisters(machine)) {
			if n++; err != nil {
				t.Error(err)
			}
		}
		if n != 9 {
			t.Errorf("%d frames; want 9", n)
		}
	})
	t.Run("a stack without an end", func(t *testing.T) {
		memory := plain(machine).process(machine)
		memory[fakeStack] = slices.Repeat(memory[fakeStack], 1000)
		n, last := 0, error(nil)
		for _, err := range Frames(machine, memory, fakeTables, fakeFunction, fakeRegisters(machine)) {
			n, last = n+1, err
		}
		wantUnknown(t, last)
		if n != maxFrames+1 {
			t.Errorf("%d frames; want %d", n, maxFrames+1)
		}
	})
}

func TestCallBefore(t *testing.T) {
	for _, c := range []struct {
		name   string
		before []byte
		want   bool
	}{
		{"call rel32", []byte{0, 0, 0xe8, 1, 2, 3, 4}, true},
		{"call *%rax", []byte{0, 0, 0, 0, 0, 0xff, 0xd0}, true},
		{"call *%r11", []byte{0, 0, 0, 0, 0x41, 0xff, 0xd3}, true},
		{"call *(%rax)", []byte{0, 0, 0, 0, 0, 0xff, 0x10}, true},
		{"call *8(%rax)", []byte{0, 0, 0, 0, 0xff, 0x50, 8}, true},
		{"call *(%rsp)", []byte{0, 0, 0, 0, 0xff, 0x14, 0x24}, true},
		{"call *8(%rsp)", []byte{0, 0, 0, 0xff, 0x54, 0x24, 8}, true},
		{"call *x(%rip)", []byte{0, 0xff, 0x15, 1, 2, 3, 4}, true},
		{"call *x(%rax)", []byte{0, 0xff, 0x90, 1, 2, 3, 4}, true},
		{"call *x(,%rax,8)", []byte{0xff, 0x14, 0xc5, 1, 2, 3, 4}, true},
		{"call *x(%rsp)", []byte{0xff, 0x94, 0x24, 1, 2, 3, 4}, true},
		{"jmp rel32", []byte{0, 0, 0xe9, 1, 2, 3, 4}, false},
		{"jmp *%rax", []byte{0, 0, 0, 0, 0, 0xff, 0xe0}, false},
		{"nop", []byte{0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := isCallX86(c.before); got != c.want {
				t.Errorf("isCallX86 = %v; want %v", got, c.want)
			}
		})
	}
	for name, c := range map[string]struct {
		code uint32
		want bool
	}{"bl": {0x97fffff0, true}, "blr x3": {0xd63f0060, true}, "blraa x8, x9": {0xd73f0909, true}, "blrabz x8": {0xd63f0d1f, true}, "br x3": {0xd61f0060, false}, "b": {0x17fffff0, false}, "ret": {0xd65f03c0, false}} {
		t.Run(name, func(t *testing.T) {
			if got := isCallARM64(binary.LittleEndian.AppendUint32(nil, c.code)); got != c.want {
				t.Errorf("isCallARM64 = %v; want %v", got, c.want)
			}
		})
	}
}
