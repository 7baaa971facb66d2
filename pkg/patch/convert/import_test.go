// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget/peimage"
	"github.com/vmwrite/vmwrite/pkg/patch"
)

// ips joins the parts of an IPS file.
func ips(parts ...string) string { return "PATCH" + strings.Join(parts, "") + "EOF" }

func ips32(parts ...string) string { return "IPS32" + strings.Join(parts, "") + "EEOF" }

const idaLines = "This difference file has been created by IDA Pro\n\ngame\n"

func TestImport(t *testing.T) {
	text := func(at uint64, old, new string) wanted {
		return wanted{fmt.Sprintf("game+%#x", at+textMoves), old, new, true}
	}
	jump := text(0x410, "\x10\x11", "\xeb\xfe")
	tests := []struct {
		name   string
		format Format
		file   string
		want   []wanted
	}{
		{"1337", X64dbg, ">game\n00001410:10->EB\n00001411:11->FE\n", []wanted{jump}},
		{"1337 with lines of Windows and of Linux and no last end", X64dbg, ">game\r\n1410:10->eb\n\r\n1411:11->Fe", []wanted{jump}},
		{"1337 with spaces", X64dbg, "\ufeff> game \n 1410 : 10 -> EB\n1411:11->FE", []wanted{jump}},
		{"1337 downwards", X64dbg, ">game\n1411:11->FE\n1410:10->EB", []wanted{jump}},
		{"1337 of data, which a process writes", X64dbg, ">game\n2640:99->EB", []wanted{{"game+0x2640", "\x99", "\xeb", false}}},
		{"dif of IDA Pro 6", IDA, idaLines + "00000410: 10 EB\n00000411: 11 FE\n", []wanted{jump}},
		{"dif of IDA 7", IDA, "This difference file has been created by IDA\r\n\r\nC:\\games\\game\r\n0000000000000410: 10 EB\r\n411: 11 fe", []wanted{jump}},
		{"dif of IDA 9", IDA, "This difference file was created by IDA\n\ngame\n00000410: 10 eb\n00000411: 11 FE", []wanted{jump}},
		{"dif of IDA 5", IDA, "This difference file is created by The Interactive Disassembler\n\ngame\n00000410: 10 EB\n00000411: 11 FE", []wanted{jump}},
		{"dif with the header of fc", IDA, "Comparing files game and game.old\n00000410: 10 EB\n00000411: 11 FE", []wanted{jump}},
		{"fc", FC, "Comparing files C:\\GAMES\\game and GAME.EXE\r\n00000410: 10 EB\r\n00000411: 11 FE\r\n\r\n", []wanted{jump}},
		{"fc in UTF-16", FC, utf16File("Comparing files game and g\r\n00000410: 10 EB\r\n00000411: 11 FE\r\n"), []wanted{jump}},
		{"ips", IPS, ips("\x00\x04\x10\x00\x02\xeb\xfe"), []wanted{jump}},
		{"ips with a repeated byte", IPS, ips("\x00\x04\x10\x00\x00\x00\x03\x90"), []wanted{text(0x410, "\x10\x11\x12", "\x90\x90\x90")}},
		{"ips that writes what is there", IPS, ips("\x00\x04\x0f\x00\x04\x0f\xeb\xfe\x12"), []wanted{jump}},
		{"ips with records over each other", IPS, ips("\x00\x04\x10\x00\x00\x00\x02\x90", "\x00\x04\x11\x00\x01\xfe", "\x00\x04\x10\x00\x01\xeb"), []wanted{jump}},
		{"ips that cuts nothing off", IPS, ips("\x00\x04\x10\x00\x02\xeb\xfe") + "\x00\x08\x00", []wanted{jump}},
		{"ips with data", IPS, ips("\x00\x06\x40\x00\x01\xff"), []wanted{{"game+0x2640", "\x40", "\xff", false}}},
		{"ips32", IPS32, ips32("\x00\x00\x04\x10\x00\x02\xeb\xfe"), []wanted{jump}},
		{"ips32 with a repeated byte", IPS32, ips32("\x00\x00\x04\x10\x00\x00\x00\x02\x90"), []wanted{text(0x410, "\x10\x11", "\x90\x90")}},
		{"bps", BPS, bps(testFile(), "", patched(testFile(), 0x410, "\xeb\xfe"), act(sourceRead, 0x410), act(targetRead, 2)+"\xeb\xfe", act(sourceRead, fileSize-0x412)), []wanted{jump}},
		{"bps with something about itself", BPS, bps(testFile(), "<xml/>", patched(testFile(), 0x410, "\xeb\xfe"),
			act(sourceRead, 0x410), act(targetRead, 2)+"\xeb\xfe", act(sourceRead, fileSize-0x412)), []wanted{jump}},
		{"bps that copies", BPS, bps(testFile(), "", patched(testFile(), 0x410, "\x20\x21\x20\x21\x20\x21"), act(sourceRead, 0x410),
			act(sourceCopy, 2)+distance(0x420), act(targetCopy, 4)+distance(0x410), act(sourceCopy, fileSize-0x416)+distance(0x416-0x422)),
			[]wanted{text(0x410, "\x10\x11\x12\x13\x14\x15", "\x20\x21\x20\x21\x20\x21")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, skipped, err := Import([]byte(test.file), test.format, Options{Module: "game", Original: section(testFile())})
			if err != nil || len(skipped) > 0 {
				t.Fatalf("skipped %v, %v", skipped, err)
			}
			expectChanges(t, p, test.want...)
			if want := (patch.Module{Name: "game", BuildID: testBuildID}); len(p.Modules) != 1 || p.Modules[0] != want {
				t.Errorf("the modules are %+v; want %+v", p.Modules, want)
			}
			if f, ok := Detect([]byte(test.file), ""); !ok || f != test.format && test.format != IDA {
				t.Errorf("the format is taken for %v, %v", f, ok)
			}
		})
	}
}

