// SPDX-License-Identifier: Apache-2.0

package instruction

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// nextX86 decodes an instruction of 64-bit or 32-bit code. The size is worked out here too,
// from the manual: what the decoder takes for something else mostly has another size then,
// and is refused.
func nextX86(bits int, code []byte, pc uint64) (i Instruction, ok bool) {
	if text, size := fixedX86(code); size > 0 {
		return Instruction{Size: size, Text: text}, true
	}
	inst, p, ok := decodeX86(bits, code)
	if !ok {
		return i, false
	}
	size := inst.Len
	i = Instruction{Size: size, Call: inst.Op == x86asm.CALL || inst.Op == x86asm.LCALL}
	if p.vector && p.relative {
		for n, argument := range inst.Args {
			if m, ok := argument.(x86asm.Mem); ok {
				m.Base = x86asm.RIP // which the decoder leaves out
				inst.Args[n] = m
			}
		}
	}
	i.Text = x86asm.IntelSyntax(inst, pc, nil)
	if distance, ok := inst.Args[0].(x86asm.Rel); ok && bits == 32 {
		// The decoder does not go from the end of the addresses to the start.
		name, _, _ := strings.Cut(i.Text, " 0x")
		i.Text = fmt.Sprintf("%s %#x", name, uint32(pc+uint64(size)+uint64(distance)))
	}
	return i, true
}

// sizeX86 is nextX86 without the text, which takes most of the time.
func sizeX86(bits int, code []byte) (size int, ok bool) {
	if _, size := fixedX86(code); size > 0 {
		return size, true
	}
	inst, _, ok := decodeX86(bits, code)
	return inst.Len, ok
}

func decodeX86(bits int, code []byte) (inst x86asm.Inst, p partsX86, ok bool) {
	p, size := parseX86(bits, code)
	if size == 0 {
		return inst, p, false
	}
	inst, err := x86asm.Decode(code[:size], bits)
	return inst, p, err == nil && inst.Op != 0 && inst.Len == size
}

func fixedX86(code []byte) (text string, size int) {
	for _, f := range fixed {
		if bytes.HasPrefix(code, f.code) {
			return f.text, len(f.code)
		}
	}
	return "", 0
}

// fixed are instructions that the decoder does not know, or takes for longer ones.
var fixed = []struct {
	code []byte
	text string
}{
	{[]byte{0xf3, 0x0f, 0x1e, 0xfa}, "endbr64"},
	{[]byte{0xf3, 0x0f, 0x1e, 0xfb}, "endbr32"},
	{[]byte{0xc5, 0xf8, 0x77}, "vzeroupper"},
	{[]byte{0xc5, 0xfc, 0x77}, "vzeroall"},
}

// partsX86 are the parts of an instruction: Intel's manual, volume 2, chapter 2.
type partsX86 struct {
	bits      int
	wide      bool // REX.W: operands of 64 bits
	narrow    bool // operands of 16 bits
	shortened bool // the prefix for the other size of address
	vector    bool // VEX or EVEX
	relative  bool // the operand in memory is relative to the next instruction
}

// parseX86 returns the parts of the first instruction and how many bytes it has: 0 if that
// is not known.
func parseX86(bits int, code []byte) (p partsX86, size int) {
	const longest = 15
	p.bits = bits
	code = code[:min(len(code), longest)]
	at := 0
	next := func() (b byte) {
		if at < len(code) {
			b = code[at]
		}
		at++
		return b
	}
	op := next()
	for ; isPrefix(op); op = next() {
		p.narrow = p.narrow || op == 0x66
		p.shortened = p.shortened || op == 0x67
	}
	if bits == 64 && op&0xf0 == 0x40 {
		p.wide = op&8 != 0
		op = next()
	}
	var modRM bool
	var immediate int
	known := true
	switch vector := at < len(code) && (bits == 64 || code[at] >= 0xc0); {
	case op == 0x62 && vector, op == 0xc4 && vector, op == 0xc5 && vector:
		p.vector = true
		opcodes := byte(1)
		switch op {
		case 0xc4:
			opcodes = next() & 0x1f
		case 0x62:
			opcodes = next() & 0x0f
			next()
		}
		next()
		modRM, immediate, known = vectorX86(opcodes, next())
		// A prefix before these makes most of them invalid. Others are rare.
		known = known && at <= len(code) && op == code[0]
	case op == 0x0f:
		modRM, immediate, known = p.twoBytes(next, code, &at)
	default:
		modRM, immediate, known = p.oneByte(op, code[min(at, len(code)):])
	}
	if !known {
		return p, 0
	}
	if modRM {
		if bits == 32 && p.shortened { // operands of 16-bit code
			return p, 0
		}
		at += p.operand(code[min(at, len(code)):])
	}
	at += immediate
	if at > len(code) {
		return p, 0
	}
	return p, at
}

func isPrefix(b byte) bool {
	return b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b&^0x18 == 0x26 || b == 0x64 || b == 0x65
}

// operand returns the bytes of ModR/M, SIB and displacement.
func (p *partsX86) operand(code []byte) int {
	if len(code) == 0 {
		return 1
	}
	mod, rm := code[0]>>6, code[0]&7
	size := 1 + [...]int{0, 1, 4, 0}[mod]
	switch {
	case mod == 3:
	case rm == 4:
		size++
		if mod == 0 && len(code) > 1 && code[1]&7 == 5 {
			size += 4
		}
	case mod == 0 && rm == 5:
		p.relative = p.bits == 64
		size += 4
	}
	return size
}

