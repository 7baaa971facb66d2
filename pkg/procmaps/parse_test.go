// SPDX-License-Identifier: Apache-2.0

package procmaps_test

import (
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

const rw = procmaps.Read | procmaps.Write

func TestParseReadsEveryKindOfLine(t *testing.T) {
	long := "/" + strings.Repeat("d", 70<<10)
	tests := []struct {
		name string
		line string
		want procmaps.Mapping
	}{
		{
			"a file",
			"55d0c8a01000-55d0c8a05000 r-xp 00002000 fe:01 393228                     /usr/bin/cat",
			procmaps.Mapping{Start: 0x55d0c8a01000, End: 0x55d0c8a05000, Perms: procmaps.Read | procmaps.Execute, Offset: 0x2000, Dev: procmaps.Dev{Major: 0xfe, Minor: 1}, Inode: 393228, Path: "/usr/bin/cat"},
		},
		{
			"no name, and the space that the kernel leaves behind the inode",
			"00400000-00401000 rw-p 00000000 00:00 0 ",
			procmaps.Mapping{Start: 0x400000, End: 0x401000, Perms: rw},
		},
		{
			"no name, and that space trimmed away",
			"00400000-00401000 rw-p 00000000 00:00 0",
			procmaps.Mapping{Start: 0x400000, End: 0x401000, Perms: rw},
		},
		{
			"a shared mapping",
			"00400000-00401000 rw-s 00000000 00:01 7                          /dev/zero",
			procmaps.Mapping{Start: 0x400000, End: 0x401000, Perms: rw, Shared: true, Dev: procmaps.Dev{Minor: 1}, Inode: 7, Path: "/dev/zero"},
		},
		{
			"no access at all",
			"00400000-00401000 ---p 00000000 00:00 0 ",
			procmaps.Mapping{Start: 0x400000, End: 0x401000},
		},
		{
			"write without read",
			"00400000-00401000 -w-p 00000000 00:00 0 ",
			procmaps.Mapping{Start: 0x400000, End: 0x401000, Perms: procmaps.Write},
		},
		{
			"every access",
			"00400000-00401000 rwxp 00000000 00:00 0 ",
			procmaps.Mapping{Start: 0x400000, End: 0x401000, Perms: rw | procmaps.Execute},
		},
		{
			"a name with spaces in it and behind it",
			"00400000-00401000 r--p 00000000 00:01 7                          /a  b c ",
			procmaps.Mapping{Start: 0x400000, End: 0x401000, Perms: procmaps.Read, Dev: procmaps.Dev{Minor: 1}, Inode: 7, Path: "/a  b c "},
		},
		{
			"a name with a tab and a carriage return",
			"00400000-00401000 r--p 00000000 00:01 7                          /a\tb\r",
			procmaps.Mapping{Start: 0x400000, End: 0x401000, Perms: procmaps.Read, Dev: procmaps.Dev{Minor: 1}, Inode: 7, Path: "/a\tb\r"},
		},
		{
			"a name that is no UTF-8",
			"00400000-00401000 r--p 00000000 00:01 7                          /\xff\xfe\x80",
			procmaps.Mapping{Start: 0x400000, End: 0x401000, Perms: procmaps.Read, Dev: procmaps.Dev{Minor: 1}, Inode: 7, Path: "/\xff\xfe\x80"},
		},
		{
			"a newline in a name, which stays as the kernel shows it",
			`00400000-00401000 r--p 00000000 00:01 7                          /a\012b`,
			procmaps.Mapping{Start: 0x400000, End: 0x401000, Perms: procmaps.Read, Dev: procmaps.Dev{Minor: 1}, Inode: 7, Path: `/a\012b`},
		},
		{
			"a file that is gone",
			"00400000-00401000 r--p 00000000 00:01 7                          /a (deleted)",
			procmaps.Mapping{Start: 0x400000, End: 0x401000, Perms: procmaps.Read, Dev: procmaps.Dev{Minor: 1}, Inode: 7, Path: "/a (deleted)"},
		},
		{
			"a file with brackets in its name",
			"00400000-00401000 r--p 00000000 00:01 7                          /[heap] [stack]",
			procmaps.Mapping{Start: 0x400000, End: 0x401000, Perms: procmaps.Read, Dev: procmaps.Dev{Minor: 1}, Inode: 7, Path: "/[heap] [stack]"},
		},
		{
			"a name of the kernel's own in brackets",
			"00400000-00401000 rw-p 00000000 00:00 0                          [anon: a b]",
			procmaps.Mapping{Start: 0x400000, End: 0x401000, Perms: rw, Path: "[anon: a b]"},
		},
		{
			"the gate page, which is no mapping of the process but a line",
			"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]",
			procmaps.Mapping{Start: 0xffffffffff600000, End: 0xffffffffff601000, Perms: procmaps.Execute, Path: "[vsyscall]"},
		},
		{
			"an offset with its highest bit set",
			"00400000-00401000 r--p 8000000000000000 00:01 7                  /dev/x",
			procmaps.Mapping{Start: 0x400000, End: 0x401000, Perms: procmaps.Read, Offset: 1 << 63, Dev: procmaps.Dev{Minor: 1}, Inode: 7, Path: "/dev/x"},
		},
		{
			"every number at its highest",
			"fffffffffffffffe-ffffffffffffffff r--p ffffffffffffffff ffffffff:ffffffff 18446744073709551615 /x",
			procmaps.Mapping{Start: math.MaxUint64 - 1, End: math.MaxUint64, Perms: procmaps.Read, Offset: math.MaxUint64, Dev: procmaps.Dev{Major: math.MaxUint32, Minor: math.MaxUint32}, Inode: math.MaxUint64, Path: "/x"},
		},
		{
			"address 0",
			"00000000-00001000 rw-p 00000000 00:00 0 ",
			procmaps.Mapping{Start: 0, End: 0x1000, Perms: rw},
		},
		{
			"a name of 70 KB",
			"00400000-00401000 r--p 00000000 00:01 7                          " + long,
			procmaps.Mapping{Start: 0x400000, End: 0x401000, Perms: procmaps.Read, Dev: procmaps.Dev{Minor: 1}, Inode: 7, Path: long},
		},
	}
	var text strings.Builder
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, end := range []string{"\n", ""} {
				got := mustCollect(t, procmaps.Parse(strings.NewReader(test.line+end)))
				if !slices.Equal(got, []procmaps.Mapping{test.want}) {
					t.Errorf("Parse(%.200q) = %.200q; want %.200q", test.line+end, got, test.want)
				}
			}
		})
		text.WriteString(test.line + "\n")
	}
	t.Run("all of them in one text, however it is cut into reads", func(t *testing.T) {
		var want []procmaps.Mapping
		for _, test := range tests {
			want = append(want, test.want)
		}
		for _, r := range []io.Reader{
			strings.NewReader(text.String()),
			iotest.OneByteReader(strings.NewReader(text.String())),
			iotest.DataErrReader(strings.NewReader(text.String())),
		} {
			if got := mustCollect(t, procmaps.Parse(r)); !slices.Equal(got, want) {
				t.Errorf("%d mappings differ from the %d of the text", len(got), len(want))
			}
		}
	})
}

