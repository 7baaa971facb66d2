// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// valueTypes are the types of -t, in the order in which help lists them.
var valueTypes = []string{"u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64", "ptr", "bytes", "str", "cstr", "utf16"}

// encoding is how values lie in the target's memory.
type encoding struct {
	kind  string // one of valueTypes
	order binary.ByteOrder
	word  int // bytes of a pointer of the target: 4 or 8
}

func checkType(kind string) error {
	if !slices.Contains(valueTypes, kind) {
		return usagef("no type %q: %s", kind, strings.Join(valueTypes, ", "))
	}
	return nil
}

// size returns the bytes of one value of a number's type, 0 for another type.
func (e encoding) size() int {
	if e.kind == "ptr" {
		return e.word
	}
	bits, _ := strconv.Atoi(strings.TrimLeft(e.kind, "uif"))
	if e.kind == "utf16" {
		return 0
	}
	return bits / 8
}

// sizeOf returns the bytes of a number of values; of units of bytes, str and utf16.
func (e encoding) sizeOf(count uint64) (uint64, error) {
	unit := uint64(e.size())
	switch e.kind {
	case "bytes", "str":
		unit = 1
	case "utf16":
		unit = 2
	}
	if count > (1<<63)/unit {
		return 0, usagef("-c %d is more than there can be", count)
	}
	return count * unit, nil
}

// encode returns the bytes of the values, one behind the other.
func (e encoding) encode(values []string) ([]byte, error) {
	if e.kind == "bytes" {
		return parseHex(values)
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

func (e encoding) append(data []byte, value string) ([]byte, error) {
	switch e.kind {
	case "str":
		return append(data, value...), nil
	case "cstr":
		if strings.ContainsRune(value, 0) {
			return nil, usagef("%q holds a NUL, which ends a cstr", value)
		}
		return append(append(data, value...), 0), nil
	case "utf16":
		if !utf8.ValidString(value) {
			return nil, usagef("%q is not valid UTF-8", value)
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
	return e.appendBits(data, bits, e.size()), nil
}

// parseNumber returns the bits of a number, which must be one that the type can
// hold exactly as far as it is an integer.
func (e encoding) parseNumber(value string) (bits uint64, err error) {
	width := e.size() * 8
	switch e.kind[0] {
	case 'f':
		var f float64
		f, err = strconv.ParseFloat(value, width)
		bits = math.Float64bits(f)
		if width == 32 {
			bits = uint64(math.Float32bits(float32(f)))
		}
	case 'i':
		var i int64
		i, err = parseSigned(value, width)
		bits = uint64(i)
	default:
		bits, err = parseUnsigned(value, width)
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, usagef("%s is out of range for %s (%s)", value, e.kind, e.limits())
	case err != nil:
		return 0, usagef("%q is not a number for %s", value, e.kind)
	}
	return bits, nil
}

// limits says which numbers the type can hold.
func (e encoding) limits() string {
	width := e.size() * 8
	switch {
	case e.kind == "f32":
		return fmt.Sprintf("at most %g", math.MaxFloat32)
	case e.kind == "f64":
		return fmt.Sprintf("at most %g", math.MaxFloat64)
	case e.kind[0] == 'i':
		return fmt.Sprintf("%d to %d", -1<<(width-1), 1<<(width-1)-1)
	}
	return fmt.Sprintf("0 to %d", uint64(math.MaxUint64)>>(64-width))
}

// parseUnsigned parses decimal, 0x, 0o and 0b. A leading 0 alone is no octal.
func parseUnsigned(text string, width int) (uint64, error) {
	if isPlainDecimal(text) {
		return strconv.ParseUint(text, 10, width)
	}
	if value, err := strconv.ParseInt(text, 0, 64); err == nil && value < 0 {
		return 0, strconv.ErrRange
	}
	return strconv.ParseUint(text, 0, width)
}

func parseSigned(text string, width int) (int64, error) {
	if isPlainDecimal(strings.TrimPrefix(text, "-")) {
		return strconv.ParseInt(text, 10, width)
	}
	return strconv.ParseInt(text, 0, width)
}

func isPlainDecimal(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

func (e encoding) appendBits(data []byte, bits uint64, size int) []byte {
	var word [8]byte
	if e.order == binary.BigEndian {
		binary.BigEndian.PutUint64(word[:], bits)
		return append(data, word[8-size:]...)
	}
	binary.LittleEndian.PutUint64(word[:], bits)
	return append(data, word[:size]...)
}

// decode returns the values in data as text, in the form that encode takes.
func (e encoding) decode(data []byte) []string {
	switch e.kind {
	case "bytes":
		return []string{hex.EncodeToString(data)}
	case "str", "cstr":
		return []string{string(data)}
	case "utf16":
		units := make([]uint16, len(data)/2)
		for i := range units {
			units[i] = e.order.Uint16(data[2*i:])
		}
		return []string{string(utf16.Decode(units))}
	}
	var values []string
	for size := e.size(); len(data) >= size; data = data[size:] {
		values = append(values, e.formatNumber(data[:size]))
	}
	return values
}

func (e encoding) formatNumber(data []byte) string {
	var word [8]byte
	var bits uint64
	if e.order == binary.BigEndian {
		copy(word[8-len(data):], data)
		bits = binary.BigEndian.Uint64(word[:])
	} else {
		copy(word[:], data)
		bits = binary.LittleEndian.Uint64(word[:])
	}
	unused := 64 - 8*len(data)
	switch {
	case e.kind == "ptr":
		return hexAddress(bits)
	case e.kind == "f32":
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(bits))), 'g', -1, 32)
	case e.kind == "f64":
		return strconv.FormatFloat(math.Float64frombits(bits), 'g', -1, 64)
	case e.kind[0] == 'i':
		return strconv.FormatInt(int64(bits<<unused)>>unused, 10)
	}
	return strconv.FormatUint(bits, 10)
}

// parseHex parses bytes in hex: 90 90, 9090, 0x90 or "90 90".
func parseHex(values []string) ([]byte, error) {
	var data []byte
	for _, value := range values {
		for _, word := range strings.Fields(value) {
			digits := strings.TrimPrefix(strings.TrimPrefix(word, "0x"), "0X")
			b, err := hex.DecodeString(digits)
			switch {
			case err == hex.ErrLength && isHex(digits):
				return nil, usagef("%q has an odd number of hex digits, and each byte needs two; for a number name its type, as -t i32 %s", word, word)
			case err != nil || digits == "":
				return nil, usagef("%q is not bytes in hex, such as 90, 9090 or 0x90; for a number or a text name its type with -t", word)
			}
			data = append(data, b...)
		}
	}
	return data, nil
}

func isHex(text string) bool { return strings.Trim(text, "0123456789abcdefABCDEF") == "" }
