// SPDX-License-Identifier: Apache-2.0

package unwind

import (
	"errors"
	"fmt"
)

// kind is how a value of the caller is found.
type kind uint8

const (
	unset           kind = iota // what the calling convention says
	undefined                   // not at all
	same                        // it is what it is in the frame
	offset                      // in memory at the frame's address plus an offset
	valueOffset                 // the frame's address plus an offset
	register                    // in a register, plus an offset
	expression                  // in memory at the value of an expression
	valueExpression             // the value of an expression
)

type rule struct {
	kind       kind
	hasCFA     bool // the expression begins with the frame's address
	register   int
	offset     int64
	expression []byte
}

// rules are how all values of the caller are found at one place.
type rules struct {
	cfa       rule
	registers [maxRegisters]rule
	signed    bool // arm64: the return address has an authentication code
}

// rowMachine runs the instructions of a table: DWARF 4, section 6.4.2.
type rowMachine struct {
	*common
	abi       *abi
	at, until uint64 // the place that rules are for, and the one that is looked for
	rules
	first *rules // those at the start of the function; nil before
	saved []rules
}

// Instructions: DW_CFA_ of DWARF 4, section 7.23, and of the Linux Standard Base.
const (
	advanceLoc            = 0x40 // with its operand in the low six bits
	offsetShort           = 0x80 // so too
	restoreShort          = 0xc0 // so too
	nop                   = 0x00
	setLoc                = 0x01
	advanceLoc1           = 0x02
	advanceLoc2           = 0x03
	advanceLoc4           = 0x04
	offsetExtended        = 0x05
	restoreExtended       = 0x06
	undefinedRule         = 0x07
	sameValue             = 0x08
	registerRule          = 0x09
	rememberState         = 0x0a
	restoreState          = 0x0b
	defCFA                = 0x0c
	defCFARegister        = 0x0d
	defCFAOffset          = 0x0e
	defCFAExpression      = 0x0f
	expressionRule        = 0x10
	offsetExtendedSF      = 0x11
	defCFASF              = 0x12
	defCFAOffsetSF        = 0x13
	valOffset             = 0x14
	valOffsetSF           = 0x15
	valExpression         = 0x16
	negateSignedWithPC    = 0x2c // DW_CFA_AARCH64_negate_ra_state_with_pc
	negateSigned          = 0x2d // DW_CFA_AARCH64_negate_ra_state
	argumentsSize         = 0x2e // DW_CFA_GNU_args_size
	offsetExtendedNegated = 0x2f // DW_CFA_GNU_negative_offset_extended
)

const maxSaved = 64

// run runs instructions until they come to what lies behind the place that is looked for.
func (m *rowMachine) run(c *cursor) error {
	for len(c.data) > 0 && c.err == nil {
		code := byte(c.number(1))
		operand := uint64(code & 0x3f)
		switch code & 0xc0 {
		case advanceLoc:
			m.at += operand * m.codeFactor
		case offsetShort:
			m.set(operand, rule{kind: offset, offset: int64(c.uleb()) * m.dataFactor})
		case restoreShort:
			m.restore(c, operand)
		default:
			m.extended(c, code)
		}
		if m.first != nil && m.at > m.until {
			break
		}
	}
	return c.err
}

func (m *rowMachine) extended(c *cursor, code byte) {
	switch code {
	case nop:
	case setLoc:
		m.at = c.pointer(m.encoding)
	case advanceLoc1:
		m.at += c.number(1) * m.codeFactor
	case advanceLoc2:
		m.at += c.number(2) * m.codeFactor
	case advanceLoc4:
		m.at += c.number(4) * m.codeFactor
	case offsetExtended:
		m.set(c.uleb(), rule{kind: offset, offset: int64(c.uleb()) * m.dataFactor})
	case offsetExtendedSF:
		m.set(c.uleb(), rule{kind: offset, offset: c.sleb() * m.dataFactor})
	case offsetExtendedNegated:
		m.set(c.uleb(), rule{kind: offset, offset: -int64(c.uleb()) * m.dataFactor})
	case valOffset:
		m.set(c.uleb(), rule{kind: valueOffset, offset: int64(c.uleb()) * m.dataFactor})
	case valOffsetSF:
		m.set(c.uleb(), rule{kind: valueOffset, offset: c.sleb() * m.dataFactor})
	case restoreExtended:
		m.restore(c, c.uleb())
	case undefinedRule:
		m.set(c.uleb(), rule{kind: undefined})
	case sameValue:
		m.set(c.uleb(), rule{kind: same})
	case registerRule:
		m.set(c.uleb(), rule{kind: register, register: m.number(c, c.uleb())})
	case expressionRule:
		m.set(c.uleb(), rule{kind: expression, hasCFA: true, expression: c.bytes(c.uleb())})
	case valExpression:
		m.set(c.uleb(), rule{kind: valueExpression, hasCFA: true, expression: c.bytes(c.uleb())})
	case rememberState:
		if len(m.saved) == maxSaved {
			c.fail(fmt.Errorf("the table remembers more than %d states", maxSaved))
			return
		}
		m.saved = append(m.saved, m.rules)
	case restoreState:
		if len(m.saved) == 0 {
			c.fail(errors.New("the table goes back to a state that it has not remembered"))
			return
		}
		m.rules = m.saved[len(m.saved)-1]
		m.saved = m.saved[:len(m.saved)-1]
	case defCFA:
		m.cfa = rule{kind: register, register: m.number(c, c.uleb()), offset: int64(c.uleb())}
	case defCFASF:
		m.cfa = rule{kind: register, register: m.number(c, c.uleb()), offset: c.sleb() * m.dataFactor}
	case defCFARegister, defCFAOffset, defCFAOffsetSF:
		m.changeCFA(c, code)
	case defCFAExpression:
		m.cfa = rule{kind: valueExpression, expression: c.bytes(c.uleb())}
	case argumentsSize: // which only matters where an exception is caught
		c.uleb()
	case negateSigned, negateSignedWithPC:
		if !m.abi.signs {
			c.fail(unknownInstruction(code))
		}
		m.signed = !m.signed
	default:
		c.fail(unknownInstruction(code))
	}
}

func unknownInstruction(code byte) error {
	return fmt.Errorf("the instruction %#x of the table is not known", code)
}

func (m *rowMachine) changeCFA(c *cursor, code byte) {
	if m.cfa.kind != register {
		c.fail(errors.New("the table changes a frame's address that is of no register"))
	}
	switch code {
	case defCFARegister:
		m.cfa.register = m.number(c, c.uleb())
	case defCFAOffset:
		m.cfa.offset = int64(c.uleb())
	case defCFAOffsetSF:
		m.cfa.offset = c.sleb() * m.dataFactor
	}
}

// set sets the rule of a register. Those of vectors are of no interest.
func (m *rowMachine) set(register uint64, r rule) {
	if register < uint64(m.abi.registers) {
		m.registers[register] = r
	}
}

func (m *rowMachine) restore(c *cursor, register uint64) {
	switch {
	case m.first == nil:
		c.fail(errors.New("the table goes back to what it has not said"))
	case register < uint64(m.abi.registers):
		m.registers[register] = m.first.registers[register]
	}
}

// number checks the number of a register that a value is taken from. One that is not
// known here is not known in any frame either.
func (m *rowMachine) number(c *cursor, register uint64) int {
	if register >= uint64(m.abi.registers) {
		c.fail(fmt.Errorf("the table takes a value from register %d", register))
		return 0
	}
	return int(register)
}
