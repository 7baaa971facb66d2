// SPDX-License-Identifier: Apache-2.0

package unwind

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// cursor reads values from bytes of the process. After an error every value is 0.
type cursor struct {
	data    []byte // that are left
	address uint64 // of the first one
	word    int    // bytes of an address
	err     error
}

var errShort = errors.New("the table breaks off")

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.data = nil
}

func (c *cursor) bytes(n uint64) []byte {
	if n > uint64(len(c.data)) {
		c.fail(errShort)
		return nil
	}
	p := c.data[:n:n]
	c.data, c.address = c.data[n:], c.address+n
	return p
}

// number reads a number of 1, 2, 4 or 8 bytes.
func (c *cursor) number(size int) uint64 {
	var p [8]byte
	copy(p[:], c.bytes(uint64(size)))
	return binary.LittleEndian.Uint64(p[:])
}

func (c *cursor) signed(size int) int64 { return extend(c.number(size), size) }

// extend returns the value of a signed number of so many bytes.
func extend(value uint64, size int) int64 {
	unused := 64 - 8*size
	return int64(value<<unused) >> unused
}

// uleb and sleb read a LEB128 number: DWARF 4, section 7.6.
func (c *cursor) uleb() uint64 {
	value, _ := c.leb()
	return value
}

func (c *cursor) sleb() int64 {
	value, unused := c.leb()
	return int64(value<<unused) >> unused
}

func (c *cursor) leb() (value uint64, unused int) {
	for shift := 0; shift < 64; shift += 7 {
		b := c.number(1)
		value |= (b & 0x7f) << shift
		if b&0x80 == 0 {
			return value, max(64-shift-7, 0)
		}
	}
	c.fail(errors.New("a number has more than 64 bits"))
	return 0, 0
}

// text reads up to a zero byte.
func (c *cursor) text() string {
	for i, b := range c.data {
		if b == 0 {
			text := c.bytes(uint64(i) + 1)
			return string(text[:i])
		}
	}
	c.fail(errShort)
	return ""
}

// Encodings of pointers, DW_EH_PE_ of the Linux Standard Base: the low half says what the
// number is like, the high half what it is relative to.
const (
	formatOfPointer = 0x0f
	relativeToPlace = 0x10 // DW_EH_PE_pcrel
	datarelSdata4   = 0x3b // relative to the header, in the header
	udata4          = 0x03
	sdata4          = 0x0b
)

// pointer reads a pointer of an encoding.
func (c *cursor) pointer(encoding byte) (value uint64) {
	at := c.address
	switch encoding & formatOfPointer {
	case 0x0:
		value = c.number(c.word)
	case 0x1:
		value = c.uleb()
	case 0x2:
		value = c.number(2)
	case udata4:
		value = c.number(4)
	case 0x4:
		value = c.number(8)
	case 0x9:
		value = uint64(c.sleb())
	case 0xa:
		value = uint64(c.signed(2))
	case sdata4:
		value = uint64(c.signed(4))
	case 0xc:
		value = c.number(8)
	default:
		c.fail(unknownEncoding(encoding))
	}
	switch encoding &^ formatOfPointer {
	case 0:
	case relativeToPlace:
		value += at
	default:
		c.fail(unknownEncoding(encoding))
	}
	return value & (1<<(8*c.word) - 1)
}

func unknownEncoding(encoding byte) error {
	return fmt.Errorf("the encoding %#x of a pointer is not known", encoding)
}
