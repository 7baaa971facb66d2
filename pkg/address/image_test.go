// SPDX-License-Identifier: Apache-2.0

package address

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/internal/testtarget/peimage"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

func TestImage(t *testing.T) {
	const r, rw, rx = procmaps.Read, procmaps.Read | procmaps.Write, procmaps.Read | procmaps.Execute
	program := newELF()
	program.second = &elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: 0x800, Vaddr: 0x3800, Filesz: 0x20, Memsz: 0x100}
	file := program.bytes()
	binary.LittleEndian.PutUint16(file[18:], uint16(elf.EM_AARCH64))
	binary.LittleEndian.PutUint32(file[64+4:], uint32(elf.PF_R|elf.PF_X)) // of the first segment
	frame := newELF()
	frame.second = &elf.Prog64{Type: uint32(elf.PT_GNU_EH_FRAME), Flags: uint32(elf.PF_R), Off: 0x40, Vaddr: 0x40, Filesz: 0x10, Memsz: 0x10}
	front := uint64(len(newELF().bytes()))
	pe64, pe32 := peimage.Build(64), peimage.Build(32)
	sections := []Part{
		{"", 0, 0x400, 0, 0x400, r},
		{".text", peimage.Text, 0x1000, 0x400, 0x200, rx},
		{".rdata", peimage.Rdata, 0x1000, 0x600, 0x400, r},
		{".data", peimage.Data, 0x3000, 0xa00, 0x200, rw},
		{".reloc", peimage.Reloc, 0x1000, 0x1000, 0x200, r},
	}
	tests := []struct {
		name string
		file []byte
		want Image
	}{
		{"ELF", file, Image{Kind: ELF, Machine: elf.EM_AARCH64, PointerSize: 8, Size: 0x4000, BuildID: elfBuildID, Parts: []Part{
			{"", 0, front, 0, front, rx}, {"", 0x3800, 0x100, 0x800, 0x20, rw}}}},
		{"ELF with a table for unwinding", frame.bytes(), Image{Kind: ELF, PointerSize: 8, Size: 0x1000, BuildID: elfBuildID, Parts: []Part{
			{"", 0, front, 0, front, 0}}, Unwind: Part{"", 0x40, 0x10, 0x40, 0x10, r}}},
		{"PE", pe64.File, Image{Kind: PE, Machine: elf.EM_X86_64, PointerSize: 8, Size: 0x7000, BuildID: pe64.BuildID, Parts: sections}},
		{"PE of 32 bits", pe32.File, Image{Kind: PE, Machine: elf.EM_386, PointerSize: 4, Size: 0x7000, BuildID: pe32.BuildID, Parts: sections}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			i, err := ReadImage(bytes.NewReader(test.file))
			if err != nil {
				t.Fatal(err)
			}
			got := Image{Kind: i.Kind, Machine: i.Machine, PointerSize: i.PointerSize, Size: i.Size, BuildID: i.BuildID, Parts: i.Parts, Unwind: i.Unwind}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("%+v; want %+v", got, test.want)
			}
		})
	}
	for _, other := range []string{"#!/bin/sh\n", "MZ" + strings.Repeat("\x00", 100)} {
		if _, err := ReadImage(strings.NewReader(other)); !errors.Is(err, ErrNoImage) {
			t.Errorf("%q: %v; want that it is none", other, err)
		}
	}
}

