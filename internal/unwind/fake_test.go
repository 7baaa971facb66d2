// SPDX-License-Identifier: Apache-2.0

package unwind

import (
	"debug/elf"
	"encoding/binary"
	"io"
	"slices"
)

// A fake process has one module: an index, a table for one function, which takes the rest,
// and code that is nothing but calls. Its stack holds return addresses.
const (
	fakeBase     = 0x10000
	fakeTable    = fakeBase + 0x100
	fakeFunction = fakeBase + 0x1000
	fakeCode     = 0x1000 // bytes of the function
	fakeEnd      = fakeFunction + fakeCode
	fakeStack    = 0x80000
	fakeWords    = 64
)

// fake is the memory of a fake process: bytes by the address of the first one.
type fake map[uint64][]byte

func (f fake) ReadAt(p []byte, off int64) (n int, err error) {
	found := false
	for start, data := range f {
		for i := range p {
			if at := uint64(off) + uint64(i) - start; at < uint64(len(data)) {
				p[i], found, n = data[at], true, max(n, i+1)
			}
		}
	}
	if !found {
		return 0, io.EOF
	}
	return n, nil
}

// returnAddress is the one in a word of the stack.
func returnAddress(word int) uint64 { return fakeFunction + 0x100 + 4*uint64(word) }

// description is what the table of a fake process is made of.
type description struct {
	version      byte
	augmentation string
	data         []byte // of the augmentation
	column       byte
	encoding     byte
	common       []byte // instructions
	function     []byte // instructions
}

// plain describes functions as compilers do.
func plain(machine elf.Machine) description {
	d := description{version: 1, augmentation: "zR", data: []byte{0x1b}, encoding: 0x1b}
	switch machine {
	case elf.EM_X86_64:
		d.column, d.common = 16, []byte{defCFA, 7, 8, offsetShort | 16, 1}
	case elf.EM_386:
		d.column, d.common = 8, []byte{defCFA, 4, 4, offsetShort | 8, 1}
	case elf.EM_AARCH64:
		d.column, d.common = 30, []byte{defCFA, 31, 0}
	}
	return d
}

func (d description) with(instructions ...byte) description {
	d.function = instructions
	return d
}

// table is .eh_frame with the description, which begins at an address.
func (d description) table(machine elf.Machine, address uint64) (data []byte, function uint64) {
	word := abis[machine].word
	record := func(parts ...[]byte) {
		body := slices.Concat(parts...)
		for len(body)%word != 4%word {
			body = append(body, nop)
		}
		data = binary.LittleEndian.AppendUint32(data, uint32(len(body)))
		data = append(data, body...)
	}
	augmentation := d.data
	if d.augmentation != "" && d.augmentation[0] == 'z' {
		augmentation = append([]byte{byte(len(d.data))}, d.data...)
	}
	record([]byte{0, 0, 0, 0, d.version}, append([]byte(d.augmentation), 0),
		[]byte{1, byte(-word) & 0x7f, d.column}, augmentation, d.common)
	at := uint64(len(data))
	function = address + at
	var body []byte
	body = binary.LittleEndian.AppendUint32(body, uint32(at+4))
	if d.encoding == 0x1b {
		body = binary.LittleEndian.AppendUint32(body, uint32(fakeFunction-(function+8)))
		body = binary.LittleEndian.AppendUint32(body, fakeCode)
	} else {
		body = append(body, binary.LittleEndian.AppendUint64(nil, fakeFunction)[:word]...)
		body = append(body, binary.LittleEndian.AppendUint64(nil, fakeCode)[:word]...)
	}
	if d.augmentation != "" && d.augmentation[0] == 'z' {
		body = append(body, 0)
	}
	record(body, d.function)
	return data, function
}

// process returns the memory of a fake process with the description.
func (d description) process(machine elf.Machine) fake {
	table, function := d.table(machine, fakeTable)
	index := []byte{1, 0x1b, udata4, datarelSdata4}
	index = binary.LittleEndian.AppendUint32(index, fakeTable-(fakeBase+4))
	index = binary.LittleEndian.AppendUint32(index, 1)
	index = binary.LittleEndian.AppendUint32(index, fakeFunction-fakeBase)
	index = binary.LittleEndian.AppendUint32(index, uint32(function-fakeBase))
	call := []byte{0xff, 0xd0, 0xff, 0xd0} // call *%eax
	if machine == elf.EM_AARCH64 {
		call = []byte{0, 0, 0, 0x94} // bl
	}
	var stack []byte
	for i := range fakeWords {
		stack = append(stack, binary.LittleEndian.AppendUint64(nil, returnAddress(i))[:abis[machine].word]...)
	}
	return fake{fakeBase: index, fakeTable: table, fakeFunction: slices.Repeat(call, fakeCode/4), fakeStack: stack}
}

func fakeTables(pc uint64) (Table, bool) {
	return Table{Base: fakeBase, Size: fakeEnd - fakeBase, Header: fakeBase, HeaderSize: 20}, pc >= fakeBase && pc < fakeEnd
}

// fakeRegisters have the stack pointer at the stack, and 0x1000 and their number else.
func fakeRegisters(machine elf.Machine) (registers []uint64) {
	for i := range abis[machine].registers - 1 {
		registers = append(registers, 0x1000+uint64(i))
	}
	registers[abis[machine].sp] = fakeStack
	return registers
}
