// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/patch"
)

func TestImportRefuses(t *testing.T) {
	source, target := testFile(), patched(testFile(), 0x410, "\xeb")
	makes := func(actions ...string) string { return bps(source, "", target, actions...) }
	header := func(sizes ...uint64) string {
		file := "BPS1"
		for _, n := range sizes {
			file += number(n)
		}
		return sealed(file, source, target)
	}
	damaged := []byte(makes(act(sourceRead, fileSize)))
	damaged[6] ^= 1
	tests := []struct {
		name   string
		format Format
		file   string
		want   string
	}{
		{"1337 with a bad line between good ones", X64dbg, ">game\n1410:10->EB\n1411:11-FE\n1412:12->FE", `1337, line 3: "1411:11-FE" is not as`},
		{"1337 with half a byte", X64dbg, ">game\n1410:10->E", "line 2"},
		{"1337 with three digits", X64dbg, ">game\n1410:10->EBB", "line 2"},
		{"1337 with a change before the module", X64dbg, "1410:10->EB\n>game", "line 1: no line says which module"},
		{"1337 with a module without a name", X64dbg, "> \n1410:10->EB", "line 1: a module without a name"},
		{"1337 of two modules, one of which is no name", X64dbg, ">game\n1410:10->EB\n>@heap\n0:00->01", "is not the name of a module"},
		{"1337 with a byte twice", X64dbg, ">game\n1410:10->EB\n1410:EB->10", "line 3: the byte at 0x1410 is changed twice"},
		{"1337 with another old byte", X64dbg, ">game\n\n1410:99->EB", "line 3: the original is another file: at 0x1410 it has 10, and the old bytes are 99"},
		{"1337 that is applied to the file", X64dbg, ">game\n1410:EB->10", "line 2: the original is another file: at 0x1410 it has the new bytes already"},
		{"1337 beyond all addresses", X64dbg, ">game\n10000000000001410:10->EB", "line 2"},
		{"1337 without a change", X64dbg, ">game\n", "there is no difference"},
		{"1337 of nothing", X64dbg, "", "there is no difference"},
		{"1337 of no text", X64dbg, ">ga\x00me\n", "this is not text"},
		{"dif with a bad line", IDA, idaLines + "410: 10 EB\n411 11 FE\n", `dif, line 5: "411 11 FE" is not as`},
		{"dif with a bad first line", IDA, idaLines + "00000410: 1Z EB\n", "line 4"},
		{"dif with a third line of prose", IDA, idaLines + "hello\n410: 10 EB\n", "line 4"},
		{"dif with another old byte", IDA, idaLines + "410: 99 EB\n", "line 4: the original is another file"},
		{"dif of prose alone", IDA, idaLines, "there is no difference"},
		{"fc of files that are the same", FC, "Comparing files a and b\nFC: no differences encountered\n", "there is no difference"},
		{"fc of files of two sizes", FC, "Comparing files a and b\n410: 10 EB\nFC: b longer than a\n", "line 3: the two files are not of the same size"},
		{"fc of files of two sizes in German", FC, "Vergleichen der Dateien a und b\n410: 10 EB\nFC: b l\u00e4nger als a\n", "not of the same size"},
		{"fc of several files", FC, "Comparing files a and b\n410: 10 EB\nComparing files c and d\n410: 10 EB\n", "line 3: the changes of another file"},
		{"fc of several files of which the first are the same", FC, "Comparing files a and b\nFC: no differences encountered\nComparing files c and d\n", "line 3: the changes of another file"},
		{"fc without colons", FC, "Comparing files a and b\n00000410 10 EB\n", "line 2"},

		{"ips without its header", IPS, "PATCXEOF", "does not begin with PATCH"},
		{"ips without a change", IPS, ips(), "there is no difference"},
		{"ips that repeats a byte 0 times", IPS, ips("\x00\x04\x10\x00\x00\x00\x00\x90"), "byte 0x5: 0 bytes are changed here"},
		{"ips that cuts off what is loaded", IPS, ips("\x00\x04\x10\x00\x01\xeb") + "\x00\x06\x7f", "not of the same size"},
		{"ips with something behind its end", IPS, ips("\x00\x04\x10\x00\x01\xeb") + "{}", "the file ends too early"},
		{"ips that fills the disk", IPS, ips(strings.Repeat("\xff\xff\xff\x00\x00\xff\xff\x90", 1<<10)), "16777216 are the most"},
		{"ips32 that ends as ips does", IPS32, "IPS32\x00\x00\x04\x10\x00\x01\xebEOF", "the file ends too early"},

		{"bps without its header", BPS, "BPS2" + strings.Repeat("\x00", 20), "does not begin with BPS1"},
		{"bps that is damaged", BPS, string(damaged), "the file is damaged"},
		{"bps of a source of another size", BPS, header(fileSize+1, fileSize, 0), "the original is another file: it has 2048 bytes"},
		{"bps of another source", BPS, bps(target, "", source, act(sourceRead, fileSize)), "the original is another file: its checksum"},
		{"bps with a target of all memory", BPS, header(fileSize, 1<<50, 0), "are the most"},
		{"bps with more about itself than it has", BPS, header(fileSize, fileSize, 1<<50), "ends too early"},
		{"bps with a number without end", BPS, sealed("BPS1"+strings.Repeat("\x00", 20), source, target), "a number is too large"},
		{"bps with a size that ends", BPS, sealed("BPS1\x00", source, target), "ends too early"},
		{"bps that makes less than it should", BPS, makes(act(sourceRead, 5)), "ends too early"},
		{"bps that makes more than it should", BPS, makes(act(sourceRead, fileSize), act(targetRead, 1)+"x"), "more than the target has"},
		{"bps with a length of all memory", BPS, makes(number(1 << 56)), "more than the target has"},
		{"bps with bytes that it does not have", BPS, makes(act(targetRead, fileSize)), "ends too early"},
		{"bps that copies from before the source", BPS, makes(act(sourceCopy, 1) + distance(-1)), "where there are none"},
		{"bps that copies from behind the source", BPS, makes(act(sourceCopy, fileSize) + distance(1)), "where there are none"},
		{"bps that copies from far behind the source", BPS, makes(act(sourceCopy, 1) + number(1<<56-1)), "where there are none"},
		{"bps that copies what is not made yet", BPS, makes(act(targetCopy, 1) + distance(0)), "where there are none"},
		{"bps that makes another target", BPS, bps(source, "", target, act(sourceRead, fileSize)), "the checksum of the target"},
		{"bps without a change", BPS, bps(source, "", source, act(sourceRead, fileSize)), "there is no difference"},
		{"bps that cuts off what is loaded", BPS, bps(source, "", source[:0x600], act(sourceRead, 0x600)), "not of the same size"},
		{"a format that there is not", 99, "", "the format is not known"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, _, err := Import([]byte(test.file), test.format, Options{Module: "game", Original: section(source), Partial: true})
			if p != nil || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("%+v, %v; want %s", p, err, test.want)
			}
			if failed, ok := errors.AsType[*Error](err); !ok || failed.Format != test.format {
				t.Errorf("the error is a %T of %+v", err, failed)
			}
		})
	}
}

