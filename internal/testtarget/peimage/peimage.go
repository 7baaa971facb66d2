// SPDX-License-Identifier: Apache-2.0

// Package peimage makes a small program file of Windows, for tests of what reads such
// files and their images in memory. It contains no code that could run. Only tests and
// the programs that they start may import it.
package peimage

import (
	"encoding/binary"
	"slices"
)

// Image is a PE file. Everything is at the same relative address (RVA) in each of them,
// but the export "wide", which only the 64-bit one has.
type Image struct {
	File     []byte
	Base     uint64 // where it asks to be loaded
	Size     uint32 // in memory, from the headers to the end of the last section: SizeOfImage
	Headers  uint32 // bytes of the file before the first section: SizeOfHeaders
	Sections []Section
	Exports  map[string]uint32 // RVA by name
	BuildID  string            // of the CodeView record, as symbol servers write it
}

// Section is a part of an image.
type Section struct {
	Name       string
	RVA        uint32
	Size       uint32 // in memory, a multiple of 4096
	Offset     uint32 // in the file
	RawSize    uint32 // in the file; what lies behind it in memory is zero
	Protection string // as in /proc/PID/maps
}

const (
	// Text is the RVA of the section .text, Rdata that of .rdata, which has the exports,
	// Data that of .data, which is all zero and longer in memory than in the file, and Reloc
	// that of .reloc, which alone begins with a page of the file.
	Text, Rdata, Data, Reloc = 0x1000, 0x2000, 0x3000, 0x6000

	// Player is the RVA of what the export "player" names, and Unnamed that of the export
	// that has an ordinal, 7, and no name. An export "elsewhere" names a function of
	// another module.
	Player, Unnamed = Data + 0x40, Data + 0x80

	// FileAlignment is that of the sections in the file. It is less than a page, so most
	// begin within one, and Wine copies those into anonymous memory instead of mapping them.
	FileAlignment = 0x200

	sectionAlignment = 0x1000
	newHeader        = 0x80 // where the PE header is, behind that of DOS
)

// Build makes an image of 32 or 64 bits.
func Build(bits int) *Image {
	image := &Image{
		Base:    0x10000000,
		Size:    Reloc + 0x1000,
		Headers: 0x400,
		Sections: []Section{
			{".text", Text, 0x1000, 0x400, FileAlignment, "r-x"},
			{".rdata", Rdata, 0x1000, 0x600, 2 * FileAlignment, "r--"},
			{".data", Data, 0x3000, 0xa00, FileAlignment, "rw-"},
			{".reloc", Reloc, 0x1000, 0x1000, FileAlignment, "r--"},
		},
		Exports: map[string]uint32{"player": Player, "start": Text, "Tick": Text + 0x10},
		BuildID: "0102030405060708090A0B0C0D0E0F101F",
	}
	if bits == 64 {
		image.Base = 0x140000000
		image.Exports["wide"] = Player
	}
	last := image.Sections[len(image.Sections)-1]
	file := make([]byte, image.Headers)
	copy(file, "MZ")
	binary.LittleEndian.PutUint32(file[0x3c:], newHeader)
	copy(file[newHeader:], image.header(bits))
	file = append(file, pad(slices.Repeat([]byte{0xc3}, 0x20), FileAlignment)...) // ret
	file = append(file, pad(image.exportsAndDebug(), 2*FileAlignment)...)
	image.File = pad(file, int(last.Offset+last.RawSize)) // .data and .reloc
	return image
}

// Where .rdata has what the data directories name.
const (
	exportDirectory = Rdata
	debugDirectory  = Rdata + 0x200
	codeView        = Rdata + 0x240
)

