// SPDX-License-Identifier: Apache-2.0

// Package value has the types of values, how a person writes them and the bytes that they
// are in memory. Flags, files and what else is around a value are not its concern.
package value

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Types are the names of all types, in the order in which help lists them.
var Types = []string{"u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64", "ptr", "bytes", "str", "cstr", "utf16"}

// Encoding is how values of a type lie in memory.
type Encoding struct {
	Type  string // one of Types
	Order binary.ByteOrder
	Word  int // bytes of a pointer: 4 or 8; used of ptr alone
}

// Size returns the bytes of one value of a number's type, 0 for another type.
func (e Encoding) Size() int {
	if e.Type == "ptr" {
		return e.Word
	}
	bits, _ := strconv.Atoi(strings.TrimLeft(e.Type, "uif"))
	if e.Type == "utf16" {
		return 0
	}
	return bits / 8
}

// Encode returns the bytes of the values, one behind the other. The error says which
// value is none of the type; of bytes it is a [*HexError].
func (e Encoding) Encode(values ...string) ([]byte, error) {
	if e.Type == "bytes" {
		return ParseHex(values...)
	}
	var data []byte
	for _, value := range values {
		var err error
		if data, err = e.append(data, value); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func (e Encoding) append(data []byte, value string) ([]byte, error) {
	switch e.Type {
	case "str":
		return append(data, value...), nil
	case "cstr":
		if strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("%q holds a NUL, which ends a cstr", value)
		}
		return append(append(data, value...), 0), nil
	case "utf16":
		if !utf8.ValidString(value) {
			return nil, fmt.Errorf("%q is not valid UTF-8", value)
		}
		for _, unit := range utf16.Encode([]rune(value)) {
			data = e.appendBits(data, uint64(unit), 2)
		}
		return data, nil
	}
	bits, err := e.parseNumber(value)
	if err != nil {
		return nil, err
	}
	return e.appendBits(data, bits, e.Size()), nil
}

// parseNumber returns the bits of a number, which must be one that the type can
// hold exactly as far as it is an integer.
func (e Encoding) parseNumber(value string) (bits uint64, err error) {
	width := e.Size() * 8
	switch e.Type[0] {
	case 'f':
		var f float64
		f, err = strconv.ParseFloat(value, width)
		bits = math.Float64bits(f)
		if width == 32 {
			bits = uint64(math.Float32bits(float32(f)))
		}
	case 'i':
		var i int64
		i, err = ParseSigned(value, width)
		bits = uint64(i)
	default:
		bits, err = ParseUnsigned(value, width)
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is out of range for %s (%s)", value, e.Type, e.limits())
	case err != nil:
		return 0, fmt.Errorf("%q is not a number for %s", value, e.Type)
	}
	return bits, nil
}

// limits says which numbers the type can hold.
func (e Encoding) limits() string {
	width := e.Size() * 8
	switch {
	case e.Type == "f32":
		return fmt.Sprintf("at most %g", math.MaxFloat32)
	case e.Type == "f64":
		return fmt.Sprintf("at most %g", math.MaxFloat64)
	case e.Type[0] == 'i':
		return fmt.Sprintf("%d to %d", -1<<(width-1), 1<<(width-1)-1)
	}
	return fmt.Sprintf("0 to %d", uint64(math.MaxUint64)>>(64-width))
}

// ParseUnsigned parses decimal, 0x, 0o and 0b. A leading 0 alone is no octal. The errors
// are those of package strconv.
func ParseUnsigned(text string, width int) (uint64, error) {
	if IsDecimal(text) {
		return strconv.ParseUint(text, 10, width)
	}
	if value, err := strconv.ParseInt(text, 0, 64); err == nil && value < 0 {
		return 0, strconv.ErrRange
	}
	return strconv.ParseUint(text, 0, width)
}

// ParseSigned is [ParseUnsigned] of a number that may have a minus.
func ParseSigned(text string, width int) (int64, error) {
	if IsDecimal(strings.TrimPrefix(text, "-")) {
		return strconv.ParseInt(text, 10, width)
	}
	return strconv.ParseInt(text, 0, width)
}

// IsDecimal reports whether a text is digits from 0 to 9, and one at least.
func IsDecimal(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

func (e Encoding) appendBits(data []byte, bits uint64, size int) []byte {
	var word [8]byte
	if e.Order == binary.BigEndian {
		binary.BigEndian.PutUint64(word[:], bits)
		return append(data, word[8-size:]...)
	}
	binary.LittleEndian.PutUint64(word[:], bits)
	return append(data, word[:size]...)
}

// Decode returns the values in data as text, in the form that Encode takes.
func (e Encoding) Decode(data []byte) []string {
	switch e.Type {
	case "bytes":
		return []string{hex.EncodeToString(data)}
	case "str", "cstr":
		return []string{string(data)}
	case "utf16":
		units := make([]uint16, len(data)/2)
		for i := range units {
			units[i] = e.Order.Uint16(data[2*i:])
		}
		return []string{string(utf16.Decode(units))}
	}
	var values []string
	for size := e.Size(); len(data) >= size; data = data[size:] {
		values = append(values, e.formatNumber(data[:size]))
	}
	return values
}

func (e Encoding) formatNumber(data []byte) string {
	var word [8]byte
	var bits uint64
	if e.Order == binary.BigEndian {
		copy(word[8-len(data):], data)
		bits = binary.BigEndian.Uint64(word[:])
	} else {
		copy(word[:], data)
		bits = binary.LittleEndian.Uint64(word[:])
	}
	unused := 64 - 8*len(data)
	switch {
	case e.Type == "ptr":
		return fmt.Sprintf("%#x", bits)
	case e.Type == "f32":
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(bits))), 'g', -1, 32)
	case e.Type == "f64":
		return strconv.FormatFloat(math.Float64frombits(bits), 'g', -1, 64)
	case e.Type[0] == 'i':
		return strconv.FormatInt(int64(bits<<unused)>>unused, 10)
	}
	return strconv.FormatUint(bits, 10)
}

// IsText reports whether values of the type are texts.
func (e Encoding) IsText() bool { return e.Type == "str" || e.Type == "cstr" || e.Type == "utf16" }

// NativeOrder returns the byte order of this machine.
func NativeOrder() binary.ByteOrder {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}
