// SPDX-License-Identifier: Apache-2.0

package search

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// maxSize is how long the bytes of a match may be. It bounds what blocks of memory
// overlap by, and what a comparison at every place takes.
const maxSize = 1024

// Matcher is what is looked for: a [*Pattern] or a [*Value].
type Matcher interface {
	// compiled returns the form that is looked for.
	compiled() *form
}

// Value is one value or several behind each other, each exact or inside a range.
// It is not changed once it is made.
type Value struct {
	kind   Type
	ranges []interval // of numbers; nil for bytes and text
	form   *form
}

func (v *Value) compiled() *form { return v.form }

// Type returns the type of the values.
func (v *Value) Type() Type { return v.kind }

// Size returns the bytes of a match.
func (v *Value) Size() int { return v.form.size() }

// Matches reports whether b, of which there are Size bytes, is the value.
func (v *Value) Matches(b []byte) bool { return len(b) == v.Size() && v.form.matches(b) }

// Number is every type of Go that has a [Type].
type Number interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64
}

// typed returns the type and the bits of a number.
func typed[N Number](n N) (Type, uint64) {
	switch n := any(n).(type) {
	case int8:
		return I8, uint64(uint8(n))
	case int16:
		return I16, uint64(uint16(n))
	case int32:
		return I32, uint64(uint32(n))
	case int64:
		return I64, uint64(n)
	case uint8:
		return U8, uint64(n)
	case uint16:
		return U16, uint64(n)
	case uint32:
		return U32, uint64(n)
	case uint64:
		return U64, n
	case float32:
		return F32, uint64(math.Float32bits(n))
	default:
		return F64, math.Float64bits(n.(float64))
	}
}

// interval is the numbers whose keys are from low to high.
type interval struct{ low, high uint64 }

// everything is the interval of all bits, NaNs too.
func (t Type) everything() interval { return interval{0, math.MaxUint64 >> (64 - 8*t.Size())} }

// between returns the interval of numbers, given by their bits, with both zeros of
// floats if it has one.
func (t Type) between(low, high uint64) interval {
	i := interval{t.key(low), t.key(high)}
	if zero := t.key(0); t.isFloat() && i.low == zero {
		i.low--
	} else if t.isFloat() && i.high == zero-1 {
		i.high++
	}
	return i
}

// Equal looks for a number, or for several behind each other: an array. A float must
// be the same, but that -0 is 0; NaN is equal to nothing.
func Equal[N Number](first N, others ...N) (*Value, error) {
	t, _ := typed(first)
	var ranges []interval
	for _, n := range append([]N{first}, others...) {
		if n != n {
			return nil, errors.New("NaN is equal to nothing")
		}
		_, raw := typed(n)
		ranges = append(ranges, t.between(raw, raw))
	}
	return newNumbers(t, ranges)
}

// Between looks for a number from low to high, both included.
func Between[N Number](low, high N) (*Value, error) {
	if !(low <= high) {
		return nil, fmt.Errorf("%v is not below %v", low, high)
	}
	t, l := typed(low)
	_, h := typed(high)
	return newNumbers(t, []interval{t.between(l, h)})
}

// Unknown matches every number of a type. With it a search begins whose value is not
// known: [Save] and then [Candidates.Next] with [OpChanged] and its like. Memory that the
// process never touched is left out, as far as that is told for whole blocks of it.
func Unknown(t Type) (*Value, error) {
	if !t.isNumber() {
		return nil, fmt.Errorf("an unknown value is of a number's type, not %v", t)
	}
	return newNumbers(t, []interval{t.everything()})
}

// Text looks for text in UTF-8, or for any bytes.
func Text(text string) (*Value, error) { return newText(UTF8, []byte(text)) }

// Text16 looks for text in UTF-16, as Windows programs have it.
func Text16(text string) (*Value, error) {
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("%q is not valid UTF-8", text)
	}
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = UTF16.appendBits(b, uint64(unit))
	}
	return newText(UTF16, b)
}

func newText(t Type, b []byte) (*Value, error) {
	if len(b) == 0 {
		return nil, errors.New("nothing is looked for")
	}
	if len(b) > maxSize {
		return nil, fmt.Errorf("%d bytes are too many: at most %d can be looked for", len(b), maxSize)
	}
	f := &form{value: bytes.Clone(b), mask: bytes.Repeat([]byte{0xff}, len(b)), align: 1, kind: t}
	return &Value{kind: t, form: f}, nil
}

func newNumbers(t Type, ranges []interval) (*Value, error) {
	size := t.Size()
	if len(ranges)*size > maxSize {
		return nil, fmt.Errorf("%d numbers are too many: at most %d can be looked for", len(ranges), maxSize/size)
	}
	f := &form{align: uint64(size), kind: t, unknown: len(ranges) == 1 && ranges[0] == t.everything()}
	exact := true
	for _, r := range ranges {
		low, fixed := t.unkey(r.low), t.fixedBits(r)
		f.value = t.appendBits(f.value, low&fixed)
		f.mask = t.appendBits(f.mask, fixed)
		// Where the fixed bits leave exactly the range there is nothing to compare.
		exact = exact && r.high-r.low == t.everything().high&^fixed
	}
	if !exact {
		f.check = func(b []byte) bool { return t.inside(ranges, b) }
		if len(ranges) == 1 {
			f.numbers = t.bits(ranges[0])
		}
	}
	return &Value{kind: t, ranges: ranges, form: f}, nil
}

func (t Type) inside(ranges []interval, b []byte) bool {
	for i, r := range ranges {
		if t.key(t.load(b[i*t.Size():]))-r.low > r.high-r.low {
			return false
		}
	}
	return true
}

// unkey is the reverse of key.
func (t Type) unkey(key uint64) uint64 {
	sign := uint64(1) << (8*t.Size() - 1)
	switch {
	case t.isFloat() && key&sign == 0:
		return ^key & (sign<<1 - 1)
	case t.isFloat(), t.isSigned():
		return key ^ sign
	}
	return key
}

// bits returns the bits of the numbers of an interval, as two intervals of which one
// repeats the other if all have the same sign.
func (t Type) bits(r interval) [2]interval {
	negative, other := r, r
	if half := t.everything().high/2 + 1; (t.isSigned() || t.isFloat()) && r.low < half && r.high >= half {
		negative.high, other.low = half-1, half
	}
	raw := func(r interval) interval {
		a, b := t.unkey(r.low), t.unkey(r.high)
		return interval{min(a, b), max(a, b)}
	}
	return [2]interval{raw(negative), raw(other)}
}

// fixedBits returns the bits that all numbers of an interval have alike: those before
// the first in which its ends differ. Keys and numbers differ in the same bits.
func (t Type) fixedBits(r interval) uint64 {
	differ := bits.Len64(r.low ^ r.high)
	if differ == 8*t.Size() {
		return 0 // of different signs
	}
	return t.everything().high &^ (1<<differ - 1)
}