// header is the signature, the file header, the optional one and the section table.
func (image *Image) header(bits int) []byte {
	var b builder
	machine, magic, characteristics := uint16(0x14c), uint16(0x10b), uint16(0x102)
	if bits == 64 {
		machine, magic, characteristics = 0x8664, 0x20b, 0x22
	}
	// Of the 16 data directories the first names the exports, the seventh the debug data.
	optionalSize := 96 + 16*8
	if bits == 64 {
		optionalSize += 16
	}
	b.text("PE\x00\x00")
	b.u16(machine, uint16(len(image.Sections)))
	b.u32(0x5eedf00d, 0, 0) // time, symbols, their number
	b.u16(uint16(optionalSize), characteristics)

	b.u16(magic, 0)
	b.u32(FileAlignment, 3*FileAlignment, 0, Text, Text) // code, data, .bss, entry, base of the code
	if bits == 64 {
		b.u64(image.Base)
	} else {
		b.u32(Data, uint32(image.Base))
	}
	b.u32(sectionAlignment, FileAlignment)
	b.u16(6, 0, 0, 0, 6, 0) // versions of the system, the image and the subsystem
	b.u32(0, image.Size, image.Headers, 0)
	b.u16(3, 0)                                                   // a console program
	for _, size := range []uint64{1 << 20, 4096, 1 << 20, 4096} { // stack and heap
		if bits == 64 {
			b.u64(size)
		} else {
			b.u32(uint32(size))
		}
	}
	b.u32(0, 16)
	directories := make([]uint32, 2*16)
	directories[0], directories[1] = exportDirectory, debugDirectory-exportDirectory
	directories[12], directories[13] = debugDirectory, 28
	b.u32(directories...)

	flags := map[string]uint32{"r-x": 0x60000020, "r--": 0x40000040, "rw-": 0xc0000040}
	for _, s := range image.Sections {
		b.text(string(pad([]byte(s.Name), 8)))
		b.u32(s.Size, s.RVA, s.RawSize, s.Offset, 0, 0, 0, flags[s.Protection])
	}
	return b
}

// exportsAndDebug is what .rdata has.
func (image *Image) exportsAndDebug() []byte {
	const directorySize, firstOrdinal = 40, 5
	names := []string{"elsewhere"}
	for name := range image.Exports {
		names = append(names, name)
	}
	slices.Sort(names)
	count := uint32(len(names))

	// The functions are in the order of their names, with the unnamed one between.
	const unnamedIndex = 7 - firstOrdinal
	functions := uint32(exportDirectory + directorySize)
	namePointers := functions + 4*(count+1)
	ordinals := namePointers + 4*count
	texts := ordinals + 2*count

	var strings builder
	text := func(s string) (rva uint32) {
		rva = texts + uint32(len(strings))
		strings.text(s + "\x00")
		return rva
	}
	moduleName := text("game.exe")
	var rvas, nameRVAs []uint32
	var indices []uint16
	for _, name := range names {
		if len(rvas) == unnamedIndex {
			rvas = append(rvas, Unnamed)
		}
		indices = append(indices, uint16(len(rvas)))
		nameRVAs = append(nameRVAs, text(name))
		if rva, ok := image.Exports[name]; ok {
			rvas = append(rvas, rva)
		} else {
			rvas = append(rvas, text("other.Function")) // within the directory: a forwarder
		}
	}

	var b builder
	b.u32(0, 0, 0, moduleName, firstOrdinal, count+1, count, functions, namePointers, ordinals)
	b.u32(rvas...)
	b.u32(nameRVAs...)
	b.u16(indices...)
	b = append(b, strings...)

	b = pad(b, debugDirectory-Rdata)
	const pdb = "game.pdb\x00"
	b.u32(0, 0, 0, 2, uint32(24+len(pdb)), codeView, codeView-Rdata+image.Sections[1].Offset)
	b = pad(b, codeView-Rdata)
	b.text("RSDS")
	b.u32(0x01020304)
	b.u16(0x0506, 0x0708)
	b.text("\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10")
	b.u32(0x1f) // age
	b.text(pdb)
	return b
}

// builder appends in the byte order of PE.
type builder []byte

func (b *builder) text(s string) { *b = append(*b, s...) }

func (b *builder) u16(values ...uint16) {
	for _, v := range values {
		*b = binary.LittleEndian.AppendUint16(*b, v)
	}
}

func (b *builder) u32(values ...uint32) {
	for _, v := range values {
		*b = binary.LittleEndian.AppendUint32(*b, v)
	}
}

func (b *builder) u64(v uint64) { *b = binary.LittleEndian.AppendUint64(*b, v) }

// pad appends zero bytes up to a length, which b does not exceed.
func pad(b []byte, length int) []byte {
	return append(b, make([]byte, length-len(b))...)
}
