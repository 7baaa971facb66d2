// SPDX-License-Identifier: Apache-2.0

package search

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// encoded returns the bytes of numbers in the order of this machine.
func encoded(numbers ...any) (b []byte) {
	for _, n := range numbers {
		b = must(binary.Append(b, binary.NativeEndian, n))
	}
	return b
}

func TestValues(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	negativeZero := math.Copysign(0, -1)
	f32s := func(numbers ...float64) (all [][]byte) {
		for _, n := range numbers {
			all = append(all, encoded(float32(n)))
		}
		return all
	}
	f64s := func(numbers ...float64) (all [][]byte) {
		for _, n := range numbers {
			all = append(all, encoded(n))
		}
		return all
	}
	i32s := func(numbers ...int32) (all [][]byte) {
		for _, n := range numbers {
			all = append(all, encoded(n))
		}
		return all
	}
	tests := []struct {
		t       Type
		text    string
		yes, no [][]byte
	}{
		{I8, "-1", [][]byte{{0xff}}, [][]byte{{1}, {0}}},
		{U8, "255", [][]byte{{0xff}}, [][]byte{{0x7f}}},
		{U8, "0x10", [][]byte{{16}}, [][]byte{{10}}},
		{U8, "010", [][]byte{{10}}, [][]byte{{8}}},
		{I16, "-2..1", [][]byte{encoded(int16(-2)), encoded(int16(-1)), encoded(int16(0)), encoded(int16(1))}, [][]byte{encoded(int16(-3)), encoded(int16(2)), encoded(int16(-32768))}},
		{I32, "100", i32s(100), i32s(99, 101, -100)},
		{I32, "-7..", i32s(-7, 0, math.MaxInt32), i32s(-8, math.MinInt32)},
		{I32, "..-7", i32s(-7, math.MinInt32), i32s(-6, 0, 5)},
		{I32, "16..31", i32s(16, 20, 31), i32s(15, 32, 16+256)},
		{I32, "?", i32s(0, -1, 5), nil},
		{U32, "4000000000", [][]byte{encoded(uint32(4000000000))}, nil},
		{I64, "-9223372036854775808", [][]byte{encoded(int64(math.MinInt64))}, nil},
		{U64, "18446744073709551615", [][]byte{encoded(uint64(math.MaxUint64))}, [][]byte{encoded(uint64(math.MaxUint64 - 1))}},
		{U64, "0x8000000000000000..", [][]byte{encoded(uint64(1 << 63)), encoded(uint64(math.MaxUint64))}, [][]byte{encoded(uint64(1<<63 - 1))}},
		{I32, "1 ? 3", [][]byte{encoded(int32(1), int32(9), int32(3))}, [][]byte{encoded(int32(1), int32(9), int32(4))}},
		{U8, "1..2 5", [][]byte{{1, 5}, {2, 5}}, [][]byte{{3, 5}, {1, 6}}},

		{F32, "0.1", f32s(0.1, 0.05001, 0.1499), f32s(0.04, 0.16, -0.1, nan, inf)},
		{F32, "100", f32s(100, 99.5, 100.5, 99.7), f32s(99.4, 100.6, -100)},
		{F32, "100.0", f32s(100, 99.96, 100.04), f32s(99.9, 100.1)},
		{F32, "-100", f32s(-100, -99.5), f32s(-101, 100, 0)},
		{F32, "0", f32s(0, negativeZero, 0.5, -0.5, 1e-40), f32s(0.6, -0.6, nan)},
		{F32, "1e3", f32s(1000, 1000.5, 999.5), f32s(999, 1001)},
		{F32, "1.5e3", f32s(1500, 1499.5, 1500.5), f32s(1499, 1501)},
		{F32, "100+-0", f32s(100), f32s(99.99, 100.01)},
		{F32, "100±2", f32s(98, 102), f32s(97.9, 102.1)},
		{F32, "0+-0", f32s(0, negativeZero), f32s(1e-45, -1e-45)},
		{F32, "0.10000000149011612", f32s(0.1), [][]byte{encoded(math.Nextafter32(0.1, 1)), encoded(math.Nextafter32(0.1, 0))}},
		{F32, "0x1p-2", f32s(0.25), f32s(0.26, 0.24)},
		{F32, "inf", f32s(inf), f32s(-inf, math.MaxFloat32, nan)},
		{F32, "-1.5..2", f32s(-1.5, 0, negativeZero, 2), f32s(-1.6, 2.1, nan, inf)},
		{F32, "0..1", f32s(0, negativeZero, 1), f32s(-1e-45, 1.1)},
		{F32, "-1..-0", f32s(0, negativeZero, -1), f32s(1e-45, -1.1)},
		{F32, "..0", f32s(-inf, -1, 0), f32s(nan, 1)},
		{F32, "5..", f32s(5, inf), f32s(nan, 4.9, -inf)},
		{F64, "0.1", f64s(0.1, 0.051, 0.149), f64s(0.049, 0.151, nan)},
		{F64, "1e308+-1e308", f64s(0, 1e308, math.MaxFloat64), f64s(-1, inf, nan)},
		{F64, "3.14159265358979", f64s(math.Pi), f64s(3.1415926535)},

		{UTF8, "é x", [][]byte{[]byte("é x")}, [][]byte{[]byte("é y")}},
		{UTF16, "a€😀", [][]byte{encoded(uint16('a'), uint16(0x20ac), uint16(0xd83d), uint16(0xde00))}, nil},
		{Bytes, "00 ff7F", [][]byte{{0, 0xff, 0x7f}}, [][]byte{{0, 0xff, 0x7e}}},
	}
	for _, test := range tests {
		t.Run(test.t.String()+" "+test.text, func(t *testing.T) {
			v, err := ParseValue(test.t, test.text)
			if err != nil {
				t.Fatal(err)
			}
			// The same number comes often enough for the fast paths.
			each := func(list [][]byte, want bool) {
				for _, b := range list {
					if got := v.Matches(b); got != want {
						t.Errorf("Matches(% x), %s, = %v", b, test.t.Format(b), got)
					}
					const count = 100
					memory := slices.Repeat(b, count)
					o := Options{Align: len(b)}
					if got := len(search(t, &fake{parts: []part{at(uint64(len(b)*page), memory)}}, v, o)); (got == count) != want || (got == 0) == want {
						t.Errorf("found %d of %d times %s", got, count, test.t.Format(b))
					}
				}
			}
			each(test.yes, true)
			each(test.no, false)
		})
	}
}

