// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"

	"github.com/vmwrite/vmwrite/internal/value"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

func TestParseLine(t *testing.T) {
	e := encoding{value.Encoding{Type: "bytes", Order: binary.LittleEndian, Word: 8}}
	for _, c := range []struct {
		line string
		want *machcompat.Change
	}{
		{"", nil},
		{" \t# nothing", nil},
		{"0x10 9091", &machcompat.Change{Address: 16, New: []byte{0x90, 0x91}}},
		{"\t0x10  0x90\t# behind\r", &machcompat.Change{Address: 16, New: []byte{0x90}}},
		{`0x10 "90 91" if "74 05"`, &machcompat.Change{Address: 16, New: []byte{0x90, 0x91}, Old: []byte{0x74, 5}}},
		{"0x10 i16 -2 if 3", &machcompat.Change{Address: 16, New: []byte{0xfe, 0xff}, Old: []byte{3, 0}}},
		{"0x10 bytes 00", &machcompat.Change{Address: 16, New: []byte{0}}},
		{"0x10 ptr 0x20", &machcompat.Change{Address: 16, New: []byte{0x20, 0, 0, 0, 0, 0, 0, 0}}},
		{`0x10 str if if "# \""`, &machcompat.Change{Address: 16, New: []byte("if"), Old: []byte(`# "`)}},
		{`0x10 cstr "a\tb"`, &machcompat.Change{Address: 16, New: []byte("a\tb\x00")}},
	} {
		got, err := e.parseConstantLine(c.line)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("parseLine(%q) = %+v, %v; want %+v", c.line, got, err, c.want)
		}
	}
}

// A quoted name is one of a module, also at the front of a line.
func TestAddressesOfLines(t *testing.T) {
	e := encoding{value.Encoding{Type: "bytes", Order: binary.LittleEndian, Word: 8}}
	for line, want := range map[string]string{
		`"0x20000b00" 90`:           `"0x20000b00"`,
		`"libc-2.31.so"+0x10 90`:    `"libc-2.31.so"+0x10`,
		`game!"f(int, char*)"+4 90`: `game!"f(int, char*)"+0x4`,
		`["a \"b\" #"],8	90`:        `[["a \"b\" #"]]+0x8`,
	} {
		if change, at, err := e.parseLine(line); err != nil || len(change.New) != 1 || at.expr.String() != want {
			t.Errorf("%s: %v; want %s", line, err, want)
		}
	}
	if _, _, err := e.parseLine(`"game 90`); err == nil {
		t.Error("a quote is not closed")
	}
}

// parseConstantLine is parseLine for an address that does not depend on the process.
func (e encoding) parseConstantLine(line string) (*machcompat.Change, error) {
	change, at, err := e.parseLine(line)
	if change != nil && at.expr != nil {
		change.Address, _ = at.expr.Constant()
	}
	return change, err
}

// What a line says is the same in the form in which --undo records it.
func FuzzParseLine(f *testing.F) {
	for _, line := range []string{"0x10 9091", "0x10 i32 -5 if 7 # x", `0x10 cstr "a b" if "c\x00"`, "0x10 if", `0x1 utf16 "\ud800"`, `"`} {
		f.Add(line)
	}
	e := encoding{value.Encoding{Type: "bytes", Order: binary.LittleEndian, Word: 8}}
	f.Fuzz(func(t *testing.T, line string) {
		want, err := e.parseConstantLine(line)
		if err != nil || want == nil {
			return
		}
		again := fmt.Sprintf("%#x %x", want.Address, want.New)
		if len(want.Old) > 0 {
			again += fmt.Sprintf(" if %x", want.Old)
		}
		if got, err := e.parseConstantLine(again); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %+v, and %q is %+v, %v", line, want, again, got, err)
		}
	})
}
