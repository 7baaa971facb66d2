// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget/peimage"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/patch"
	"github.com/vmwrite/vmwrite/pkg/search"
)

func place(t *testing.T, text string) *address.Expr {
	t.Helper()
	e, err := address.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestExport(t *testing.T) {
	p := &patch.Patch{Name: "test", Executable: "game.exe", Changes: []patch.Change{
		{At: place(t, "@exe+0x1412"), New: []byte("\x90")},
		{At: place(t, "@exe+0x1410"), Old: []byte("\x10\x11"), Mask: []byte("\xff\xff"), New: []byte("\xeb\xfe")},
		{At: place(t, "@exe+0x2640"), Old: []byte("\x40"), New: []byte("A")},
	}}
	bytesOfText := "\xeb\xfe\x90"
	want := map[Format]string{
		X64dbg: ">game.exe\r\n0000000000001410:10->EB\r\n0000000000001411:11->FE\r\n0000000000001412:12->90\r\n0000000000002640:40->41\r\n",
		IDA:    "This difference file has been created by IDA\r\n\r\ngame.exe\r\n00000410: 10 EB\r\n00000411: 11 FE\r\n00000412: 12 90\r\n00000640: 40 41\r\n",
		FC:     "Comparing files game.exe and game.exe.patched\r\n00000410: 10 EB\r\n00000411: 11 FE\r\n00000412: 12 90\r\n00000640: 40 41\r\n",
		IPS:    ips("\x00\x04\x10\x00\x03"+bytesOfText, "\x00\x06\x40\x00\x01A"),
		IPS32:  ips32("\x00\x00\x04\x10\x00\x03"+bytesOfText, "\x00\x00\x06\x40\x00\x01A"),
		BPS: bps(testFile(), "", patched(patched(testFile(), 0x410, bytesOfText), 0x640, "A"), act(sourceRead, 0x410),
			act(targetRead, 2)+"\xeb\xfe", act(targetRead, 1)+"\x90", act(sourceRead, 0x640-0x413), act(targetRead, 1)+"A", act(sourceRead, fileSize-0x641)),
	}
	for f, want := range want {
		t.Run(f.String(), func(t *testing.T) {
			got, err := Export(p, f, Options{Original: section(testFile())})
			if err != nil || string(got) != want {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		})
	}
}

// What was exported is imported as it was.
func TestRoundTrip(t *testing.T) {
	image := peimage.Build(64)
	files := []struct {
		name     string
		o        Options
		makes    string
		imported string
	}{
		{"ELF", Options{Module: "game", Original: section(testFile())}, testBuildID, idaLines + "410: 10 EB\n411: 11 FE\n640: 40 41\n67F: 7F 00\n"},
		{"PE", Options{Module: "game", Original: section(image.File)}, image.BuildID, idaLines + "400: C3 90\n410: C3 CC\nA00: 00 01\n"},
	}
	for _, file := range files {
		for _, f := range []Format{X64dbg, IDA, FC, IPS, IPS32, BPS} {
			t.Run(fmt.Sprint(file.name, "/", f), func(t *testing.T) {
				p, _, err := Import([]byte(file.imported), IDA, file.o)
				if err != nil || p.Modules[0].BuildID != file.makes {
					t.Fatalf("%+v, %v", p, err)
				}
				roundTrip(t, p, f, file.o)
			})
		}
	}
}

func TestExportRefuses(t *testing.T) {
	pattern, err := search.ParsePattern("48 8B")
	if err != nil {
		t.Fatal(err)
	}
	change := func(at, old, new string) patch.Change {
		return patch.Change{At: place(t, at), Old: []byte(old), New: []byte(new), Line: 7}
	}
	masked := change("game+0x1410", "\x10", "\x90")
	masked.Mask = []byte{0xf0}
	tests := []struct {
		name   string
		format Format
		change patch.Change
		o      Options
		want   string
	}{
		{"no original", IPS, change("game+0x1410", "\x10", "\x90"), Options{}, "ips cannot hold the patch: it counts from the front of a file"},
		{"a place of a pattern", X64dbg, patch.Change{Find: &patch.Find{Text: "48 8B", Pattern: pattern}, New: []byte("A")}, Options{}, "1337 cannot hold change 2: its place is that of a pattern"},
		{"a symbol", X64dbg, change("game!player", "\x10", "\x90"), Options{}, "change 2 (line 7): game!player is not a module and an offset"},
		{"a pointer", X64dbg, change("[game+0x10]", "\x10", "\x90"), Options{}, "is not a module and an offset"},
		{"an address", X64dbg, change("0x1410", "\x10", "\x90"), Options{}, "is not a module and an offset"},
		{"the heap", X64dbg, change("@heap+0x10", "\x10", "\x90"), Options{}, "is not a module and an offset"},
		{"wildcards", BPS, masked, Options{Original: section(testFile())}, "some bits of its old bytes do not matter"},
		{"no old bytes", X64dbg, change("game+0x1410", "", "\x90"), Options{}, "it has no old bytes"},
		{"another module", IPS, change("other+0x1410", "\x10", "\x90"), Options{Original: section(testFile())}, "it is in other, and the first one is in game"},
		{"other old bytes", BPS, change("game+0x1410", "\x99", "\x90"), Options{Original: section(testFile())}, "the original is another file"},
		{"what is of no file", IDA, change("game+0x2700", "\x00", "\x90"), Options{Original: section(testFile())}, "the file has nothing of it"},
		{"what is in no part", IDA, change("game+0x300", "\x00", "\x90"), Options{Original: section(testFile())}, "the original has nothing there"},
		{"a change over another", X64dbg, change("game+0x1400", "\x00\x01", "\x01\x02"), Options{}, "two changes lie over each other at 0x1401"},
		{"the program without a name", X64dbg, change("@exe+0x10", "\x00", "\x01"), Options{}, "needs the name of the file of @exe"},
		{"a name of two lines", X64dbg, change(`"a\nb"+0x10`, "\x00", "\x01"), Options{}, "cannot stand on a line of its own"},
		{"too far for ips", IPS, change("game+0x1001400", "\x00", "\x01"), Options{Original: largeFile(0x2000000)}, "0x1000400 is too far"},
		{"a format that there is not", 99, change("game+0x1410", "\x10", "\x90"), Options{Original: section(testFile())}, "not known"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := &patch.Patch{Changes: []patch.Change{change("game+0x1401", "\x01", "\x02"), test.change}}
			data, err := Export(p, test.format, test.o)
			if _, ok := errors.AsType[*ExportError](err); !ok || data != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q, %v; want %s", data, err, test.want)
			}
		})
	}
	if _, err := Export(&patch.Patch{}, X64dbg, Options{}); !errors.Is(err, ErrNoDifference) {
		t.Errorf("no change: %v", err)
	}
}

// A record of IPS has at most 65535 bytes, and none begins where the end mark is spelled.
func TestExportLongRuns(t *testing.T) {
	const start = 0x454f46 - 65535
	o := Options{Module: "game", Original: largeFile(0x500000)}
	long := patch.Change{At: place(t, fmt.Sprintf("game+%#x", start+textMoves)), New: []byte(strings.Repeat("\x90", 3*65535))}
	data, err := Export(&patch.Patch{Changes: []patch.Change{long}}, IPS, o)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := Import(data, IPS, o)
	if err != nil || bytesOf(p) != 3*65535 {
		t.Fatalf("%d bytes, %v", bytesOf(p), err)
	}
	next := uint64(start + textMoves)
	for i, c := range p.Changes {
		if _, at, _ := c.At.InModule(); at != next || len(c.New) > maxRun {
			t.Errorf("change %d has %d bytes at %#x; want at most %d at %#x", i, len(c.New), at, maxRun, next)
		}
		next += uint64(len(c.New))
	}
}