func TestValuesOfGo(t *testing.T) {
	tests := []struct {
		name string
		v    *Value
		t    Type
		yes  []byte
		no   []byte
	}{
		{"int8", must(Equal(int8(-3))), I8, []byte{0xfd}, []byte{3}},
		{"int16", must(Equal(int16(-3))), I16, encoded(int16(-3)), encoded(int16(3))},
		{"int32", must(Equal(int32(-3), 4)), I32, encoded(int32(-3), int32(4)), encoded(int32(4), int32(-3))},
		{"int64", must(Between(int64(-3), 4)), I64, encoded(int64(0)), encoded(int64(5))},
		{"uint8", must(Equal(uint8(3))), U8, []byte{3}, []byte{4}},
		{"uint16", must(Equal(uint16(3))), U16, encoded(uint16(3)), encoded(uint16(4))},
		{"uint32", must(Between(uint32(3), 5)), U32, encoded(uint32(5)), encoded(uint32(6))},
		{"uint64", must(Equal(uint64(3))), U64, encoded(uint64(3)), encoded(uint64(4))},
		{"float32, the same and no other", must(Equal(float32(0.1))), F32, encoded(float32(0.1)), encoded(float32(0.10000001))},
		{"float64 near a number", must(Between(0.1-1e-9, 0.1+1e-9)), F64, encoded(0.1), encoded(0.1 + 2e-9)},
		{"an unknown one", must(Unknown(F32)), F32, encoded(float32(math.NaN())), nil},
		{"UTF-8", must(Text("Ünder")), UTF8, []byte("Ünder"), []byte("Under.")},
		{"UTF-16", must(Text16("hp")), UTF16, encoded(uint16('h'), uint16('p')), encoded(uint16('p'), uint16('h'))},
	}
	for _, test := range tests {
		if test.v.Type() != test.t || !test.v.Matches(test.yes) || test.v.Matches(test.no) || test.v.Size() != len(test.yes) {
			t.Errorf("%s: %v of %d bytes", test.name, test.v.Type(), test.v.Size())
		}
	}
}