// What a file says of the module is the name of it, unless the caller has another.
func TestImportNames(t *testing.T) {
	tests := []struct {
		name   string
		format Format
		file   string
		module string
		want   string
	}{
		{"1337", X64dbg, ">game.exe\n1410:10->EB", "", "game.exe+0x1410"},
		{"1337 for a module that the caller names", X64dbg, ">game.exe\n1410:10->EB", "game", "game+0x1410"},
		{"a name that needs quotes", X64dbg, ">libc-2.31.so\n1410:10->EB", "", `"libc-2.31.so"+0x1410`},
		{"the program", X64dbg, ">game\n1410:10->EB", "@exe", "@exe+0x1410"},
		{"dif", IDA, idaLines + "410: 10 EB", "", "game+0x1410"},
		{"dif with a path", IDA, "This difference file was created by IDA\n\nC:\\a b\\game.exe\n410: 10 EB", "", "game.exe+0x1410"},
		{"fc", FC, "Comparing files a/game and game.new\n410: 10 EB", "", "game+0x1410"},
		{"fc in German", FC, "Vergleichen der Dateien game und GAME.NEW\n410: 10 EB", "game", "game+0x1410"},
		{"ips", IPS, ips("\x00\x04\x10\x00\x01\xeb"), "game", "game+0x1410"},
		{"fc in German that the caller does not name", FC, "Vergleichen der Dateien game und GAME.NEW\n410: 10 EB", "", ""},
		{"fc of files whose names may be taken apart in two ways", FC, "Comparing files a and b and c\n410: 10 EB", "", ""},
		{"ips that the caller does not name", IPS, ips("\x00\x04\x10\x00\x01\xeb"), "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, _, err := Import([]byte(test.file), test.format, Options{Module: test.module, Original: section(testFile())})
			if test.want == "" {
				if err == nil || !strings.Contains(err.Error(), "which module") {
					t.Errorf("%+v, %v; want no module", p, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			marshalled(t, p)
			if got := p.Changes[0].At.String(); got != test.want || moduleText(p.Modules[0].Name)+"+0x1410" != test.want {
				t.Errorf("the place is %s in %s; want %s", got, p.Modules[0].Name, test.want)
			}
		})
	}
}

// x64dbg writes the patches of all modules to one file.
func TestImportSeveralModules(t *testing.T) {
	const file = ">b.dll\n10:00->01\n>a.exe\n1410:10->EB\n>b.dll\n11:00->02\n"
	p, _, err := Import([]byte(file), X64dbg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	marshalled(t, p)
	b := wanted{"b.dll+0x10", "\x00\x00", "\x01\x02", true}
	expectChanges(t, p, wanted{"a.exe+0x1410", "\x10", "\xeb", true}, b)
	if len(p.Modules) != 0 {
		t.Errorf("the modules are %v; want none", p.Modules)
	}
	o := Options{Original: section(testFile())}
	if _, _, err := Import([]byte(file), X64dbg, o); err == nil || !strings.Contains(err.Error(), "which one is the original") {
		t.Errorf("with an original of one: %v", err)
	}
	o.Module = "A.EXE"
	if p, _, err = Import([]byte(file), X64dbg, o); err != nil {
		t.Fatal(err)
	}
	expectChanges(t, p, wanted{"A.EXE+0x1410", "\x10", "\xeb", true}, b)
	if len(p.Modules) != 1 || p.Modules[0].Name != "A.EXE" {
		t.Errorf("the modules are %v; want that of the original", p.Modules)
	}
	o.Module = "c"
	if _, _, err := Import([]byte(file), X64dbg, o); err == nil || !strings.Contains(err.Error(), "none is") {
		t.Errorf("with the name of another: %v", err)
	}
}

// The name of each is what is skipped.
func TestImportSkips(t *testing.T) {
	dif := func(line string) string { return idaLines + "410: 10 EB\n" + line }
	tests := []struct {
		format Format
		file   string
		want   Skipped
	}{
		{IDA, dif("300: 00 01"), Skipped{5, 0x300, 1, "nothing loads it, behind the part at 0x0"}},
		{IDA, dif("500: 00 01"), Skipped{5, 0x500, 1, "nothing loads it, behind the part at 0x1400"}},
		{IDA, dif("700: 00 01"), Skipped{5, 0x700, 1, "nothing loads it, behind the part at 0x2600"}},
		{IDA, dif("800: 00 01"), Skipped{5, 0x800, 1, "it is behind the end of the file, which has 0x800 bytes"}},
		{IDA, dif("4FF: FF 01\n500: 00 01"), Skipped{5, 0x4ff, 2, "it runs over the end of the part at 0x1400"}},
		{IDA, dif("447: 47 01"), Skipped{5, 0x447, 1, "a loader changes these bytes, so those in the file are not those in memory"}},
		{X64dbg, ">game\n1410:10->EB\n1500:00->01", Skipped{3, 0x1500, 1, "the original has nothing there"}},
		{X64dbg, ">game\n1410:10->EB\n27FF:00->01\n2800:00->01", Skipped{3, 0x27ff, 2, "it runs over the end of the part at 0x2600"}},
		{X64dbg, ">game\n1410:10->EB\n1440:00->01", Skipped{3, 0x1440, 1, "a loader changes these bytes, so those in the file are not those in memory"}},
		{IPS, ips("\x00\x04\x10\x00\x01\xeb", "\x00\x07\xff\x00\x03abc"), Skipped{0, 0x7ff, 1, "nothing loads it, behind the part at 0x2600"}},
		{IPS, ips("\x00\x04\x10\x00\x01\xeb") + "\x00\x07\x00", Skipped{0, 0x700, 0x100, "it is cut off, and nothing loads it"}},
		{BPS, bps(testFile(), "", append(patched(testFile(), 0x410, "\xeb"), "more"...), act(sourceRead, 0x410), act(targetRead, 1)+"\xeb",
			act(sourceRead, fileSize-0x411), act(targetRead, 4)+"more"), Skipped{0, 0x800, 4, "it is behind the end of the file, which has 0x800 bytes"}},
		{BPS, bps(testFile(), "", patched(testFile(), 0x410, "\xeb")[:0x7f0], act(sourceRead, 0x410), act(targetRead, 1)+"\xeb",
			act(sourceRead, 0x7f0-0x411)), Skipped{0, 0x7f0, 0x10, "it is cut off, and nothing loads it"}},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%v/%v", test.format, test.want), func(t *testing.T) {
			o := Options{Module: "game", Original: section(testFile())}
			_, skipped, err := Import([]byte(test.file), test.format, o)
			refused, ok := errors.AsType[*SkippedError](err)
			if !ok || len(refused.Skipped) == 0 || refused.Skipped[0] != test.want || len(skipped) != len(refused.Skipped) {
				t.Fatalf("skipped %+v, %v; want %+v", skipped, err, test.want)
			}
			o.Partial = true
			p, skipped, err := Import([]byte(test.file), test.format, o)
			if err != nil || len(skipped) != len(refused.Skipped) {
				t.Fatalf("in part: skipped %+v, %v", skipped, err)
			}
			expectChanges(t, p, wanted{"game+0x1410", "\x10", "\xeb", true})
		})
	}
}

func TestImportNothingLeft(t *testing.T) {
	_, _, err := Import([]byte(idaLines+"300: 00 01"), IDA, Options{Original: section(testFile()), Partial: true})
	if _, ok := errors.AsType[*SkippedError](err); !ok {
		t.Errorf("%v; want what was skipped", err)
	}
}

// The sections of a PE file are not in memory where they are in the file.
func TestImportPE(t *testing.T) {
	for _, bits := range []int{32, 64} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			image := peimage.Build(bits)
			// .text is padded in the file with what is loaded too, up to what it has in memory.
			const file = "Comparing files GAME.EXE and B\r\n00000400: C3 90\r\n00000A00: 00 01\r\n"
			p, _, err := Import([]byte(file), FC, Options{Original: section(image.File)})
			if err != nil {
				t.Fatal(err)
			}
			expectChanges(t, p, wanted{"GAME.EXE+0x1000", "\xc3", "\x90", true}, wanted{"GAME.EXE+0x3000", "\x00", "\x01", false})
			if p.Modules[0].BuildID != image.BuildID {
				t.Errorf("the module is %+v", p.Modules[0])
			}
			// Two bytes side by side in the file, of two sections.
			_, _, err = Import([]byte("Comparing files GAME.EXE and B\n5FF: 00 01\n600: 00 02\n"), FC, Options{Original: section(image.File)})
			if err == nil || !strings.Contains(err.Error(), `over the end of ".text"`) {
				t.Errorf("over the end of a section: %v", err)
			}
		})
	}
}