func TestImportRefusesOptions(t *testing.T) {
	const file = idaLines + "410: 10 EB"
	hash := "da39a3ee5e6b4b0d3255bfef95601890afd80709da39a3ee5e6b4b0d3255bfef"
	tests := []struct {
		name string
		o    Options
		want error
	}{
		{"no original", Options{}, nil},
		{"an original of another kind", Options{Original: section([]byte("#!/bin/sh\n"))}, address.ErrNoImage},
		{"an original that ends", Options{Original: section(testFile()[:80])}, io.ErrUnexpectedEOF},
		{"another build id", Options{Original: section(testFile()), BuildID: "0123"}, ErrOriginal},
		{"another SHA-256", Options{Original: section(testFile()), SHA256: hash}, ErrOriginal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, _, err := Import([]byte(file), IDA, test.o)
			if p != nil || err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%+v, %v; want %v", p, err, test.want)
			}
		})
	}
	p, _, err := Import([]byte(file), IDA, Options{Original: section(testFile()), BuildID: strings.ToUpper(testBuildID)})
	if err != nil || p.Modules[0].BuildID != testBuildID {
		t.Errorf("the build id in capitals: %v", err)
	}
}

// whole are files of each format that are as they should be.
func whole() map[Format]string {
	target := patched(testFile(), 0x410, "\xeb\x00\x00\x00")
	return map[Format]string{
		X64dbg: ">game\r\n00001410:10->EB\r\n00001411:11->00\r\n00001412:12->00\r\n",
		IDA:    idaLines + "00000410: 10 EB\r\n00000411: 11 00\n00000412: 12 00",
		FC:     "Comparing files game and GAME\r\n00000410: 10 EB\r\n00000411: 11 00\r\n",
		IPS:    ips("\x00\x04\x10\x00\x01\xeb", "\x00\x04\x11\x00\x00\x00\x02\x00"),
		IPS32:  ips32("\x00\x00\x04\x10\x00\x01\xeb", "\x00\x00\x04\x11\x00\x00\x00\x02\x00"),
		BPS: bps(testFile(), "about", target, act(sourceRead, 0x410), act(targetRead, 2)+"\xeb\x00",
			act(targetCopy, 2)+distance(0x411), act(sourceCopy, fileSize-0x414)+distance(0x414)),
	}
}

