// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"testing"
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
				e := encoding{kind: c.kind, order: order, word: word}
				data, err := e.encode(c.values)
				if err != nil {
					t.Fatalf("%s %v: %v", c.kind, c.values, err)
				}
				if len(data) != len(c.values)*e.size() {
					t.Errorf("%s %v: %d bytes", c.kind, c.values, len(data))
				}
				if got := e.decode(data); !slices.Equal(got, c.values) {
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
		for _, value := range values {
			e := encoding{kind: kind, order: binary.LittleEndian, word: 4}
			if data, err := e.encode([]string{value}); exitStatus(err) != exitUsage {
				t.Errorf("%s %q gave % x, %v; want a usage error", kind, value, data, err)
			}
		}
	}
}

func TestParseHexForms(t *testing.T) {
	for _, values := range [][]string{{"90", "91"}, {"9091"}, {"0x9091"}, {"90 91"}, {" 90", "0X91 "}} {
		if got, err := parseHex(values); err != nil || !bytes.Equal(got, []byte{0x90, 0x91}) {
			t.Errorf("parseHex(%q) = % x, %v; want 90 91", values, got, err)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]uint64{"64": 64, "0x40": 64, "4K": 4096, "4k": 4096, "2M": 2 << 20, "3G": 3 << 30, "0": 0, "0xB": 11} {
		if got, err := parseSize(text); got != want || err != nil {
			t.Errorf("parseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "K", "1KB", "1.5", "18446744073709551616", "17179869184G"} {
		if got, err := parseSize(text); exitStatus(err) != exitUsage {
			t.Errorf("parseSize(%q) = %d, %v; want a usage error", text, got, err)
		}
	}
}

func FuzzParsePlace(f *testing.F) {
	for _, seed := range []string{"0x7f3a5c001000", "0X10", "7f3a", "0x", "-0x1", "0x12345678123456781", "7f3a5c001000-7f3a5c002000", "game+0x10,8"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parsePlace(text)
		if err != nil {
			if exitStatus(err) != exitUsage {
				t.Errorf("%q: status %d; want a usage error", text, exitStatus(err))
			}
			return
		}
		number, constant := at.expr.Constant()
		if !constant {
			return
		}
		again, err := parsePlace(hexAddress(number))
		if err != nil {
			t.Fatalf("%q is %#x, which is refused: %v", text, number, err)
		}
		if other, _ := again.expr.Constant(); other != number {
			t.Errorf("%q is %#x, which is %#x", text, number, other)
		}
	})
}

// What a type takes comes back from memory as the same number.
func FuzzEncodeValue(f *testing.F) {
	for _, seed := range []string{"-5", "0x10", "010", "1e3", "nan", "-0", "18446744073709551615", "0b11", "1_000"} {
		for i := range valueTypes {
			f.Add(i, seed, true)
		}
	}
	f.Fuzz(func(t *testing.T, kind int, value string, big bool) {
		e := encoding{kind: valueTypes[uint(kind)%uint(len(valueTypes))], order: binary.LittleEndian, word: 8}
		if big {
			e.order = binary.BigEndian
		}
		data, err := e.encode([]string{value})
		if err != nil {
			if exitStatus(err) != exitUsage {
				t.Errorf("%s %q: %v is no usage error", e.kind, value, err)
			}
			return
		}
		if e.size() == 0 {
			return
		}
		again, err := e.encode(e.decode(data))
		if err != nil || (!bytes.Equal(again, data) && !isNaN(e, data)) {
			t.Errorf("%s %q is % x, which reads as %q, which is % x, %v", e.kind, value, data, e.decode(data), again, err)
		}
	})
}

func isNaN(e encoding, data []byte) bool {
	value, err := strconv.ParseFloat(e.decode(data)[0], 64)
	return err == nil && math.IsNaN(value)
}
