// SPDX-License-Identifier: Apache-2.0

// Package instruction tells where instructions begin and end, and writes them as text.
package instruction

import (
	"debug/elf"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/arch/arm64/arm64asm"
)

// ErrUnknown means that bytes are no instruction, or none that is known here.
var ErrUnknown = errors.New("the instruction is unknown")

// Instruction is one instruction.
type Instruction struct {
	Size int    // in bytes
	Call bool   // it calls a function: the address behind it is a return address
	Text string // Intel's syntax for x86, GNU's for arm64
}

// Next decodes the first instruction in code, which may be longer, for EM_X86_64, EM_386
// or EM_AARCH64. The address pc is that of its first byte: the text of a jump or a call has
// the address that it leads to. The error wraps [ErrUnknown].
func Next(machine elf.Machine, code []byte, pc uint64) (i Instruction, err error) {
	defer func() {
		if recover() != nil { // of a decoder, for which nobody vouches
			i, err = Instruction{}, unknown(code, pc)
		}
	}()
	known := false
	switch machine {
	case elf.EM_X86_64:
		i, known = nextX86(64, code, pc)
	case elf.EM_386:
		i, known = nextX86(32, code, pc)
	case elf.EM_AARCH64:
		i, known = nextARM64(code, pc)
	}
	if !known {
		return Instruction{}, unknown(code, pc)
	}
	return i, nil
}

// Size returns the Size of what [Next] returns, in a tenth of the time. The error is that
// of Next, without an address.
func Size(machine elf.Machine, code []byte) (size int, err error) {
	defer func() {
		if recover() != nil { // as in Next
			size, err = 0, unknown(code, 0)
		}
	}()
	known := false
	switch machine {
	case elf.EM_X86_64:
		size, known = sizeX86(64, code)
	case elf.EM_386:
		size, known = sizeX86(32, code)
	case elf.EM_AARCH64:
		one, ok := nextARM64(code, 0)
		size, known = one.Size, ok
	}
	if !known {
		return 0, unknown(code, 0)
	}
	return size, nil
}

func unknown(code []byte, pc uint64) error {
	const shown = 15
	return fmt.Errorf("%w: % x at %#x", ErrUnknown, code[:min(len(code), shown)], pc)
}

// Boundary reports whether an instruction begins at an offset, from 0 to len(code), if one
// begins at the start of code. The error wraps [ErrUnknown] if one before it is not known.
func Boundary(machine elf.Machine, code []byte, offset int) (bool, error) {
	if machine == elf.EM_AARCH64 {
		return offset >= 0 && offset%sizeARM64 == 0, nil
	}
	at := 0
	for at < offset {
		i, err := Next(machine, code[at:], uint64(at))
		if err != nil {
			return false, err
		}
		at += i.Size
	}
	return at == offset, nil
}

const sizeARM64 = 4

func nextARM64(code []byte, pc uint64) (i Instruction, known bool) {
	if len(code) < sizeARM64 {
		return i, false
	}
	inst, err := arm64asm.Decode(code[:sizeARM64])
	if err != nil || inst.Op == 0 {
		return i, false
	}
	i = Instruction{Size: sizeARM64, Call: inst.Op == arm64asm.BL || inst.Op == arm64asm.BLR, Text: arm64asm.GNUSyntax(inst)}
	for _, argument := range inst.Args {
		if distance, ok := argument.(arm64asm.PCRel); ok {
			base := pc
			if inst.Op == arm64asm.ADRP {
				base &^= 1<<12 - 1
			}
			i.Text = strings.Replace(i.Text, distance.String(), fmt.Sprintf("%#x", base+uint64(distance)), 1)
		}
	}
	return i, true
}
