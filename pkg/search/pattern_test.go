// SPDX-License-Identifier: Apache-2.0

package search

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	code := "\x48\x8b\x05\x10\x00\x00\x00\xe8\xf0\xff\xff\xff\x48\x8b\x1d\x05\xc7\x05\x04\x00\x00\x00\x01\x00\x00\x00"
	tests := []struct {
		pattern string
		want    []uint64 // results, when code is at 0x1000
	}{
		{"48 8B 05", []uint64{0x1000}},
		{"488b05", []uint64{0x1000}},
		{"  48\t8b\n", []uint64{0x1000, 0x100c}},
		{"48 8B ?? 05", []uint64{0x100c}},
		{"48 8B ? 05", []uint64{0x100c}},
		{"488B??05", []uint64{0x100c}},
		{"48 8? 1?", []uint64{0x100c}},
		{"?8 ?b 0?", []uint64{0x1000}},
		{"? 8b", []uint64{0x1000, 0x100c}},
		{"05 ?", []uint64{0x1002, 0x100f, 0x1011}},
		{"01 00 00 00 ?", nil},
		{"00 00 00 00", nil},
		{"00 00 00", []uint64{0x1004, 0x1013, 0x1017}},
		{"48 8b | 1d", []uint64{0x100e}},
		{"48 8b|1d 05", []uint64{0x100e}},
		{"| 1d", []uint64{0x100e}},
		{"1d |", []uint64{0x100f}},
		{"48 8b 05 $", []uint64{0x1017}},
		{"E8 $", []uint64{0xffc}},
		{"e8$48", []uint64{0xffc}},
		{"c7 05 $ 01 00 00 00", []uint64{0x101a}},
		{"c7 05 $ 01 00 00 00 |", []uint64{0x101e}},
		{`\x48\x8b`, []uint64{0x1000, 0x100c}},
		{`\x48\x8B\x00\x05 xx?x`, []uint64{0x100c}},
		{` \x48 \x8b  xX `, []uint64{0x1000, 0x100c}},
	}
	for _, test := range tests {
		t.Run(test.pattern, func(t *testing.T) {
			p, err := ParsePattern(test.pattern)
			if err != nil {
				t.Fatal(err)
			}
			got := addresses(search(t, &fake{parts: []part{at(0x1000, []byte(code))}}, p, Options{}))
			if !slices.Equal(got, test.want) {
				t.Errorf("found %#x; want %#x", got, test.want)
			}
		})
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	tests := []struct {
		pattern string
		column  int
		message string
	}{
		{"", 1, "no byte"},
		{"   ", 4, "no byte"},
		{"|", 2, "no byte"},
		{"48 8", 4, "odd number"},
		{"48 8b4", 6, "odd number"},
		{"48?", 3, "odd number"},
		{"???", 3, "odd number"},
		{"4|8", 1, "odd number"},
		{"48 8G", 5, "'G' is neither"},
		{"48 é", 4, "'é' is neither"},
		{"é 48", 1, "'é' is neither"},
		{"48 x", 4, "'x' is neither"},
		{"48 \xff", 4, "is neither"},
		{"?? ? 4? ??", 0, ""},
		{"?? ?", 1, "wildcards"},
		{"$", 1, "wildcards"},
		{"48 | 8b |", 9, "a | already"},
		{"e8 $ $", 6, "a $ already"},
		{"e8 | $", 6, "behind it"},
		{`\x4`, 1, `written as \x48`},
		{`\x48\n`, 5, `written as \x48`},
		{`\x4?`, 1, `written as \x48`},
		{`48 \x48`, 4, "stand alone"},
		{`| \x48`, 3, "stand alone"},
		{`\x48\x8b x`, 11, "1 characters for 2"},
		{`\x48 xx`, 7, "longer"},
		{`\x48\x8b xy`, 11, "'y' is neither"},
		{`\x48 x x`, 8, "behind the mask"},
		{`\x48 x \x49`, 8, "stand alone"},
		{`\x48 ?`, 1, "wildcards"},
		{`\x48 |`, 6, "'|' is neither"},
		{strings.Repeat("48", maxSize), 0, ""},
		{strings.Repeat("48", maxSize+1), 2*maxSize + 3, "at most 1024"},
		{strings.Repeat("$", 9999), 2, "a $ already"},
	}
	for _, test := range tests {
		_, err := ParsePattern(test.pattern)
		if test.column == 0 {
			if err != nil {
				t.Errorf("ParsePattern(%q) = %v", test.pattern, err)
			}
			continue
		}
		patternError, ok := errors.AsType[*PatternError](err)
		if !ok || patternError.Column != test.column || !strings.Contains(patternError.Message, test.message) || patternError.Text != test.pattern {
			t.Errorf("ParsePattern(%q) = %v; want column %d, ...%s...", test.pattern, err, test.column, test.message)
		}
	}
}

// FuzzParsePattern looks for what any pattern fixes, and finds it.
func FuzzParsePattern(f *testing.F) {
	for _, seed := range []string{"48 8B ?? 05", `\x48\x8b xx`, "E8 $ 4? |", "4", "|", `\x`, "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePattern(text)
		if err != nil {
			if e, ok := errors.AsType[*PatternError](err); !ok || e.Column < 1 || e.Column > len(text)+1 || e.Text != text {
				t.Fatalf("%#v", err)
			}
			return
		}
		if p.Size() < 1 || p.Size() > maxSize || len(p.form.mask) != p.Size() {
			t.Fatalf("%+v", p.form)
		}
		memory := append([]byte("..."), p.form.value...)
		want := reference(memory, 0x1000, p.form)
		got := search(t, &fake{parts: []part{at(0x1000, memory)}}, p, Options{Threads: 1})
		if !slices.Equal(got, want) || !slices.ContainsFunc(got, func(m found) bool { return m.At == 0x1003 }) {
			t.Fatalf("found %v; want %v", got, want)
		}
	})
}