func TestOffsets(t *testing.T) {
	i := &Image{Parts: []Part{
		{"", 0, 0x400, 0, 0x400, 0},
		{".text", 0x1000, 0x1000, 0x400, 0x200, 0},
		{".twice", 0x4000, 0x1000, 0x800, 0x10, 0},
		{".again", 0x5000, 0x1000, 0x80f, 0x10, 0},
		{".last", 0x6000, 1<<64 - 0x6000, 0x1000, 1<<64 - 0x6000, 0},
	}}
	const none = 1<<64 - 1
	tests := []struct {
		name   string
		offset uint64
		at     uint64 // none if it is nowhere
	}{
		{"the first byte", 0, 0},
		{"the last one of the headers", 0x3ff, 0x3ff},
		{"the first one of a section", 0x400, 0x1000},
		{"the last one of a section", 0x5ff, 0x11ff},
		{"behind a section", 0x600, none},
		{"before a section", 0x7ff, none},
		{"in one of two sections", 0x80e, 0x400e},
		{"in two sections", 0x80f, none},
		{"in the other one", 0x810, 0x5001},
		{"near the end of all addresses", 1<<64 - 0x5001, 1<<64 - 1},
		{"the end of all offsets", 1<<64 - 1, none},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			at, ok := i.AtOffset(test.offset)
			if ok != (test.at != none || test.offset == 1<<64-0x5001) || ok && at != test.at {
				t.Fatalf("%#x is at %#x, %v; want %#x", test.offset, at, ok, test.at)
			}
			if ok {
				if offset, ok := i.OffsetAt(at); !ok || offset != test.offset {
					t.Errorf("%#x is at %#x of the file, %v; want %#x", at, offset, ok, test.offset)
				}
			}
		})
	}
	for _, at := range []uint64{0x400, 0xfff, 0x1200, 0x4010} {
		if offset, ok := i.OffsetAt(at); ok {
			t.Errorf("%#x is at %#x of the file", at, offset)
		}
	}
}

func TestImageOfAProcess(t *testing.T) {
	path := testtarget.Build(t, "")
	target := testtarget.StartBinary(t, path)
	data := target.Address("named %x r-- 0", filepath.Join(t.TempDir(), "data"))
	modules, err := modulesOf(taskFor(t, target.PID))
	if err != nil {
		t.Fatal(err)
	}
	program := only(t, modules, "target")
	file, err := program.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want, err := ReadImage(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := program.Image(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, m := range modules {
		if m.Base == data {
			if i, err := m.Image(); !errors.Is(err, ErrNoImage) {
				t.Errorf("data has %+v, %v", i, err)
			}
		}
	}
	vdso := only(t, modules, "[vdso]")
	if i, err := vdso.Image(); err != nil || i.Kind != ELF || i.Unwind.FileSize == 0 {
		t.Errorf("the vdso has %+v, %v", i, err)
	}
	if file, err := vdso.Open(); err == nil {
		t.Errorf("the file of the vdso is %s", file.Name())
	}
}

func TestInModule(t *testing.T) {
	tests := []struct {
		text   string
		module string // "" for what is not in a module
		offset uint64
	}{
		{"game", "game", 0},
		{"game+0x10", "game", 0x10},
		{"0x8*2+game-4", "game", 0xc},
		{"game-0x10", "game", 1<<64 - 0x10},
		{`"libc-2.31.so"+1`, `"libc-2.31.so"`, 1},
		{"@exe+0x10", "@exe", 0x10},
		{"@vdso", "@vdso", 0},
		{"@heap+0x10", "", 0},
		{"@stack", "", 0},
		{"game!player", "", 0},
		{"[game]+0x10", "", 0},
		{"game+game", "", 0},
		{"-game", "", 0},
		{"game*2", "", 0},
		{"0x1000", "", 0},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			module, offset, ok := mustParse(t, test.text).InModule()
			if module != test.module || ok != (test.module != "") || ok && offset != test.offset {
				t.Errorf("%s+%#x, %v; want %s+%#x", module, offset, ok, test.module, test.offset)
			}
		})
	}
}

