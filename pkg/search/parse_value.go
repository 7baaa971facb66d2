// SPDX-License-Identifier: Apache-2.0

package search

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ValueError says what is wrong with the text of a value.
type ValueError struct {
	Type    Type
	Text    string // the part that is wrong, or all of it
	Message string
}

// Error returns the text and what is wrong with it.
func (e *ValueError) Error() string { return fmt.Sprintf("%q: %s", e.Text, e.Message) }

// ParseValue makes a [Value] of a type from text. For text, that is what is looked for;
// for bytes, pairs of hex digits. For numbers it is one or, with blanks between, an
// array of
//
//	100          a number; 0x, 0o and 0b before an integer as in Go
//	-5..100      a range, both ends included; either may be missing
//	99.5+-0.01   a float with a tolerance; ± is the same
//	?            any number
//
// A float without a tolerance matches all that round to it at as many decimals: 0.1 is
// 0.05 to 0.15, and 100 is 99.5 to 100.5, as a program may show as 100 what it keeps as
// 99.7. It always matches the float that is nearest to it. 100+-0 is that alone.
func ParseValue(t Type, text string) (*Value, error) {
	fail := func(text, format string, args ...any) (*Value, error) {
		return nil, &ValueError{Type: t, Text: text, Message: fmt.Sprintf(format, args...)}
	}
	wrap := func(v *Value, err error) (*Value, error) {
		if err != nil {
			return fail(text, "%v", err)
		}
		return v, nil
	}
	switch {
	case t == UTF8:
		return wrap(Text(text))
	case t == UTF16:
		return wrap(Text16(text))
	case t == Bytes:
		b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return fail(text, "bytes are pairs of hex digits")
		}
		return wrap(newText(Bytes, b))
	case !t.isNumber():
		return fail(text, "no such type: %v", t)
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		return fail(text, "nothing is looked for")
	}
	if len(words) > maxSize/t.Size() {
		return fail(text, "%d numbers are too many: at most %d can be looked for", len(words), maxSize/t.Size())
	}
	var ranges []interval
	known := false
	for _, word := range words {
		r, err := t.parseInterval(word)
		if err != nil {
			return fail(word, "%v", err)
		}
		known = known || r != t.everything()
		ranges = append(ranges, r)
	}
	if !known && len(words) > 1 {
		return fail(text, "one number at least must be known")
	}
	return wrap(newNumbers(t, ranges))
}

func (t Type) parseInterval(word string) (interval, error) {
	if word == "?" {
		return t.everything(), nil
	}
	if low, high, ok := strings.Cut(word, ".."); ok {
		return t.parseEnds(low, high)
	}
	number, tolerance, tolerant := strings.Cut(strings.ReplaceAll(word, "±", "+-"), "+-")
	if !t.isFloat() {
		if tolerant {
			return interval{}, fmt.Errorf("a tolerance is for floats: write a range, as 95..105")
		}
		raw, err := t.parseInteger(number)
		return t.between(raw, raw), err
	}
	f, err := t.parseFloat(number)
	if err != nil {
		return interval{}, err
	}
	within := 0.0
	if tolerant {
		if within, err = t.parseFloat(tolerance); err != nil || !(within >= 0) || math.IsInf(within, 0) {
			return interval{}, fmt.Errorf("%q is no tolerance", tolerance)
		}
	} else {
		within = rounding(number)
	}
	return t.near(f, within), nil
}

// parseEnds is of a range, of which an end that is not given is the last number there.
func (t Type) parseEnds(low, high string) (interval, error) {
	end := func(text string, missing uint64, infinity float64) (uint64, error) {
		switch {
		case text == "" && t.isFloat():
			return t.floatBits(infinity), nil
		case text == "":
			return t.unkey(missing), nil
		case t.isFloat():
			f, err := t.parseFloat(text)
			return t.floatBits(f), err
		}
		return t.parseInteger(text)
	}
	if low == "" && high == "" {
		return interval{}, errors.New("a range has one end at least")
	}
	l, err := end(low, 0, math.Inf(-1))
	if err != nil {
		return interval{}, err
	}
	h, err := end(high, t.everything().high, math.Inf(1))
	if err != nil {
		return interval{}, err
	}
	r := t.between(l, h)
	if r.low > r.high {
		return interval{}, fmt.Errorf("%s is not below %s", low, high)
	}
	return r, nil
}

// near returns the floats that are not further from f than within, and always the one
// nearest to f.
func (t Type) near(f, within float64) interval {
	nearest := t.between(t.floatBits(f), t.floatBits(f))
	if math.IsInf(f, 0) {
		return nearest
	}
	least, most := max(f-within, -math.MaxFloat64), min(f+within, math.MaxFloat64)
	low, high := t.between(t.floatBits(least), 0).low, t.between(0, t.floatBits(most)).high
	// What the type rounds to may lie outside.
	if t.float(t.unkey(low)) < least {
		low++
	}
	if t.float(t.unkey(high)) > most {
		high--
	}
	return interval{min(low, nearest.low), max(high, nearest.high)}
}

// rounding returns half of what the last decimal of a float stands for, 0.5 without
// decimals; 0 of one that is not written in decimal.
func rounding(text string) float64 {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	if strings.ContainsAny(mantissa, "xp") {
		return 0
	}
	power, _ := strconv.Atoi(exponent)
	_, decimals, _ := strings.Cut(mantissa, ".")
	return 0.5 * min(1, math.Pow10(power-len(decimals)))
}

func (t Type) parseFloat(text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 8*t.Size())
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is out of range for %v", text, t)
	case err != nil:
		return 0, fmt.Errorf("%q is not a number for %v", text, t)
	case math.IsNaN(f):
		return 0, errors.New("NaN is equal to nothing")
	}
	return strconv.ParseFloat(text, 64)
}

// parseInteger takes a leading 0 alone for decimal.
func (t Type) parseInteger(text string) (raw uint64, err error) {
	base := 0
	if digits := strings.TrimPrefix(text, "-"); digits != "" && strings.Trim(digits, "0123456789") == "" {
		base = 10
	}
	if t.isSigned() {
		var n int64
		n, err = strconv.ParseInt(text, base, 8*t.Size())
		raw = uint64(n) & t.everything().high
	} else if _, negative := strconv.ParseInt(text, base, 64); strings.HasPrefix(text, "-") && negative == nil {
		err = strconv.ErrRange
	} else {
		raw, err = strconv.ParseUint(text, base, 8*t.Size())
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is out of range for %v", text, t)
	case err != nil:
		return 0, fmt.Errorf("%q is not a number for %v", text, t)
	}
	return raw, nil
}
