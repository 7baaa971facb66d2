// SPDX-License-Identifier: Apache-2.0

package unwind

import (
	"errors"
	"fmt"
)

// Operations of expressions: DW_OP_ of DWARF 4, section 7.7.1.
const (
	opAddr      = 0x03
	opDeref     = 0x06
	opConst1u   = 0x08
	opConst8s   = 0x0f
	opConstu    = 0x10
	opConsts    = 0x11
	opDup       = 0x12
	opDrop      = 0x13
	opOver      = 0x14
	opPick      = 0x15
	opSwap      = 0x16
	opRot       = 0x17
	opAbs       = 0x19
	opAnd       = 0x1a
	opMinus     = 0x1c
	opMul       = 0x1e
	opNeg       = 0x1f
	opNot       = 0x20
	opOr        = 0x21
	opPlus      = 0x22
	opPlusConst = 0x23
	opShl       = 0x24
	opShr       = 0x25
	opShra      = 0x26
	opXor       = 0x27
	opBra       = 0x28
	opEq        = 0x29
	opGe        = 0x2a
	opGt        = 0x2b
	opLe        = 0x2c
	opLt        = 0x2d
	opNe        = 0x2e
	opSkip      = 0x2f
	opLit0      = 0x30
	opLit31     = 0x4f
	opBreg0     = 0x70
	opBreg31    = 0x8f
	opBregx     = 0x92
	opDerefSize = 0x94
	opNop       = 0x96
)

const (
	maxStack = 64
	maxSteps = 1000
)

// evaluation is an expression at work.
type evaluation struct {
	*cursor
	u     *Unwinder
	t     *thread
	stack []uint64
}

// evaluate returns the value of an expression. The stack of one with hasCFA begins with
// the frame's address.
func (u *Unwinder) evaluate(t *thread, code []byte, cfa uint64, hasCFA bool) (uint64, error) {
	e := evaluation{cursor: &cursor{data: code, word: u.abi.word}, u: u, t: t}
	if hasCFA {
		e.push(cfa)
	}
	for steps := 0; len(e.data) > 0 && e.err == nil; steps++ {
		if steps == maxSteps {
			e.fail(fmt.Errorf("an expression takes more than %d steps", maxSteps))
		} else if err := u.memory.spend(1); err != nil {
			e.fail(err)
		}
		op := byte(e.number(1))
		if op == opBra || op == opSkip {
			e.jump(code, op)
		} else {
			e.operate(op)
		}
	}
	value := e.pop()
	return value, e.err
}

func (e *evaluation) push(value uint64) {
	if len(e.stack) == maxStack {
		e.fail(fmt.Errorf("an expression has more than %d values", maxStack))
		return
	}
	e.stack = append(e.stack, value&e.u.abi.mask())
}

func (e *evaluation) pop() uint64 {
	value := e.pick(0)
	e.stack = e.stack[:max(len(e.stack)-1, 0)]
	return value
}

// pick returns a value of the stack, counted from the last.
func (e *evaluation) pick(index int) uint64 {
	if index >= len(e.stack) {
		e.fail(errors.New("an expression lacks a value"))
		return 0
	}
	return e.stack[len(e.stack)-1-index]
}

// jump goes elsewhere in the code: always, or if the last value is not 0.
func (e *evaluation) jump(code []byte, op byte) {
	distance := e.signed(2)
	if op == opBra && e.pop() == 0 || e.err != nil {
		return
	}
	to := int64(len(code)-len(e.data)) + distance
	if to < 0 || to > int64(len(code)) {
		e.fail(errors.New("an expression jumps out of itself"))
		return
	}
	e.data = code[to:]
}

func (e *evaluation) operate(op byte) {
	switch {
	case op == opAddr:
		e.push(e.number(e.word))
	case op >= opConst1u && op <= opConst8s:
		size := 1 << ((op - opConst1u) / 2)
		if value := e.number(size); op%2 == 0 {
			e.push(value)
		} else {
			e.push(uint64(extend(value, size)))
		}
	case op == opConstu:
		e.push(e.uleb())
	case op == opConsts:
		e.push(uint64(e.sleb()))
	case op >= opLit0 && op <= opLit31:
		e.push(uint64(op - opLit0))
	case op >= opBreg0 && op <= opBreg31:
		e.pushRegister(uint64(op - opBreg0))
	case op == opBregx:
		e.pushRegister(e.uleb())
	case op == opDeref:
		e.load(e.word)
	case op == opDerefSize:
		e.load(int(e.number(1)))
	case op == opDup:
		e.push(e.pick(0))
	case op == opDrop:
		e.pop()
	case op == opOver:
		e.push(e.pick(1))
	case op == opPick:
		e.push(e.pick(int(e.number(1))))
	case op == opSwap:
		b, a := e.pop(), e.pop()
		e.push(b)
		e.push(a)
	case op == opRot:
		c, b, a := e.pop(), e.pop(), e.pop()
		e.push(c)
		e.push(a)
		e.push(b)
	case op == opAbs:
		value := extend(e.pop(), e.word)
		e.push(uint64(max(value, -value)))
	case op == opNeg:
		e.push(-e.pop())
	case op == opNot:
		e.push(^e.pop())
	case op == opPlusConst:
		e.push(e.pop() + e.uleb())
	case op == opNop:
	default:
		b, a := e.pop(), e.pop()
		e.push(e.combine(op, a, b))
	}
}

func (e *evaluation) pushRegister(register uint64) {
	offset := e.sleb()
	value, err := e.t.get(int(min(register, maxRegisters)))
	if err != nil {
		e.fail(err)
	}
	e.push(value + uint64(offset))
}

func (e *evaluation) load(size int) {
	at := e.pop()
	if e.err != nil {
		return
	}
	if size != 1 && size != 2 && size != 4 && size != e.word {
		e.fail(fmt.Errorf("an expression reads %d bytes", size))
		return
	}
	value, err := e.u.memory.word(at, size)
	if err != nil {
		e.fail(err)
	}
	e.push(value)
}

// combine returns the result of an operation on two values.
func (e *evaluation) combine(op byte, a, b uint64) uint64 {
	signedA, signedB := extend(a, e.word), extend(b, e.word)
	truth := false
	switch op {
	case opAnd:
		return a & b
	case opMinus:
		return a - b
	case opMul:
		return a * b
	case opOr:
		return a | b
	case opPlus:
		return a + b
	case opShl:
		return a << b
	case opShr:
		return a >> b
	case opShra:
		return uint64(signedA >> b)
	case opXor:
		return a ^ b
	case opEq:
		truth = a == b
	case opGe:
		truth = signedA >= signedB
	case opGt:
		truth = signedA > signedB
	case opLe:
		truth = signedA <= signedB
	case opLt:
		truth = signedA < signedB
	case opNe:
		truth = a != b
	default:
		e.fail(fmt.Errorf("the operation %#x of an expression is not known", op))
	}
	if truth {
		return 1
	}
	return 0
}