func TestValuesThatAreRefused(t *testing.T) {
	tests := []struct {
		t       Type
		text    string
		message string
	}{
		{I32, "", "nothing"},
		{I32, "x", "not a number"},
		{I32, "1 x", "not a number"},
		{I32, "1.5", "not a number"},
		{I32, "3000000000", "out of range"},
		{U32, "-1", "out of range"},
		{U8, "256", "out of range"},
		{I32, "5+-1", "tolerance is for floats"},
		{I32, "5..4", "not below"},
		{F32, "1..0.5", "not below"},
		{I32, "..", "one end"},
		{I32, "? ?", "must be known"},
		{F32, "nan", "NaN"},
		{F32, "nan..1", "NaN"},
		{F32, "1e39", "out of range"},
		{F32, "1+--1", "no tolerance"},
		{F32, "1+-nan", "no tolerance"},
		{F32, "1+-inf", "no tolerance"},
		{F32, "1+-", "no tolerance"},
		{F64, "one", "not a number"},
		{UTF8, "", "nothing"},
		{UTF8, strings.Repeat("x", maxSize+1), "too many"},
		{UTF16, "\xff", "UTF-8"},
		{Bytes, "123", "pairs"},
		{U64, strings.Repeat("1 ", maxSize), "too many"},
		{0, "1", "no such type"},
		{99, "1", "no such type"},
	}
	for _, test := range tests {
		_, err := ParseValue(test.t, test.text)
		if e, ok := errors.AsType[*ValueError](err); !ok || !strings.Contains(e.Error(), test.message) || e.Type != test.t {
			t.Errorf("ParseValue(%v, %q) = %v; want ...%s...", test.t, test.text, err, test.message)
		}
	}
	for name, err := range map[string]error{
		"Equal to NaN":      second(Equal(1, math.NaN())),
		"Between 2 and 1":   second(Between(int8(2), 1)),
		"Between NaN and 1": second(Between(math.NaN(), 1)),
		"Unknown text":      second(Unknown(UTF8)),
		"no text":           second(Text("")),
	} {
		if err == nil {
			t.Errorf("%s is not refused", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestTypes(t *testing.T) {
	for typ := Bytes; typ <= lastType; typ++ {
		if got, err := ParseType(typ.String()); got != typ || err != nil {
			t.Errorf("ParseType(%q) = %v, %v", typ, got, err)
		}
	}
	if _, err := ParseType(""); err == nil {
		t.Error("a type without a name is taken")
	}
	formats := map[string]string{
		I32.Format(encoded(int32(-5), int32(7))):        "-5 7",
		U16.Format(encoded(uint16(65535))):              "65535",
		F32.Format(encoded(float32(0.1))):               "0.1",
		F64.Format(encoded(1e300)):                      "1e+300",
		UTF16.Format(encoded(uint16('h'), uint16('p'))): "hp",
		UTF8.Format([]byte("é")):                        "é",
		Bytes.Format([]byte{0, 0xff}):                   "00ff",
	}
	for got, want := range formats {
		if got != want {
			t.Errorf("Format = %q; want %q", got, want)
		}
	}
}

// FuzzParseValue parses anything, and what it takes agrees with comparisons of numbers.
func FuzzParseValue(f *testing.F) {
	for t := Bytes; t <= lastType; t++ {
		f.Add(uint8(t), "1", []byte("12345678"))
		f.Add(uint8(t), "-3..1e2", []byte("12345678"))
	}
	f.Fuzz(func(t *testing.T, kind uint8, text string, b []byte) {
		v, err := ParseValue(Type(kind), text)
		if err != nil {
			if _, ok := errors.AsType[*ValueError](err); !ok {
				t.Fatalf("%#v", err)
			}
			return
		}
		if v.Size() < 1 || v.Size() > maxSize {
			t.Fatalf("%d bytes", v.Size())
		}
		if len(b) < v.Size() {
			return
		}
		b = b[:v.Size()]
		if !v.Type().isNumber() {
			return
		}
		want := v.kind.inside(v.ranges, b)
		if got := v.Matches(b); got != want {
			t.Fatalf("Matches(% x) = %v; want %v", b, got, want)
		}
		if got := len(search(t, &fake{parts: []part{at(uint64(page), slices.Repeat(b, 70))}}, v, Options{Align: len(b), Threads: 1})); (got > 0) != want && page%len(b) == 0 {
			t.Fatalf("found %d times; want %v", got, want)
		}
	})
}