// A file that was cut is refused where its format can tell, and otherwise makes some of the
// changes, none of them another one.
func TestImportCut(t *testing.T) {
	for f, file := range whole() {
		t.Run(f.String(), func(t *testing.T) {
			o := Options{Module: "game", Original: section(testFile())}
			p, _, err := Import([]byte(file), f, o)
			if err != nil || len(p.Changes) != 1 {
				t.Fatalf("whole: %v", err)
			}
			for size := range len(file) {
				cut, _, err := Import([]byte(file[:size]), f, o)
				switch {
				case err != nil:
				case f == IPS || f == IPS32 || f == BPS:
					t.Errorf("the first %d bytes are a patch", size)
				case len(cut.Changes) != 1 || !bytes.HasPrefix(p.Changes[0].New, cut.Changes[0].New):
					t.Errorf("the first %d bytes change %x; want some of %x", size, cut.Changes[0].New, p.Changes[0].New)
				}
			}
		})
	}
}

func FuzzImport(f *testing.F) {
	for format, file := range whole() {
		f.Add([]byte(file), uint8(format))
	}
	f.Add([]byte(ips("EOF\x00\x01\xeb", "\x00\x04\x10\x00\x00\xff\xff\x90")), uint8(IPS))
	f.Add([]byte(ips("\x00\x04\x10\x00\x01\xeb")+"\x00\x08\x00"), uint8(IPS))
	f.Add([]byte(utf16File(">game\n1410:10->EB")), uint8(X64dbg))
	f.Add([]byte(">a\n0:1F->90\n>b\n0:1F->90"), uint8(X64dbg))
	f.Fuzz(func(t *testing.T, data []byte, format uint8) {
		fuzzImport(t, data, Format(format))
	})
}

// FuzzBPS takes what stands between the sizes and the checksums, which are made right.
func FuzzBPS(f *testing.F) {
	f.Add([]byte(act(sourceRead, 0x410)+act(targetRead, 2)+"\xeb\x00"+act(targetCopy, 2)+distance(0x411)+act(sourceCopy, fileSize-0x414)+distance(0x414)), uint32(fileSize))
	f.Fuzz(func(t *testing.T, actions []byte, size uint32) {
		source := testFile()
		head := "BPS1" + number(fileSize) + number(uint64(size)) + number(0)
		b := &builder{original: &original{SectionReader: section(source)}}
		var target []byte
		if size <= 2*fileSize {
			target, _ = b.makeTarget(&bpsReader{data: actions}, uint64(size))
		}
		fuzzImport(t, []byte(sealed(head+string(actions), source, target)), BPS)
	})
}