// The relocations of a library are those that debug/elf finds by its sections.
func TestFixupsOfALibrary(t *testing.T) {
	path := testtarget.BuildC(t, "testdata/library.c", "-shared", "-fPIC")
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	i, err := ReadImage(file)
	if err != nil {
		t.Fatal(err)
	}
	spans, err := i.Fixups(file, 0)
	if err != nil {
		t.Fatal(err)
	}
	sections, err := elf.NewFile(file)
	if err != nil {
		t.Fatal(err)
	}
	targets := map[uint64]bool{}
	for _, s := range sections.Sections {
		if s.Type != elf.SHT_RELA && s.Type != elf.SHT_REL {
			continue
		}
		data, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		for ; len(data) > 0; data = data[s.Entsize:] {
			targets[i.number(data)] = true
		}
	}
	size := uint64(0)
	for n, s := range spans {
		size += s.Size
		if n > 0 && s.At <= spans[n-1].At+spans[n-1].Size {
			t.Errorf("%+v is not behind %+v", s, spans[n-1])
		}
	}
	for at := range targets {
		if !slices.ContainsFunc(spans, func(s Span) bool { return at-s.At < s.Size }) {
			t.Errorf("%#x is relocated and in none of %v", at, spans)
		}
	}
	if want := uint64(len(targets) * i.PointerSize); size != want || want == 0 {
		t.Errorf("%d bytes are relocated; want %d", size, want)
	}
}

// relocated is an ELF image with a dynamic table at 0x100 and what else is put into it.
func relocated(put map[uint64]any) (*Image, *bytes.Reader) {
	file := make([]byte, 0x1000)
	for at, v := range put {
		var b bytes.Buffer
		binary.Write(&b, binary.LittleEndian, v)
		copy(file[at:], b.Bytes())
	}
	whole := Part{Size: 0x1000, FileSize: 0x1000}
	return &Image{Kind: ELF, PointerSize: 8, Size: 0x1000, Parts: []Part{whole}, order: binary.LittleEndian,
		origin: 0x400000, dynamic: Part{At: 0x100, FileSize: 0x100}}, bytes.NewReader(file)
}

func TestFixups(t *testing.T) {
	const origin = 0x400000
	tests := []struct {
		name string
		put  map[uint64]any
		want []Span
	}{
		{"no dynamic table", nil, nil},
		{"RELA and those of the PLT", map[uint64]any{
			0x100: []elf.Dyn64{{Tag: int64(elf.DT_RELA), Val: origin + 0x200}, {Tag: int64(elf.DT_RELASZ), Val: 48},
				{Tag: int64(elf.DT_JMPREL), Val: origin + 0x300}, {Tag: int64(elf.DT_PLTRELSZ), Val: 24}, {Tag: int64(elf.DT_PLTREL), Val: uint64(elf.DT_RELA)}},
			0x200: []elf.Rela64{{Off: origin + 0x808}, {Off: origin + 0x800}}, 0x300: []elf.Rela64{{Off: origin + 0x900}},
		}, []Span{{0x800, 16}, {0x900, 8}}},
		{"REL", map[uint64]any{
			0x100: []elf.Dyn64{{Tag: int64(elf.DT_REL), Val: origin + 0x200}, {Tag: int64(elf.DT_RELSZ), Val: 16}},
			0x200: elf.Rel64{Off: origin + 0x800},
		}, []Span{{0x800, 8}}},
		{"RELR", map[uint64]any{
			0x100: []elf.Dyn64{{Tag: 36, Val: origin + 0x200}, {Tag: 35, Val: 24}},
			0x200: []uint64{origin + 0x800, 0b1011, 1<<63 | 1},
		}, []Span{{0x800, 16}, {0x818, 8}, {0x800 + 8 + 63*8 + 62*8, 8}}},
		{"what is not in the image", map[uint64]any{
			0x100: []elf.Dyn64{{Tag: int64(elf.DT_REL), Val: origin + 0x200}, {Tag: int64(elf.DT_RELSZ), Val: 48}},
			0x200: []elf.Rel64{{Off: origin + 0x1000}, {Off: origin + 0xffc}, {Off: 0}},
		}, []Span{{0xffc, 4}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			i, file := relocated(test.put)
			if got, err := i.Fixups(file, 0); err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%+v, %v; want %+v", got, err, test.want)
			}
		})
	}
	for name, size := range map[string]uint64{"a table that ends": 0x2000, "a table of all memory": 1 << 62} {
		t.Run(name, func(t *testing.T) {
			i, file := relocated(map[uint64]any{0x100: []elf.Dyn64{{Tag: int64(elf.DT_RELA), Val: origin + 0x200}, {Tag: int64(elf.DT_RELASZ), Val: size}}})
			if got, err := i.Fixups(file, 0); err == nil {
				t.Errorf("%+v; want an error", got)
			}
		})
	}
}