func TestParseOfNothingYieldsNothing(t *testing.T) {
	if got := mustCollect(t, procmaps.Parse(strings.NewReader(""))); got != nil {
		t.Errorf("Parse of no text = %v", got)
	}
}

func TestParseStopsAtAMalformedLine(t *testing.T) {
	const good = "00400000-00401000 rw-p 00000000 00:00 0 \n"
	tests := []struct{ name, line, why string }{
		{"an empty line", "", "start address"},
		{"no address", "hello", "start address"},
		{"an empty start", "-00401000 rw-p 00000000 00:00 0 ", "start address"},
		{"a start of 65 bits", "10000000000000000-00401000 rw-p 00000000 00:00 0 ", "start address"},
		{"capitals in the start", "0040000A-00401000 rw-p 00000000 00:00 0 ", "start address"},
		{"a sign before the start", "+0400000-00401000 rw-p 00000000 00:00 0 ", "start address"},
		{"a space before the start", " 00400000-00401000 rw-p 00000000 00:00 0 ", "start address"},
		{"an empty end", "00400000- rw-p 00000000 00:00 0 ", "end address"},
		{"nothing behind the start", "00400000-", "end address"},
		{"an end of 65 bits", "00400000-10000000000000000 rw-p 00000000 00:00 0 ", "end address"},
		{"a letter in the end", "00400000-0040100g rw-p 00000000 00:00 0 ", "end address"},
		{"an end at the start", "00400000-00400000 rw-p 00000000 00:00 0 ", "the end is not above the start"},
		{"an end below the start", "00400000-003ff000 rw-p 00000000 00:00 0 ", "the end is not above the start"},
		{"no protection", "00400000-00401000", "end address"},
		{"a line cut in the protection", "00400000-00401000 rw-", "protection"},
		{"a line cut behind the protection", "00400000-00401000 rw-p", "protection"},
		{"a protection of five", "00400000-00401000 rw-pp 00000000 00:00 0 ", "protection"},
		{"a protection in the wrong order", "00400000-00401000 wr-p 00000000 00:00 0 ", "protection"},
		{"a capital in the protection", "00400000-00401000 Rw-p 00000000 00:00 0 ", "protection"},
		{"neither shared nor private", "00400000-00401000 rw-- 00000000 00:00 0 ", "protection"},
		{"no offset", "00400000-00401000 rw-p ", "offset"},
		{"an offset of 65 bits", "00400000-00401000 rw-p 10000000000000000 00:00 0 ", "offset"},
		{"two spaces before the offset", "00400000-00401000 rw-p  00000000 00:00 0 ", "offset"},
		{"no device", "00400000-00401000 rw-p 00000000 ", "device"},
		{"half a device", "00400000-00401000 rw-p 00000000 00 0 ", "device"},
		{"a major number of 33 bits", "00400000-00401000 rw-p 00000000 100000000:00 0 ", "device"},
		{"a minor number of 33 bits", "00400000-00401000 rw-p 00000000 00:100000000 0 ", "device"},
		{"no inode", "00400000-00401000 rw-p 00000000 00:00 ", "inode"},
		{"an inode in hex", "00400000-00401000 rw-p 00000000 00:00 1f /x", "inode"},
		{"an inode of 65 bits", "00400000-00401000 rw-p 00000000 00:00 18446744073709551616 /x", "inode"},
		{"a name right behind the inode", "00400000-00401000 rw-p 00000000 00:00 0/x", "inode"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := good + test.line + "\n" + good
			var got []procmaps.Mapping
			var failures []error
			for mapping, err := range procmaps.Parse(strings.NewReader(text)) {
				if err != nil {
					failures = append(failures, err)
					if mapping != (procmaps.Mapping{}) {
						t.Errorf("with the error comes %v", mapping)
					}
					continue
				}
				got = append(got, mapping)
			}
			if len(got) != 1 || len(failures) != 1 {
				t.Fatalf("%d mappings and %d errors; want 1 of each", len(got), len(failures))
			}
			lineError, ok := errors.AsType[*procmaps.LineError](failures[0])
			if !ok || !errors.Is(failures[0], procmaps.ErrMalformed) {
				t.Fatalf("%v is no LineError that wraps ErrMalformed", failures[0])
			}
			if lineError.Line != test.line || lineError.Why != test.why {
				t.Errorf("LineError is %q, %s; want %q, %s", lineError.Line, lineError.Why, test.line, test.why)
			}
		})
	}
}

