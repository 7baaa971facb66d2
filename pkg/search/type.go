// SPDX-License-Identifier: Apache-2.0

package search

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
)

// Type is what the bytes of a match stand for.
type Type uint8

// The types. Numbers and UTF-16 are in the byte order of this machine.
const (
	Bytes Type = iota + 1
	I8
	I16
	I32
	I64
	U8
	U16
	U32
	U64
	F32
	F64
	UTF8
	UTF16
	lastType = UTF16
)

var typeNames = [...]string{Bytes: "bytes", I8: "i8", I16: "i16", I32: "i32", I64: "i64", U8: "u8", U16: "u16", U32: "u32", U64: "u64", F32: "f32", F64: "f64", UTF8: "str", UTF16: "utf16"}

// ParseType returns the type of a name, as "i32".
func ParseType(name string) (Type, error) {
	for t := Bytes; t <= lastType; t++ {
		if typeNames[t] == name {
			return t, nil
		}
	}
	return 0, fmt.Errorf("no type %q", name)
}

// String returns the name that [ParseType] takes.
func (t Type) String() string {
	if t < Bytes || t > lastType {
		return fmt.Sprintf("Type(%d)", uint8(t))
	}
	return typeNames[t]
}

// Size returns the bytes of one number of the type; 1 for bytes and UTF-8, 2 for UTF-16.
func (t Type) Size() int {
	switch t {
	case I16, U16, UTF16:
		return 2
	case I32, U32, F32:
		return 4
	case I64, U64, F64:
		return 8
	}
	return 1
}

func (t Type) isNumber() bool { return t >= I8 && t <= F64 }
func (t Type) isFloat() bool  { return t == F32 || t == F64 }
func (t Type) isSigned() bool { return t >= I8 && t <= I64 }

// Format returns the bytes of a match as text: numbers with blanks between them, text
// as it is but for what is not valid, other bytes in hex.
func (t Type) Format(b []byte) string {
	switch {
	case t == UTF8:
		return string(b)
	case t == UTF16:
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = binary.NativeEndian.Uint16(b[2*i:])
		}
		return string(utf16.Decode(units))
	case !t.isNumber():
		return hex.EncodeToString(b)
	}
	var text []byte
	for ; len(b) >= t.Size(); b = b[t.Size():] {
		if len(text) > 0 {
			text = append(text, ' ')
		}
		switch raw := t.load(b); {
		case t.isFloat():
			text = strconv.AppendFloat(text, t.float(raw), 'g', -1, 8*t.Size())
		case t.isSigned():
			text = strconv.AppendInt(text, t.signed(raw), 10)
		default:
			text = strconv.AppendUint(text, raw, 10)
		}
	}
	return string(text)
}

// load returns the bits of the number that b begins with.
func (t Type) load(b []byte) uint64 {
	switch t.Size() {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return binary.NativeEndian.Uint64(b)
}

// appendBits is the reverse of load.
func (t Type) appendBits(b []byte, raw uint64) []byte {
	switch t.Size() {
	case 1:
		return append(b, byte(raw))
	case 2:
		return binary.NativeEndian.AppendUint16(b, uint16(raw))
	case 4:
		return binary.NativeEndian.AppendUint32(b, uint32(raw))
	}
	return binary.NativeEndian.AppendUint64(b, raw)
}

// signed returns the integer of a signed type that the bits stand for.
func (t Type) signed(raw uint64) int64 {
	unused := 64 - 8*t.Size()
	return int64(raw<<unused) >> unused
}

func (t Type) float(raw uint64) float64 {
	if t == F32 {
		return float64(math.Float32frombits(uint32(raw)))
	}
	return math.Float64frombits(raw)
}

func (t Type) floatBits(f float64) uint64 {
	if t == F32 {
		return uint64(math.Float32bits(float32(f)))
	}
	return math.Float64bits(f)
}

// key maps the bits of a number so that numbers compare as their keys do, without
// sign. NaNs come before and after all numbers, and -0 directly before 0.
func (t Type) key(raw uint64) uint64 {
	sign := uint64(1) << (8*t.Size() - 1)
	switch {
	case t.isFloat() && raw&sign != 0:
		return ^raw & (sign<<1 - 1)
	case t.isFloat(), t.isSigned():
		return raw ^ sign
	}
	return raw
}