// relocatedPE has base relocations and, at the start of .rdata, an import address table.
func relocatedPE(bits int, blocks ...any) *peimage.Image {
	image := peimage.Build(bits)
	var b bytes.Buffer
	for _, v := range blocks {
		binary.Write(&b, binary.LittleEndian, v)
	}
	copy(image.File[0x1000:], b.Bytes())
	directories := 0x80 + 24 + 96
	if bits == 64 {
		directories += 16
	}
	binary.LittleEndian.PutUint32(image.File[directories+8*5:], peimage.Reloc)
	binary.LittleEndian.PutUint32(image.File[directories+8*5+4:], uint32(b.Len()))
	binary.LittleEndian.PutUint32(image.File[directories+8*12:], peimage.Rdata)
	binary.LittleEndian.PutUint32(image.File[directories+8*12+4:], 0x10)
	return image
}

func TestFixupsOfWindows(t *testing.T) {
	for _, bits := range []int{32, 64} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			image := relocatedPE(bits, []uint32{peimage.Text, 8 + 2*4}, []uint16{3<<12 | 4, 10<<12 | 0x10, 4<<12 | 0x20, 0xf030}, []uint32{peimage.Data, 8 + 2*2}, []uint16{3 << 12, 0})
			i, err := ReadImage(bytes.NewReader(image.File))
			if err != nil {
				t.Fatal(err)
			}
			header := Span{0x80 + 24 + 28, 4}
			if bits == 64 {
				header = Span{0x80 + 24 + 24, 8}
			}
			imports := Span{peimage.Rdata, 0x10}
			want := []Span{header, {peimage.Text + 4, 4}, {peimage.Text + 0x10, 8}, {peimage.Text + 0x20, 2}, imports, {peimage.Data, 4}}
			if got, err := i.Fixups(bytes.NewReader(image.File), 0x12340000); err != nil || !slices.Equal(got, want) {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
			if got, err := i.Fixups(bytes.NewReader(image.File), image.Base); err != nil || !slices.Equal(got, []Span{imports}) {
				t.Errorf("where it asked to be: %+v, %v; want the imports", got, err)
			}
			for _, size := range []uint32{0, 7, 0x100} {
				image := relocatedPE(bits, []uint32{peimage.Text, size})
				if got, err := i.Fixups(bytes.NewReader(image.File), 0); err == nil && size != 0x100 {
					t.Errorf("a block of %d bytes: %+v", size, got)
				}
			}
		})
	}
}

func FuzzFixups(f *testing.F) {
	for _, seed := range elfSeeds() {
		f.Add(seed)
	}
	f.Add(relocatedPE(64, []uint32{peimage.Text, 8 + 2*4}, []uint16{3<<12 | 4, 10<<12 | 0x10, 4<<12 | 0x20, 0xf030}).File)
	f.Fuzz(func(t *testing.T, file []byte) {
		i, err := ReadImage(bytes.NewReader(file))
		if err != nil {
			return
		}
		spans, err := i.Fixups(bytes.NewReader(file), 0)
		if err != nil {
			return
		}
		end := uint64(0)
		for n, s := range spans {
			if s.Size == 0 || n > 0 && s.At <= end || s.At+s.Size > i.Size {
				t.Fatalf("%+v after %#x in an image of %#x bytes", s, end, i.Size)
			}
			end = s.At + s.Size
		}
		if len(spans) > 64*len(file) {
			t.Errorf("%d spans of a file of %d bytes", len(spans), len(file))
		}
	})
}
