// SPDX-License-Identifier: Apache-2.0

package unwind

import (
	"debug/elf"
	"slices"
	"testing"
)

var fuzzMachines = []elf.Machine{elf.EM_X86_64, elf.EM_386, elf.EM_AARCH64}

// FuzzTable takes bytes as .eh_frame, in which the description of the one function begins
// at an offset.
func FuzzTable(f *testing.F) {
	for i, machine := range fuzzMachines {
		d := plain(machine).with(advanceLoc|1, defCFAOffset, 16, rememberState, expressionRule, 3, 2, opPlusConst, 8, restoreState)
		data, function := d.table(machine, 0)
		f.Add(uint8(i), data, uint16(function))
		d.augmentation, d.data = "zPLRS", []byte{0x9b, 1, 2, 3, 4, 0x1b, 0x1b}
		data, function = d.table(machine, 0)
		f.Add(uint8(i), data, uint16(function))
	}
	f.Fuzz(func(t *testing.T, number uint8, data []byte, function uint16) {
		machine := fuzzMachines[int(number)%len(fuzzMachines)]
		memory := plain(machine).process(machine)
		memory[fakeTable] = data[:min(len(data), fakeFunction-fakeTable)]
		at := uint32(fakeTable - fakeBase + int(function))
		copy(memory[fakeBase][16:], []byte{byte(at), byte(at >> 8), byte(at >> 16), 0})
		walk(t, machine, memory)
	})
}

// FuzzIndex takes bytes as .eh_frame_hdr, and others as what the stack holds.
func FuzzIndex(f *testing.F) {
	for i, machine := range fuzzMachines {
		memory := plain(machine).process(machine)
		f.Add(uint8(i), memory[fakeBase], memory[fakeStack])
	}
	f.Fuzz(func(t *testing.T, number uint8, index, stack []byte) {
		machine := fuzzMachines[int(number)%len(fuzzMachines)]
		memory := plain(machine).process(machine)
		memory[fakeBase], memory[fakeStack] = index[:min(len(index), fakeTable-fakeBase)], stack
		walk(t, machine, memory)
	})
}

func walk(t *testing.T, machine elf.Machine, memory fake) {
	n := 0
	for _, err := range Frames(machine, memory, fakeTables, fakeFunction+8, fakeRegisters(machine)) {
		if n++; err != nil {
			wantUnknown(t, err)
		}
	}
	if n == 0 || n > maxFrames+1 {
		t.Errorf("%d frames", n)
	}
}

func FuzzExpression(f *testing.F) {
	f.Add([]byte{opBreg0 + 7, 8, opBreg0 + 16, 0, opLit0 + 15, opAnd, opLit0 + 11, opGe, opLit0 + 3, opShl, opPlus})
	f.Add([]byte{opLit0 + 1, opLit0, opBra, 1, 0, opDeref, opDerefSize, 4, opSkip, 0xfd, 0xff})
	f.Add(slices.Repeat([]byte{opDup}, 70))
	f.Fuzz(func(t *testing.T, code []byte) {
		for _, machine := range fuzzMachines {
			u := New(machine, plain(machine).process(machine), fakeTables)
			u.memory.work = maxWork
			thread := u.abi.thread(fakeFunction, fakeRegisters(machine))
			value, err := u.evaluate(&thread, code, fakeStack, true)
			if err == nil && value&^u.abi.mask() != 0 {
				t.Errorf("value %#x on %v", value, machine)
			}
		}
	})
}