// fuzzImport imports a file, and exports and imports again what it says.
func fuzzImport(t *testing.T, data []byte, format Format) {
	if p, _, err := Import(data, format, Options{}); err == nil { // by what the file says alone
		marshalled(t, p)
	}
	o := Options{Module: "game", Original: section(testFile())}
	for _, partial := range []bool{false, true} {
		o.Partial = partial
		p, skipped, err := Import(data, format, o)
		if err != nil {
			continue
		}
		if len(skipped) > 0 != partial && len(skipped) > 0 {
			t.Errorf("skipped %v", skipped)
		}
		if size := bytesOf(p); size > fileSize {
			t.Errorf("%d bytes are changed in a file of %d", size, fileSize)
		}
		if len(p.Changes) > len(data) && format != BPS && format != IPS && format != IPS32 {
			t.Errorf("%d bytes make %d changes", len(data), len(p.Changes))
		}
		roundTrip(t, p, format, o)
		marshalled(t, p)
	}
}

func bytesOf(p *patch.Patch) (size int) {
	for _, c := range p.Changes {
		size += len(c.New)
	}
	return size
}

// marshalled writes a patch as a file, and reads it again.
func marshalled(t *testing.T, p *patch.Patch) {
	t.Helper()
	data, err := p.Marshal()
	if err != nil {
		t.Fatalf("writing %+v: %v", p, err)
	}
	again, err := patch.Parse(data)
	if err != nil {
		t.Fatalf("reading %s: %v", data, err)
	}
	if twice, err := again.Marshal(); err != nil || !bytes.Equal(twice, data) {
		t.Errorf("%s is %s, %v, after it was read", data, twice, err)
	}
}

// roundTrip exports a patch and imports that.
func roundTrip(t *testing.T, p *patch.Patch, f Format, o Options) {
	t.Helper()
	data, err := Export(p, f, o)
	if err != nil {
		t.Fatalf("exporting %+v: %v", p, err)
	}
	again, skipped, err := Import(data, f, o)
	if err != nil || len(skipped) > 0 {
		t.Fatalf("importing %q: skipped %v, %v", data, skipped, err)
	}
	var want []wanted
	for _, c := range p.Changes {
		want = append(want, wanted{c.At.String(), string(c.Old), string(c.New), c.Unprotect})
	}
	expectChanges(t, again, want...)
	if len(again.Modules) != 1 || again.Modules[0] != p.Modules[0] {
		t.Errorf("the modules are %v; want %v", again.Modules, p.Modules)
	}
}

func TestFormatNames(t *testing.T) {
	for _, name := range []string{"1337", "dif", "fc", "ips", "ips32", "bps"} {
		if f, err := ParseFormat(name); err != nil || f.String() != name {
			t.Errorf("%s is %v, %v", name, f, err)
		}
	}
	if f, err := ParseFormat(""); err == nil {
		t.Errorf("no name is %v", f)
	}
	if got := fmt.Sprint(Format(0), Format(99)); got != "Format(0) Format(99)" {
		t.Errorf("the others are %s", got)
	}
	for name, want := range map[string]Format{"a.1337": X64dbg, "A.DIF": IDA, "a.ips": 0, "": 0} {
		if f, ok := Detect([]byte("hello"), name); f != want || ok != (want != 0) {
			t.Errorf("a text called %q is %v, %v; want %v", name, f, ok, want)
		}
	}
}

func TestImportRefusesNames(t *testing.T) {
	for _, name := range []string{"@heap", `a"b`, "a\tb", "a\u2028b", "a\xffb"} {
		t.Run(fmt.Sprintf("%+q", name), func(t *testing.T) {
			p, _, err := Import([]byte(">"+name+"\n1410:10->EB"), X64dbg, Options{})
			if p != nil || err == nil || !strings.Contains(err.Error(), "is not the name of a module") {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}