// value returns the bytes of an immediate of the operand's size, which has at most 4.
func (p *partsX86) value() int {
	if p.narrow && !p.wide {
		return 2
	}
	return 4
}

// oneByte tells of the opcodes of one byte whether ModR/M follows, and the bytes of the
// immediate behind it. The code is what follows the opcode.
func (p *partsX86) oneByte(op byte, code []byte) (modRM bool, immediate int, known bool) {
	reg := byte(0)
	if len(code) > 0 {
		reg = code[0] >> 3 & 7
	}
	address := 4 // of an operand in memory without ModR/M
	if p.bits == 64 && !p.shortened {
		address = 8
	}
	switch {
	case op < 0x40 && op&7 < 4:
		return true, 0, true
	case op < 0x40 && op&7 == 4, op == 0x6a, op >= 0x70 && op <= 0x7f, op == 0xa8, op >= 0xb0 && op <= 0xb7,
		op == 0xcd, op == 0xd4, op == 0xd5, op >= 0xe0 && op <= 0xe7, op == 0xeb:
		return false, 1, true
	case op < 0x40 && op&7 == 5, op == 0x68, op == 0xa9:
		return false, p.value(), true
	case op == 0x69, op == 0x81, op == 0xc7:
		return true, p.value(), op != 0xc7 || reg == 0
	case op == 0x6b, op == 0x80, op == 0x82, op == 0x83, op == 0xc0, op == 0xc1, op == 0xc6:
		return true, 1, op != 0xc6 || reg == 0
	case op >= 0xa0 && op <= 0xa3:
		return false, address, p.bits == 64 || !p.shortened
	case op >= 0xb8 && op <= 0xbf && p.wide:
		return false, 8, true
	case op >= 0xb8 && op <= 0xbf:
		return false, p.value(), true
	case op == 0xc2, op == 0xca:
		return false, 2, true
	case op == 0xc8:
		return false, 3, true
	case op == 0xe8, op == 0xe9:
		return false, 4, p.onlyOneTarget()
	case op == 0x9a, op == 0xea:
		return false, 2 + p.value(), p.bits == 32
	case op == 0xf6 && reg < 2:
		return true, 1, true
	case op == 0xf7 && reg < 2:
		return true, p.value(), true
	case op == 0x63, op >= 0x84 && op <= 0x8e, op == 0x8f && reg == 0, op >= 0xd0 && op <= 0xd3, op >= 0xd8 && op <= 0xdf,
		op == 0xf6, op == 0xf7, op == 0xfe, op == 0xff,
		p.bits == 32 && (op == 0x62 || op == 0xc4 || op == 0xc5):
		return true, 0, true
	case op == 0x62, op == 0xc4, op == 0xc5, op == 0x8f, op == 0xd6:
		return false, 0, false
	}
	return false, 0, true
}

// onlyOneTarget reports whether all processors take a jump of 4 bytes for one: with
// operands of 16 bits it is one of 2 bytes on those of AMD.
func (p *partsX86) onlyOneTarget() bool { return !p.narrow || p.wide }

// twoBytes does the same for what begins with 0F.
func (p *partsX86) twoBytes(next func() byte, code []byte, at *int) (modRM bool, immediate int, known bool) {
	switch op := next(); {
	case op == 0x38:
		next()
		return true, 0, true
	case op == 0x3a:
		next()
		return true, 1, true
	case op == 0x0f: // 3DNow!
		return true, 1, true
	case op >= 0x80 && op <= 0x8f:
		return false, 4, p.onlyOneTarget()
	case op >= 0x70 && op <= 0x73, op == 0xa4, op == 0xac, op == 0xba, op == 0xc2, op >= 0xc4 && op <= 0xc6:
		return true, 1, true
	case op == 0x78 && (p.narrow || bytes.IndexByte(code[:*at], 0xf2) >= 0): // EXTRQ, INSERTQ
		return false, 0, false
	case op >= 0x20 && op <= 0x23: // the register is read as if mod were 3
		return false, 1, true
	case op >= 0x05 && op <= 0x0b && op != 0x0a, op == 0x0e, op >= 0x30 && op <= 0x37, op == 0x77,
		op >= 0xa0 && op <= 0xa2, op >= 0xa8 && op <= 0xaa, op >= 0xc8 && op <= 0xcf:
		return false, 0, true
	case op == 0x04, op == 0x0a, op == 0x0c, op >= 0x24 && op <= 0x27, op >= 0x39 && op <= 0x3f, op == 0x7a, op == 0x7b, op == 0xa6, op == 0xa7, op == 0xff:
		return false, 0, false
	}
	return true, 0, true
}

// vectorX86 does the same for the tables of opcodes of VEX and EVEX.
func vectorX86(opcodes, op byte) (modRM bool, immediate int, known bool) {
	switch opcodes {
	case 1:
		if op >= 0x70 && op <= 0x73 || op == 0xc2 || op >= 0xc4 && op <= 0xc6 {
			return true, 1, true
		}
		return true, 0, op != 0x77
	case 2:
		return true, 0, true
	case 3:
		return true, 1, true
	}
	return false, 0, false
}
