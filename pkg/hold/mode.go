// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

// Mode is what of a value is kept.
type Mode uint8

// The modes. A NaN is neither more nor less than any number: where the mode is not
// Constant it does not hold, and is replaced by the limit, or by what was last kept.
const (
	// Constant keeps the very bytes.
	Constant Mode = iota
	// Minimum replaces a value that is less by the minimum.
	Minimum
	// Maximum replaces a value that is more by the maximum.
	Maximum
	// OnlyUp replaces a value by the highest that was seen, also when it has moved or
	// vanished meanwhile.
	OnlyUp
	// OnlyDown replaces a value by the lowest that was seen.
	OnlyDown
)

var modeNames = [...]string{"constant", "minimum", "maximum", "only-up", "only-down"}

// String returns "constant", "minimum", "maximum", "only-up" or "only-down".
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return "Mode(" + strconv.Itoa(int(m)) + ")"
}

// ParseMode returns the mode of a name that String returns.
func ParseMode(name string) (Mode, error) {
	for m, n := range modeNames {
		if n == name {
			return Mode(m), nil
		}
	}
	return 0, fmt.Errorf("no mode %q: constant, minimum, maximum, only-up or only-down", name)
}

// Type is how the bytes of a value are compared. The zero Type is none.
type Type uint8

// The types: integers and floats of the byte order of this machine, and bytes.
const (
	Int8 Type = iota + 1
	Int16
	Int32
	Int64
	Uint8
	Uint16
	Uint32
	Uint64
	Float32
	Float64
	// Bytes are any number of bytes, which have no order: they can be Constant only.
	Bytes
)

var types = [...]struct {
	name string
	size int
}{
	Int8: {"i8", 1}, Int16: {"i16", 2}, Int32: {"i32", 4}, Int64: {"i64", 8},
	Uint8: {"u8", 1}, Uint16: {"u16", 2}, Uint32: {"u32", 4}, Uint64: {"u64", 8},
	Float32: {"f32", 4}, Float64: {"f64", 8}, Bytes: {"bytes", 0},
}

// String returns "i8" to "i64", "u8" to "u64", "f32", "f64" or "bytes".
func (t Type) String() string {
	if t > 0 && int(t) < len(types) {
		return types[t].name
	}
	return "Type(" + strconv.Itoa(int(t)) + ")"
}

// ParseType returns the type of a name that String returns.
func ParseType(name string) (Type, error) {
	for t := Int8; int(t) < len(types); t++ {
		if types[t].name == name {
			return t, nil
		}
	}
	return 0, fmt.Errorf("no type %q: i8, i16, i32, i64, u8, u16, u32, u64, f32, f64 or bytes", name)
}

// Size returns the bytes of a value, 0 of [Bytes].
func (t Type) Size() int {
	if int(t) < len(types) {
		return types[t].size
	}
	return 0
}

// float returns the value of a float's bytes, and 0 of others.
func (t Type) float(b []byte) float64 {
	switch t {
	case Float32:
		return float64(math.Float32frombits(binary.NativeEndian.Uint32(b)))
	case Float64:
		return math.Float64frombits(binary.NativeEndian.Uint64(b))
	}
	return 0
}

func (t Type) isNaN(b []byte) bool { return math.IsNaN(t.float(b)) }

// compare compares two values, neither a NaN, as cmp.Compare does.
func (t Type) compare(a, b []byte) int {
	order := binary.NativeEndian
	switch t {
	case Int8:
		return cmp.Compare(int8(a[0]), int8(b[0]))
	case Int16:
		return cmp.Compare(int16(order.Uint16(a)), int16(order.Uint16(b)))
	case Int32:
		return cmp.Compare(int32(order.Uint32(a)), int32(order.Uint32(b)))
	case Int64:
		return cmp.Compare(int64(order.Uint64(a)), int64(order.Uint64(b)))
	case Uint8:
		return cmp.Compare(a[0], b[0])
	case Uint16:
		return cmp.Compare(order.Uint16(a), order.Uint16(b))
	case Uint32:
		return cmp.Compare(order.Uint32(a), order.Uint32(b))
	case Uint64:
		return cmp.Compare(order.Uint64(a), order.Uint64(b))
	}
	return cmp.Compare(t.float(a), t.float(b))
}

// holds reports whether a value may stay. One that is the best so far of OnlyUp or
// OnlyDown is kept in mind.
func (e *held) holds(seen []byte) bool {
	if e.mode == Constant {
		return string(seen) == string(e.want)
	}
	if e.kind.isNaN(seen) {
		return !e.begun // with nothing to replace it by
	}
	order := 0
	if e.begun {
		order = e.kind.compare(seen, e.want)
	}
	switch e.mode {
	case Minimum:
		return order >= 0
	case Maximum:
		return order <= 0
	case OnlyUp:
		if order < 0 {
			return false
		}
	case OnlyDown:
		if order > 0 {
			return false
		}
	}
	copy(e.want, seen)
	e.begun = true
	return true
}
