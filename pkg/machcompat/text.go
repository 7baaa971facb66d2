// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrNoEnd is what the error of [ReadString] wraps when there is no NUL within the
// limit.
var ErrNoEnd = errors.New("no NUL ends the string within the limit")

// ReadString reads the string at address up to its NUL, which may be the last byte
// before memory that can't be read: a string of bytes as they are, which C programs
// on Linux mean as UTF-8, or of uint16 as UTF-16, in which what is half a pair
// becomes U+FFFD.
//
// It looks at no more than limit units (bytes, or uint16) with the NUL, and takes
// memory for as many as there are. If none of them is the NUL, it returns them, and
// an [*Error] with KERN_FAILURE that wraps [ErrNoEnd]. Other errors are those of
// [Task.ReadBatch].
func ReadString[T byte | uint16](m ValueMemory, address uint64, limit int) (string, error) {
	size := binary.Size(T(0))
	most := uint64(max(limit, 0)) * uint64(size)
	var text []byte
	for scanned := 0; ; {
		for ; scanned+size <= len(text); scanned += size {
			if text[scanned] == 0 && text[scanned+size-1] == 0 {
				return decode(text[:scanned], size), nil
			}
		}
		at := address + uint64(len(text))
		part := min(HostPageSize()-at%HostPageSize(), most-uint64(len(text)))
		switch {
		case part == 0:
			return decode(text, size), &Error{Op: opRead, PID: m.PID(), Address: address, Size: most, Code: KERN_FAILURE, Err: ErrNoEnd}
		case at < address:
			return "", wrapError(m, opRead, address, math.MaxUint64-address+1)
		}
		text = slices.Grow(text, int(part))[:len(text)+int(part)]
		if err := m.ReadBatch([]Segment{{Address: at, Data: text[len(text)-int(part):]}}); err != nil {
			return "", err
		}
	}
}

func decode(text []byte, size int) string {
	if size == 1 {
		return string(text)
	}
	units := make([]uint16, len(text)/size)
	for i := range units {
		units[i] = binary.NativeEndian.Uint16(text[i*size:])
	}
	return string(utf16.Decode(units))
}

// WriteString writes s and a NUL behind it at address, and no other byte: the bytes
// of s as they are, or for uint16 as UTF-16. The caller must know that there is room
// for it.
//
// The error is that of [Task.Write]; or an [*Error] with KERN_INVALID_ARGUMENT that
// wraps [ErrValue] if there is a NUL in s, or for uint16 if s is not valid UTF-8.
func WriteString[T byte | uint16](m ValueMemory, address uint64, s string) error {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return valueError(m, opWrite, address, fmt.Errorf("%w: a NUL is its byte %d", ErrValue, i))
	}
	text := append([]byte(s), 0)
	if binary.Size(T(0)) == 2 {
		if !utf8.ValidString(s) {
			return valueError(m, opWrite, address, fmt.Errorf("%w: it is not valid UTF-8", ErrValue))
		}
		text = nil
		for _, unit := range utf16.Encode([]rune(s + "\x00")) {
			text = binary.NativeEndian.AppendUint16(text, unit)
		}
	}
	return m.WriteBatch([]Segment{{Address: address, Data: text}})
}
