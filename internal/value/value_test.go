// SPDX-License-Identifier: Apache-2.0

package value_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/vmwrite/vmwrite/internal/value"
)

func TestEncodedValuesDecodeToThemselves(t *testing.T) {
	cases := []struct {
		kind   string
		values []string
	}{
		{"u8", []string{"0", "255"}}, {"u16", []string{"0", "65535"}}, {"u32", []string{"0", "4294967295"}},
		{"u64", []string{"0", "18446744073709551615"}}, {"i8", []string{"-128", "127"}}, {"i16", []string{"-32768", "32767"}},
		{"i32", []string{"-2147483648", "2147483647"}}, {"i64", []string{"-9223372036854775808", "9223372036854775807"}},
		{"f32", []string{"-1.5", "3.4028235e+38", "+Inf", "NaN"}}, {"f64", []string{"0.1", "-Inf", "5e-324"}},
		{"ptr", []string{"0x0", "0xffffffff"}},
	}
	for _, c := range cases {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			for _, word := range []int{4, 8} {
				e := value.Encoding{Type: c.kind, Order: order, Word: word}
				data, err := e.Encode(c.values...)
				if err != nil {
					t.Fatalf("%s %v: %v", c.kind, c.values, err)
				}
				if len(data) != len(c.values)*e.Size() {
					t.Errorf("%s %v: %d bytes", c.kind, c.values, len(data))
				}
				if got := e.Decode(data); !slices.Equal(got, c.values) {
					t.Errorf("%s %v %v came back as %v", c.kind, order, c.values, got)
				}
			}
		}
	}
}

func TestEncodedValuesOutOfRangeAreRefused(t *testing.T) {
	for kind, values := range map[string][]string{
		"u8": {"256", "-1", "0x100", ""}, "u16": {"65536"}, "u32": {"4294967296", "1.0"}, "u64": {"18446744073709551616", "-1"},
		"i8": {"128", "-129"}, "i16": {"32768"}, "i32": {"2147483648"}, "i64": {"9223372036854775808"},
		"f32": {"1e39", "one"}, "f64": {"1e309"}, "ptr": {"0x100000000"}, "cstr": {"a\x00b"}, "utf16": {"\xff"},
	} {
		for _, text := range values {
			e := value.Encoding{Type: kind, Order: binary.LittleEndian, Word: 4}
			if data, err := e.Encode(text); err == nil {
				t.Errorf("%s %q gave % x; want an error", kind, text, data)
			}
		}
	}
}

func TestParseHexForms(t *testing.T) {
	for _, values := range [][]string{{"90", "91"}, {"9091"}, {"0x9091"}, {"90 91"}, {" 90", "0X91 "}} {
		if got, err := value.ParseHex(values...); err != nil || !bytes.Equal(got, []byte{0x90, 0x91}) {
			t.Errorf("ParseHex(%q) = % x, %v; want 90 91", values, got, err)
		}
	}
}

// What a type takes comes back from memory as the same number.
func FuzzEncodeValue(f *testing.F) {
	for _, seed := range []string{"-5", "0x10", "010", "1e3", "nan", "-0", "18446744073709551615", "0b11", "1_000"} {
		for i := range value.Types {
			f.Add(i, seed, true)
		}
	}
	f.Fuzz(func(t *testing.T, kind int, text string, big bool) {
		e := value.Encoding{Type: value.Types[uint(kind)%uint(len(value.Types))], Order: binary.LittleEndian, Word: 8}
		if big {
			e.Order = binary.BigEndian
		}
		data, err := e.Encode(text)
		if err != nil || e.Size() == 0 {
			return
		}
		again, err := e.Encode(e.Decode(data)...)
		if err != nil || (!bytes.Equal(again, data) && !isNaN(e, data)) {
			t.Errorf("%s %q is % x, which reads as %q, which is % x, %v", e.Type, text, data, e.Decode(data), again, err)
		}
	})
}

func isNaN(e value.Encoding, data []byte) bool {
	f, err := strconv.ParseFloat(e.Decode(data)[0], 64)
	return err == nil && math.IsNaN(f)
}

func TestParseMasked(t *testing.T) {
	for _, c := range []struct{ name, text, data, mask string }{
		{"all known", "29 45 f8", "2945f8", ""},
		{"one ? is a byte", "29 ? f8", "2900f8", "ff00ff"},
		{"two are one too", "29??F8", "2900f8", "ff00ff"},
		{"half a byte", "0x4? ?5", "4005", "f00f"},
		{"no byte known", "????", "0000", "0000"},
		{"nothing", " ", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			data, mask, err := value.ParseMasked(c.text)
			wantData, _ := value.ParseHex(c.data)
			wantMask, _ := value.ParseHex(c.mask)
			if err != nil || !bytes.Equal(data, wantData) || !bytes.Equal(mask, wantMask) {
				t.Errorf("%q is % x, % x, %v; want %s, %s", c.text, data, mask, err, c.data, c.mask)
			}
			if c.mask == "" && mask != nil {
				t.Error("the mask is not nil")
			}
		})
	}
}

func TestHexThatIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       value.HexError
	}{
		{"an odd number of digits", "90 909", value.HexError{Word: "909", Odd: true}},
		{"a question mark too many", "???", value.HexError{Word: "???", Odd: true}},
		{"no hex digit", "90 9g", value.HexError{Word: "9g"}},
		{"no digit at all", "0x", value.HexError{Word: "0x"}},
		{"0x twice", "0x0x90", value.HexError{Word: "0x0x90"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := value.ParseMasked(c.text)
			if e, ok := errors.AsType[*value.HexError](err); !ok || *e != c.want {
				t.Errorf("%v; want %v", err, &c.want)
			}
		})
	}
	if _, err := value.ParseHex("9?"); err == nil {
		t.Error("ParseHex takes a wildcard")
	}
}

// What is read comes back, and has no bits that are not known.
func FuzzParseMasked(f *testing.F) {
	for _, seed := range []string{"29 45 f8 ?? 0?", "0x9090", "?", "9", "0x", "4? ?5"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		data, mask, err := value.ParseMasked(text)
		if err != nil {
			return
		}
		for i := range mask {
			if data[i]&^mask[i] != 0 {
				t.Fatalf("%q is % x with the mask % x", text, data, mask)
			}
		}
		again, ok := value.FormatMasked(data, mask)
		data2, mask2, err := value.ParseMasked(again)
		if !ok || err != nil || !bytes.Equal(data, data2) || !bytes.Equal(mask, mask2) {
			t.Errorf("%q is written as %q, which is % x, % x, %v", text, again, data2, mask2, err)
		}
	})
}
