// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/vmwrite/vmwrite/internal/value"
)

// encoding is how values lie in the target's memory, with errors that are of the command
// line.
type encoding struct{ value.Encoding }

func checkType(kind string) error {
	if !slices.Contains(value.Types, kind) {
		return usagef("no type %q: %s", kind, strings.Join(value.Types, ", "))
	}
	return nil
}

// sizeOf returns the bytes of a number of values; of units of bytes, str and utf16.
func (e encoding) sizeOf(count uint64) (uint64, error) {
	unit := uint64(e.Size())
	switch e.Type {
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
	data, err := e.Encode(values...)
	return data, valueError(err)
}

// parseHex parses bytes in hex: 90 90, 9090, 0x90 or "90 90".
func parseHex(values []string) ([]byte, error) {
	data, err := value.ParseHex(values...)
	return data, valueError(err)
}

// valueError returns the error of package value as one of the command line.
func valueError(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*value.HexError](err); ok && e.Odd {
		return usagef("%q has an odd number of hex digits, and each byte needs two; for a number name its type, as -t i32 %s", e.Word, e.Word)
	} else if ok {
		return usagef("%q is not bytes in hex, such as 90, 9090 or 0x90; for a number or a text name its type with -t", e.Word)
	}
	return usagef("%s", err)
}

func isHex(text string) bool { return strings.Trim(text, "0123456789abcdefABCDEF") == "" }