// An offset that spells the end mark is one, where a record follows.
func TestImportOffsetThatSpellsTheEnd(t *testing.T) {
	tests := []struct {
		name   string
		format Format
		file   string
		size   int64
		want   wanted
	}{
		{"ips", IPS, ips("EOF\x00\x01\xeb"), 0x500000, wanted{"game+0x455f46", "\x00", "\xeb", true}},
		{"ips with a repeated byte", IPS, ips("EOF\x00\x00\x00\x02\xeb"), 0x500000, wanted{"game+0x455f46", "\x00\x00", "\xeb\xeb", true}},
		{"ips32", IPS32, ips32("EEOF\x00\x01\xeb"), 0x50000000, wanted{"game+0x45455f46", "\x00", "\xeb", true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := Options{Module: "game", Original: largeFile(test.size)}
			p, _, err := Import([]byte(test.file), test.format, o)
			if err != nil {
				t.Fatal(err)
			}
			expectChanges(t, p, test.want)
			// Written, it begins a byte before.
			data, err := Export(p, test.format, o)
			if err != nil || strings.Contains(string(data[:len(data)-4]), "EOF") {
				t.Fatalf("exported %q, %v", data, err)
			}
			if p, _, err = Import(data, test.format, o); err != nil {
				t.Fatal(err)
			}
			expectChanges(t, p, test.want)
		})
	}
}