func TestLineErrorShowsTheFrontOfAnEndlessLine(t *testing.T) {
	line := strings.Repeat("x", 1000)
	_, err := collect(procmaps.Parse(strings.NewReader(line)))
	want := `malformed line of /proc/PID/maps: start address: "` + line[:200] + `" and 800 more bytes`
	if err == nil || err.Error() != want {
		t.Errorf("Parse(1000 x) = %v; want %s", err, want)
	}
	lineError, _ := errors.AsType[*procmaps.LineError](err)
	if lineError.Line != line {
		t.Errorf("Line has %d bytes; want all 1000", len(lineError.Line))
	}
	_, err = collect(procmaps.Parse(strings.NewReader("y")))
	if want := `malformed line of /proc/PID/maps: start address: "y"`; err == nil || err.Error() != want {
		t.Errorf("Parse(y) = %v; want %s", err, want)
	}
}

func TestParseReturnsTheErrorOfItsReader(t *testing.T) {
	const good = "00400000-00401000 rw-p 00000000 00:00 0 \n"
	for name, text := range map[string]string{
		"between two lines":        good,
		"in the middle of a line":  good + "00500000-00501",
		"in a line that parses":    good + "00500000-00501000 rw-p 00000000 00:00 0",
		"in a line over 64 KB":     good + "00500000-00501000 rw-p 00000000 00:00 0 /" + strings.Repeat("d", 70<<10),
		"behind a line over 64 KB": strings.Replace(good, "\n", "/"+strings.Repeat("d", 70<<10)+"\n", 1),
	} {
		t.Run(name, func(t *testing.T) {
			broken := errors.New("the disk is on fire")
			got, err := collect(procmaps.Parse(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))))
			if !errors.Is(err, broken) {
				t.Errorf("Parse ends with %v; want %v", err, broken)
			}
			if len(got) != 1 {
				t.Errorf("%d mappings before the error; want the 1 whose line ended", len(got))
			}
		})
	}
}

func TestParseReadsNoFurtherThanItIsAsked(t *testing.T) {
	const good = "00400000-00401000 rw-p 00000000 00:00 0 \n"
	count := 0
	for range procmaps.Parse(io.MultiReader(strings.NewReader(good+good), iotest.ErrReader(errors.New("read on")))) {
		if count++; count == 2 {
			break
		}
	}
	if count != 2 {
		t.Errorf("%d mappings before the break; want 2", count)
	}
}

func TestStringIsTheLineThatTheKernelPrints(t *testing.T) {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i, mapping := range mustCollect(t, procmaps.Parse(strings.NewReader(string(text)))) {
		if got := mapping.String(); got != lines[i] {
			t.Errorf("String() = %q; want %q", got, lines[i])
		}
	}
}

func TestMappingAndItsSpanSayTheSame(t *testing.T) {
	m := procmaps.Mapping{Start: 0x1000, End: 0x3000, Perms: rw, Shared: true, Offset: 5, Path: "/x"}
	if got, want := m.Span(), (procmaps.Span{Start: 0x1000, End: 0x3000, Perms: rw, Shared: true}); got != want {
		t.Errorf("Span() = %v; want %v", got, want)
	}
	for address, want := range map[uint64]bool{0xfff: false, 0x1000: true, 0x2fff: true, 0x3000: false, 0: false, math.MaxUint64: false} {
		if m.Contains(address) != want || m.Span().Contains(address) != want {
			t.Errorf("Contains(%#x) = %v and %v; want %v", address, m.Contains(address), m.Span().Contains(address), want)
		}
	}
	if got := m.PermsText(); got != "rw-s" {
		t.Errorf("PermsText() = %s; want rw-s", got)
	}
}
