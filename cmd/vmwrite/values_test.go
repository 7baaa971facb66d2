// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

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
