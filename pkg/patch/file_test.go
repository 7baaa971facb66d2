// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/value"
	"github.com/vmwrite/vmwrite/pkg/address"
)

// inFile returns a file with a change.
func inFile(change string) string { return "version: 1\nname: x\nchanges:\n- " + change + "\n" }

// hex returns bytes.
func inHex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := value.ParseHex(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseReadsAllOfAFile(t *testing.T) {
	p, err := Parse([]byte(`# a comment
version: 1
name: unlimited ammo
description: |
  two
  lines
executable: game
modules:
  game: {build-id: 3F2a}
  "libc-2.31.so":
    sha256: 0123456789012345678901234567890123456789012345678901234567890123
changes:
- at: game+0x1234
  old: 29 45 f8 ?? 0?
  new: 90 90 90 90 90
  unprotect: true
  comment: no more of it

- find: {pattern: "8b 45 ?? 29 d0", in: "libc-2.31.so", offset: -0x3}
  new: {i32: 1}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Changes[0].At.String(); got != "game+0x1234" {
		t.Errorf("the place is %s", got)
	}
	if got := p.Changes[1].Find; got.Pattern == nil || got.Pattern.Size() != 5 {
		t.Errorf("the pattern is %v", got.Pattern)
	}
	p.Changes[0].At, p.Changes[1].Find.Pattern = nil, nil
	want := &Patch{
		Name: "unlimited ammo", Description: "two\nlines\n", Executable: "game",
		Modules: []Module{
			{Name: "game", BuildID: "3F2a", Line: 9},
			{Name: "libc-2.31.so", SHA256: "0123456789012345678901234567890123456789012345678901234567890123", Line: 10},
		},
		Changes: []Change{
			{
				Comment: "no more of it", Old: inHex(t, "2945f80000"), Mask: inHex(t, "ffffff00f0"), New: inHex(t, "9090909090"),
				Unprotect: true, Line: 13,
			},
			{Find: &Find{Text: "8b 45 ?? 29 d0", Module: "libc-2.31.so", Offset: -3}, New: inHex(t, "01000000"), Line: 19},
		},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("it is\n%+v\nwant\n%+v", p, want)
	}
}

// bytesCases are what a file may say of bytes.
var bytesCases = []struct{ name, text, want string }{
	{"digits that YAML takes for a number", "90", "90"},
	{"a leading zero that YAML takes for octal", "010203", "010203"},
	{"0x in front", "0x90", "90"},
	{"digits that YAML takes for a float", "1e53", "1e53"},
	{"digits that are a huge number", "12345678901234567890", "12345678901234567890"},
	{"several words", "90 9091 0x92", "90909192"},
	{"in quotes", `"90 90"`, "9090"},
	{"over several lines", "\n    90 90\n    91", "909091"},
	{"a block", "|\n    90 90\n    91", "909091"},
	{"with a tag of YAML's own", "!!str 90", "90"},
	{"u8", "{u8: 255}", "ff"},
	{"i16", "{i16: -2}", "feff"},
	{"u32 in hexadecimal", "{u32: 0x10}", "10000000"},
	{"a leading zero is no octal", "{i32: 010}", "0a000000"},
	{"i64", "{i64: -1}", "ffffffffffffffff"},
	{"f32", "{f32: 1.5}", "0000c03f"},
	{"f64", "{f64: -1e300}", "9c7500883ce437fe"},
	{"bytes", "{bytes: [90, 9091]}", "909091"},
	{"a text", "{str: hello}", "68656c6c6f"},
	{"a text that is a number to YAML, in quotes", `{str: "10"}`, "3130"},
	{"a text with a NUL", "{cstr: A}", "4100"},
	{"UTF-16", "{utf16: Aé}", "4100e900"},
	{"a list of numbers", "{i16: [1, 2, -1]}", "01000200ffff"},
	{"a list of texts", "{cstr: [a, b]}", "61006200"},
	{"a value of a block", "\n    i8:\n    - 1\n    - 2", "0102"},
}

func TestBytesOfAFile(t *testing.T) {
	if value.NativeOrder().String() != "LittleEndian" {
		t.Skip("the bytes below are in another order than those of this machine")
	}
	for _, c := range bytesCases {
		t.Run(c.name, func(t *testing.T) {
			p, err := Parse([]byte(inFile("at: 0x1\n  old: " + c.text + "\n  new: " + c.text)))
			if err != nil {
				t.Fatal(err)
			}
			want := inHex(t, c.want)
			if got := p.Changes[0]; !bytes.Equal(got.Old, want) || !bytes.Equal(got.New, want) || got.Mask != nil {
				t.Errorf("% x, mask % x, becomes % x; want % x", got.Old, got.Mask, got.New, want)
			}
		})
	}
}

// refused are files that are none, with the place and a part of what is said of it.
var refused = []struct {
	name, text   string
	line, column int
	want         string
}{
	{"no document", "", 1, 1, "the file is empty"},
	{"only a comment", "# x\n", 1, 1, "the file is empty"},
	{"null", "~", 1, 1, "a patch file is a mapping"},
	{"a list", "- version: 1", 1, 1, "a patch file is a mapping"},
	{"no version", "name: x\nchanges: [{at: 0x1, old: 90, new: 91}]", 1, 1, "the key version is missing"},
	{"another version", "version: 2\nnames: x", 1, 10, `version "2" of the format is not known; this program knows version 1`},
	{"a version of two numbers", "version: 1.0\n", 1, 10, `version "1.0"`},
	{"another version with a BOM", "\ufeffversion: 2", 1, 10, "version"},
	{"an unknown key", inFile("at: 0x1\n  olld: 90\n  new: 91"), 5, 3, `a change has no key "olld"; did you mean old?`},
	{"an unknown key at the top", "version: 1\nname: x\nauthor: y\nchanges: [{at: 0x1, old: 90, new: 91}]", 3, 1, "it may have version, name,"},
	{"a key twice", inFile("at: 0x1\n  new: 90\n  old: 90\n  new: 91"), 7, 3, `the key "new" is in line 5 already`},
	{"a module twice", "version: 1\nname: x\nmodules:\n  a: {build-id: 12}\n  a: {build-id: 12}\nchanges: [{at: 0x1, old: 90, new: 91}]", 5, 3, "in line 4 already"},
	{"an anchor", inFile("at: &a 0x1"), 4, 7, "&a is an anchor"},
	{"an alias", inFile("at: *a"), 4, 7, "*a is an alias"},
	{"a merge key", inFile("<<: {at: 0x1}\n  old: 90\n  new: 90"), 4, 3, "no merging"},
	{"a tag of somebody's own", inFile("at: !address 0x1\n  old: 90\n  new: 90"), 4, 7, "the tag !address"},
	{"a tag without a name", inFile("at: ! 0x1\n  old: 90\n  new: 90"), 4, 7, "the tag !"},
	{"a tag of bytes in base 64", inFile("at: 0x1\n  old: 90\n  new: !!binary kA=="), 6, 8, "the tag !!binary"},
	{"a tag of another kind", inFile("at: 0x1\n  old: 90\n  new: !!map 90"), 6, 8, "the tag !!map"},
	{"two documents", inFile("{at: 0x1, old: 90, new: 91}") + "---\nversion: 1\n", 5, 1, "another YAML document"},
	{"a key that is a list", "? [a]\n: b\n" + inFile("{at: 0x1, old: 90, new: 91}"), 1, 3, "a key is a text"},
	{"a module whose name is a number to YAML", "version: 1\nname: x\nmodules: {7: {build-id: 12}}\nchanges: [{at: 0x1, old: 90, new: 91}]", 3, 11, "in quotes"},
	{"a tab before a key", "version: 1\n\tname: x", 2, 1, "tab"},
	{"a tab before a list", "version: 1\nname: x\nchanges:\n\t- at: 0x1", 4, 1, "a tab stands where spaces should"},
	{"a place that needs quotes", inFile("at: @exe+0x1"), 4, 7, "a text that begins with @ needs quotes around it"},
	{"a NUL", "version: 1\nname: \x00", 2, 7, "U+0000"},
	{"a byte that is not UTF-8", "version: 1\nname: é\xff", 2, 8, "0xff is not UTF-8"},
	{"UTF-16", "\xff\xfev\x00", 1, 1, "not UTF-8"},
	{"brackets inside brackets", strings.Repeat("[", 10<<20), 1, 1_500_001, "1500000"},
	{"nested more than a patch can be", inFile(strings.Repeat("[", 30)), 4, 19, "inside each other"},
	{"a bracket that is not closed", inFile("{at: 0x1"), 5, 1, "did not find expected"},
	{"a name on two lines", "version: 1\nname: \"a\\nb\"\nchanges: [{at: 0x1, old: 90, new: 91}]", 2, 7, "not one line"},
	{"a name that is a number", "version: 1\nname: 1\nchanges: [{at: 0x1, old: 90, new: 91}]", 2, 7, "put it in quotes"},
	{"no name", "version: 1\nname:\nchanges: [{at: 0x1, old: 90, new: 91}]", 2, 6, "a value is missing"},
	{"a path for the executable", "version: 1\nname: x\nexecutable: bin/game\nchanges: [{at: 0x1, old: 90, new: 91}]", 3, 13, "last part of a path"},
	{"no change", "version: 1\nname: x\nchanges: []", 3, 10, "there is no change"},
	{"changes that are no list", "version: 1\nname: x\nchanges: {at: 0x1}", 3, 10, "changes is a list"},
	{"a change that is a text", inFile("0x1 90"), 4, 3, "a change is a mapping"},
	{"no place", inFile("old: 90\n  new: 91"), 4, 3, "it needs at or find"},
	{"two places", inFile("{at: 0x1, find: {pattern: 90, in: a}, old: 90, new: 91}"), 4, 3, "two places"},
	{"an address without its base", inFile("at: 100\n  old: 90\n  new: 91"), 4, 7, "did you mean 0x100"},
	{"no new bytes", inFile("at: 0x1\n  old: 90"), 4, 3, "no new bytes"},
	{"new bytes that are empty", inFile("at: 0x1\n  new: \"\""), 5, 8, "there are no bytes"},
	{"a value that is empty", inFile("at: 0x1\n  new: {str: \"\"}"), 5, 8, "there are no bytes"},
	{"new bytes that are null", inFile("at: 0x1\n  new:"), 5, 7, "a value is missing"},
	{"wildcards in the new bytes", inFile("at: 0x1\n  old: 90\n  new: 9?"), 6, 8, "only old bytes may have wildcards"},
	{"an odd number of digits", inFile("at: 0x1\n  old: 90\n  new: 100"), 6, 8, "as in {i32: 100}"},
	{"more old bytes than new ones", inFile("at: 0x1\n  old: 90 90\n  new: 90"), 4, 3, "2 old bytes and 1 new"},
	{"a list of bytes without a type", inFile("at: 0x1\n  old: [90, 90]\n  new: 90 90"), 5, 8, "not a list"},
	{"an unknown type", inFile("at: 0x1\n  old: {i31: 1}\n  new: 90"), 5, 9, `no key "i31"; did you mean`},
	{"a pointer, whose size is not known", inFile("at: 0x1\n  new: {ptr: 0x1}"), 5, 8, "use u32 or u64"},
	{"two types", inFile("at: 0x1\n  new: {i8: 1, u8: 1}"), 5, 8, "one type"},
	{"a number that is too large", inFile("at: 0x1\n  new: {u8: [1, 256]}"), 5, 8, "256 is out of range for u8"},
	{"a number that is a text", inFile("at: 0x1\n  new: {i32: many}"), 5, 8, `"many" is not a number for i32`},
	{"a text that is a number", inFile("at: 0x1\n  new: {str: 10}"), 5, 14, "put it in quotes"},
	{"yes for true", inFile("at: 0x1\n  old: 90\n  new: 91\n  unprotect: yes"), 7, 14, "true or false"},
	{"true in quotes", inFile("at: 0x1\n  old: 90\n  new: 91\n  unprotect: \"true\""), 7, 14, "true or false"},
	{"True", inFile("at: 0x1\n  old: 90\n  new: 91\n  unprotect: True"), 7, 14, "true or false"},
	{"neither old bytes nor a module", inFile("at: 0x1\n  new: 91"), 4, 3, "without old bytes"},
	{"old bytes of wildcards alone, and no module", inFile("at: 0x1\n  old: ?? ??\n  new: 90 91"), 4, 3, "without old bytes"},
	{"a pattern that is none", inFile("find: {pattern: 9g, in: a}\n  old: 90\n  new: 91"), 4, 19, "pattern"},
	{"a pattern in no module", inFile("find: {pattern: 90}\n  old: 90\n  new: 91"), 4, 9, "the key in is missing"},
	{"an offset that is none", inFile("find: {pattern: 90, in: a, offset: 1.5}\n  old: 90\n  new: 91"), 4, 38, "is not an offset"},
	{"a module of no name", inFile("find: {pattern: 90, in: \"@heap\"}\n  old: 90\n  new: 91"), 4, 27, "@exe and @vdso"},
	{"a module with an expression's quotes", inFile("find: {pattern: 90, in: '\"a\"'}\n  old: 90\n  new: 91"), 4, 27, "no quotes"},
	{"a module that may be anything", "version: 1\nname: x\nmodules: {a: {}}\nchanges: [{at: 0x1, new: 91}]", 3, 11, "a name alone"},
	{"a build id that is none", "version: 1\nname: x\nmodules: {a: {build-id: xyz}}\nchanges: [{at: 0x1, new: 91}]", 3, 11, "not hex"},
	{"a hash that is cut", "version: 1\nname: x\nmodules: {a: {sha256: 1234}}\nchanges: [{at: 0x1, new: 91}]", 3, 11, "64 hex digits"},
	{"no modules in modules", "version: 1\nname: x\nmodules: {}\nchanges: [{at: 0x1, new: 91}]", 3, 10, "no module"},
}

func TestFilesThatAreRefused(t *testing.T) {
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			p, err := Parse([]byte(c.text))
			e, ok := errors.AsType[*FileError](err)
			if p != nil || !ok || e.Line != c.line || e.Column != c.column || !strings.Contains(e.Error(), c.want) {
				t.Errorf("%v; want line %d, column %d: %s", err, c.line, c.column, c.want)
			}
		})
	}
}

func TestParseReportsAllErrorsInTheOrderOfTheFile(t *testing.T) {
	_, err := Parse([]byte("version: 1\nname: 7\nchanges:\n- at: 10\n  new: 9\n- {at: 0x1, old: 90, new: 9090}\n"))
	var lines []int
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		lines = append(lines, e.(*FileError).Line)
	}
	if want := []int{2, 4, 5, 6}; !slices.Equal(lines, want) {
		t.Errorf("errors in the lines %v; want %v:\n%v", lines, want, err)
	}
	if _, err = Parse([]byte(inFile(strings.Repeat("{}\n- ", 100) + "{}"))); len(err.(interface{ Unwrap() []error }).Unwrap()) != 20 {
		t.Errorf("not 20 errors: %v", err)
	}
	if e, _ := errors.AsType[*address.SyntaxError](mustFail(t, inFile("at: 100\n  old: 90\n  new: 91"))); e == nil {
		t.Error("the error of the address is not within that of the file")
	}
}

func mustFail(t *testing.T, text string) error {
	t.Helper()
	_, err := Parse([]byte(text))
	if err == nil {
		t.Fatalf("%q is read", text)
	}
	return err
}

func TestMessagesAreShort(t *testing.T) {
	long := strings.Repeat("g", 1<<20)
	for _, text := range []string{
		"version: " + long, long + ": 1", inFile("at: " + long + "("), inFile("at: 0x1\n  new: " + long),
		inFile("at: 0x1\n  new: {i32: " + long + "}"), inFile("find: {pattern: " + long + ", in: a}"), inFile("at: *" + long),
	} {
		for line := range strings.SplitSeq(mustFail(t, text).Error(), "\n") {
			if len(line) > 600 {
				t.Errorf("%.40q...: a message of %d bytes", text, len(line))
			}
		}
	}
}

func TestLimits(t *testing.T) {
	many := func(n int) string { return inFile("") + strings.Repeat("- {at: 0x1, old: 90, new: 91}\n", n) }
	for _, c := range []struct{ name, text, want string }{
		{"bytes", strings.Repeat("#", maxFileSize+1), "bytes"},
		{"changes", strings.Replace(many(maxChanges+1), "- \n", "", 1), "at most 100000"},
		{"keys and values", inFile("at: 0x1\n  new: {u8: [" + strings.Repeat("1,", maxNodes) + "]}"), "more keys"},
		{"lines", strings.Repeat("\n", maxNodes+1), "lines"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := mustFail(t, c.text); !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

// A file that is cut is refused, or says what it said so far. With the brackets it is
// refused wherever it is cut.
func TestFilesThatAreCut(t *testing.T) {
	whole := `{version: 1, name: x, modules: {a: {build-id: 12}}, changes: [{find: {pattern: 90 ?, in: a, offset: 1}, old: {str: "a\x41"}, new: 90 90}]}`
	if _, err := Parse([]byte(whole)); err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		if p, err := Parse([]byte(whole[:n])); err == nil {
			t.Errorf("%q is read as %+v", whole[:n], p)
		}
	}
}

func TestLineEndsAndByteOrderMark(t *testing.T) {
	text := "version: 1\nname: x\ndescription: |\n  a\n  b\nchanges:\n- at: 0x1\n  old: 90\n  new: 91\n"
	want, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{strings.ReplaceAll(text, "\n", "\r\n"), "\ufeff" + text, "---\n" + text, text + "...\n"} {
		got, err := Parse([]byte(other))
		if err != nil {
			t.Errorf("%q: %v", other, err)
		} else if got.Changes[0].Line, want.Changes[0].Line = 0, 0; !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %+v; want %+v", other, got, want)
		}
	}
}

// forgetLines makes patches of different files comparable.
func forgetLines(p *Patch) *Patch {
	for i := range p.Modules {
		p.Modules[i].Line = 0
	}
	for i := range p.Changes {
		p.Changes[i].Line = 0
	}
	return p
}

func TestMarshal(t *testing.T) {
	at, err := address.Parse("[game+0x10]+0x8")
	if err != nil {
		t.Fatal(err)
	}
	constant, _ := address.Parse("0x7f3a5c001000")
	p := &Patch{
		Name: "12", Description: "two\nlines\n", Executable: "1.5",
		Modules: []Module{{Name: "@exe", BuildID: "12345678"}, {Name: "a b", SHA256: strings.Repeat("1e", 32)}},
		Changes: []Change{
			{Comment: "# not a comment", At: at, Old: []byte{0x90, 0, 0x40}, Mask: []byte{0xff, 0, 0xf0}, New: []byte{1, 2, 3}, Unprotect: true},
			{At: constant, New: []byte{0x1e}},
			{Find: &Find{Text: "90 ?? $", Module: "a b", Offset: -3}, New: []byte{1, 2}},
		},
	}
	const want = `version: 1
name: '12'
description: |
  two
  lines
executable: '1.5'
modules:
  '@exe': {build-id: '12345678'}
  a b: {sha256: 1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e}
changes:
- comment: '# not a comment'
  at: '[game+0x10]+0x8'
  old: 90 ?? 4?
  new: 01 02 03
  unprotect: true
- at: 0x7f3a5c001000
  new: 1e
- find: {pattern: '90 ?? $', in: a b, offset: -3}
  new: 01 02
`
	data, err := p.Marshal()
	if err != nil || string(data) != want {
		t.Fatalf("%v\n%s\nwant\n%s", err, data, want)
	}
	again, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	p.Changes[2].Find.Pattern = again.Changes[2].Find.Pattern
	if !reflect.DeepEqual(forgetLines(again), p) {
		t.Errorf("it is read as\n%+v\nwant\n%+v", again, p)
	}
}

func TestMarshalRefusesWhatNoFileCanSay(t *testing.T) {
	at, err := address.Parse("0x1")
	if err != nil {
		t.Fatal(err)
	}
	good := func() *Patch {
		return &Patch{Name: "x", Changes: []Change{{At: at, Old: []byte{1}, New: []byte{2}}}}
	}
	if _, err := good().Marshal(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		spoil func(p *Patch)
	}{
		{"no name", func(p *Patch) { p.Name = "" }},
		{"a name that is not UTF-8", func(p *Patch) { p.Name = "\xff" }},
		{"a comment that is not UTF-8", func(p *Patch) { p.Changes[0].Comment = "\xff" }},
		{"no change", func(p *Patch) { p.Changes = nil }},
		{"no place", func(p *Patch) { p.Changes[0].At = nil }},
		{"a pattern that is none", func(p *Patch) { p.Changes[0].At, p.Changes[0].Find = nil, &Find{Text: "g", Module: "a"} }},
		{"bytes of different number", func(p *Patch) { p.Changes[0].New = []byte{1, 2} }},
		{"a mask of other size", func(p *Patch) { p.Changes[0].Mask = []byte{1, 2} }},
		{"a mask of some bits of a digit", func(p *Patch) { p.Changes[0].Mask = []byte{0x7f} }},
		{"no identity", func(p *Patch) { p.Changes[0].Old = nil }},
		{"a module that may be anything", func(p *Patch) { p.Modules = []Module{{Name: "a"}} }},
		{"a module twice", func(p *Patch) { p.Modules = []Module{{Name: "a", BuildID: "12"}, {Name: "a", BuildID: "12"}} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := good()
			c.spoil(p)
			if data, err := p.Marshal(); err == nil {
				t.Errorf("it is\n%s", data)
			}
		})
	}
}

func examples(t testing.TB) map[string][]byte {
	paths, err := filepath.Glob("../../examples/patches/*.yaml")
	if err != nil || len(paths) < 2 {
		t.Fatalf("%q: %v", paths, err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		if files[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestTheExamplesAreRead(t *testing.T) {
	for path, data := range examples(t) {
		if _, err := Parse(data); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// What is read can be written, and is then read as the same.
func FuzzParse(f *testing.F) {
	for _, data := range examples(f) {
		f.Add(data)
	}
	for _, c := range refused {
		if len(c.text) < 1000 {
			f.Add([]byte(c.text))
		}
	}
	for _, c := range bytesCases {
		f.Add([]byte(inFile("at: 0x1\n  old: " + c.text + "\n  new: " + c.text)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			for e := err; ; e = e.(interface{ Unwrap() []error }).Unwrap()[0] {
				if e, ok := e.(*FileError); ok {
					if e.Line < 1 || e.Column < 1 || strings.Contains(e.Error(), "the YAML can't be read") {
						t.Fatalf("%#v", e)
					}
					return
				}
			}
		}
		roundTrip(t, p)
	})
}

// FuzzMarshal is of texts that no file of people's has.
func FuzzMarshal(f *testing.F) {
	for _, text := range []string{"", " ", "\n", "a\n", " a\n\n b\n", "a\r\nb", "\x00", "\u0085", "\u2028", "\ufeff", "\x7f", "#", "'", "\"", "- a", "? a", "a: b", "~", "<<", "\ta\n", "a \nb", "1e5", "\U0001f600", "\ufffe", "---\n", "...\n"} {
		f.Add(text, "game", []byte("90"), int64(3))
	}
	f.Fuzz(func(t *testing.T, text, module string, data []byte, offset int64) {
		at, _ := address.Parse(text)
		p := &Patch{
			Name: module, Description: text, Executable: text, Modules: []Module{{Name: module, BuildID: "90"}},
			Changes: []Change{
				{Comment: text, Find: &Find{Text: "90", Module: module, Offset: offset}, New: data},
				{Comment: text + "\n", At: at, Old: data, New: data},
			},
		}
		if at == nil {
			p.Changes = p.Changes[:1]
		}
		if _, err := p.Marshal(); err == nil {
			roundTrip(t, p)
		}
	})
}

func roundTrip(t *testing.T, p *Patch) {
	written, err := p.Marshal()
	if err != nil {
		t.Fatalf("%+v is not written: %v", p, err)
	}
	again, err := Parse(written)
	if err != nil {
		t.Fatalf("%+v is written as\n%s\nand that is refused: %v", p, written, err)
	}
	for i, c := range p.Changes {
		if c.Find != nil {
			c.Find.Pattern = again.Changes[i].Find.Pattern
		}
	}
	if !reflect.DeepEqual(forgetLines(again), forgetLines(p)) {
		t.Fatalf("%+v is written as\n%s\nwhich is read as %+v", p, written, again)
	}
}
