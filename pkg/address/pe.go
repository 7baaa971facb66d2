// SPDX-License-Identifier: Apache-2.0

package address

import (
	"bytes"
	"cmp"
	"debug/elf"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// The format is Microsoft's "PE Format". Package debug/pe has the layouts; its reader
// takes files, not what is loaded of them.

const (
	peExports     = 0 // index of a directory
	peImports     = 1
	peRelocations = 5
	peDebug       = 6
	peImportTable = 12
)

// peMachines are those that ELF has a number for too; the others are EM_NONE.
var peMachines = map[uint16]elf.Machine{
	pe.IMAGE_FILE_MACHINE_AMD64: elf.EM_X86_64, pe.IMAGE_FILE_MACHINE_I386: elf.EM_386, pe.IMAGE_FILE_MACHINE_ARM64: elf.EM_AARCH64,
}

func pePerms(characteristics uint32) (perms procmaps.Perms) {
	for flag, perm := range map[uint32]procmaps.Perms{
		pe.IMAGE_SCN_MEM_READ: procmaps.Read, pe.IMAGE_SCN_MEM_WRITE: procmaps.Write, pe.IMAGE_SCN_MEM_EXECUTE: procmaps.Execute,
	} {
		if characteristics&flag != 0 {
			perms |= perm
		}
	}
	return perms
}

func readPE(r io.ReaderAt) (*Image, error) {
	start, err := readOne[uint32](r, binary.LittleEndian, 0x3c)
	if err != nil {
		return nil, err
	}
	at := uint64(start)
	signature, err := readBytes(r, at, 4)
	if err != nil {
		return nil, err
	}
	if string(signature) != "PE\x00\x00" {
		return nil, ErrNoImage
	}
	at += 4
	file, err := readOne[pe.FileHeader](r, binary.LittleEndian, at)
	if err != nil {
		return nil, err
	}
	at += uint64(binary.Size(file))
	i := &Image{Kind: PE, Machine: peMachines[file.Machine], order: binary.LittleEndian}
	if err := i.readOptional(r, at); err != nil {
		return nil, err
	}
	if file.NumberOfSections > maxParts {
		return nil, fmt.Errorf("%d sections", file.NumberOfSections)
	}
	sections, err := readTable[pe.SectionHeader32](r, binary.LittleEndian, at+uint64(file.SizeOfOptionalHeader), uint64(file.NumberOfSections))
	if err != nil {
		return nil, err
	}
	for _, s := range sections {
		// Windows rounds the offset down to a sector, and the size in memory up to a page: what
		// the file has of the last page is loaded too. Some linkers leave that size 0.
		const sector, page = 512, 4096
		size := (uint64(cmp.Or(s.VirtualSize, s.SizeOfRawData)) + page - 1) &^ (page - 1)
		name, _, _ := bytes.Cut(s.Name[:], []byte{0})
		i.Parts = append(i.Parts, Part{Name: string(name), At: uint64(s.VirtualAddress), Size: size,
			Offset: uint64(s.PointerToRawData &^ (sector - 1)), FileSize: min(size, uint64(s.SizeOfRawData)), Perms: pePerms(s.Characteristics)})
	}
	return i, nil
}

// readOptional reads the optional header, which is none for an image, with as many
// directories as it says it has.
func (i *Image) readOptional(r io.ReaderAt, at uint64) error {
	magic, err := readOne[uint16](r, i.order, at)
	if err != nil {
		return err
	}
	var size, headers, count uint32
	directories := at
	switch magic {
	case 0x10b:
		var h pe.OptionalHeader32
		h, err = readOne[pe.OptionalHeader32](r, i.order, at)
		i.PointerSize, i.prefers, size, headers, count = 4, uint64(h.ImageBase), h.SizeOfImage, h.SizeOfHeaders, h.NumberOfRvaAndSizes
		directories += 96
	case 0x20b:
		var h pe.OptionalHeader64
		h, err = readOne[pe.OptionalHeader64](r, i.order, at)
		i.PointerSize, i.prefers, size, headers, count = 8, h.ImageBase, h.SizeOfImage, h.SizeOfHeaders, h.NumberOfRvaAndSizes
		directories += 112
	default:
		err = fmt.Errorf("optional header %#x", magic)
	}
	if err != nil {
		return err
	}
	if size == 0 {
		return errors.New("SizeOfImage is 0")
	}
	i.Size = uint64(size)
	i.prefersAt = at + 28 - uint64(4*(i.PointerSize/8))
	i.Parts = append(i.Parts, Part{Size: uint64(headers), FileSize: uint64(headers), Perms: procmaps.Read})
	table, err := readTable[pe.DataDirectory](r, i.order, directories, uint64(min(count, 16)))
	for n, d := range table {
		s := Part{At: uint64(d.VirtualAddress), Size: uint64(d.Size)}
		switch n {
		case peExports:
			i.exports = s
		case peImports:
			i.imports = s
		case peRelocations:
			i.relocs = s
		case peDebug:
			i.debug = s
		case peImportTable:
			i.table = s
		}
	}
	return err
}

// codeViewID returns the GUID and the age by which symbol servers know the image.
func (i *Image) codeViewID(r io.ReaderAt) string {
	type entry struct {
		Characteristics, Time    uint32
		Major, Minor             uint16
		Type, Size, RVA, Pointer uint32
	}
	type record struct {
		Signature [4]byte
		A         uint32
		B, C      uint16
		D         [8]byte
		Age       uint32
	}
	const codeView, maxEntries = 2, 64
	entries, err := readTable[entry](r, i.order, i.debug.At, min(i.debug.Size/28, maxEntries))
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if e.Type != codeView || e.RVA == 0 {
			continue
		}
		id, err := readOne[record](r, i.order, uint64(e.RVA))
		if err == nil && string(id.Signature[:]) == "RSDS" {
			return fmt.Sprintf("%08X%04X%04X%X%X", id.A, id.B, id.C, id.D, id.Age)
		}
	}
	return ""
}

// exportSymbols visits the exports that have a name and lie in the image. The reader has
// the bytes of the image where they are in memory. A forwarder is the name of an export
// of another image, and no place.
func (i *Image) exportSymbols(r io.ReaderAt, visit visitor) error {
	if i.exports.Size == 0 {
		return nil
	}
	type directory struct {
		Characteristics, Time                    uint32
		Major, Minor                             uint16
		Name, Base                               uint32
		Functions, Names                         uint32 // how many
		FunctionTable, NameTable, NameIndexTable uint32
	}
	const maxExports, maxNames = 1 << 20, 64 << 20 // the bytes of all names
	d, err := readOne[directory](r, i.order, i.exports.At)
	if err != nil {
		return err
	}
	if d.Functions > maxExports || d.Names > maxExports {
		return fmt.Errorf("%d exports with %d names", d.Functions, d.Names)
	}
	places, err := readTable[uint32](r, i.order, uint64(d.FunctionTable), uint64(d.Functions))
	if err != nil {
		return err
	}
	names, err := readTable[uint32](r, i.order, uint64(d.NameTable), uint64(d.Names))
	if err != nil {
		return err
	}
	indexes, err := readTable[uint16](r, i.order, uint64(d.NameIndexTable), uint64(d.Names))
	if err != nil {
		return err
	}
	near := &pages{r: r} // the names lie side by side
	total := 0
	for n, index := range indexes {
		if int(index) >= len(places) {
			continue
		}
		at := uint64(places[index])
		if at == 0 || at >= i.Size || at-i.exports.At < i.exports.Size {
			continue
		}
		name, err := readString(near, uint64(names[n]))
		if total += len(name); total > maxNames {
			return fmt.Errorf("the names of the exports have more than %d bytes", maxNames)
		}
		if err == nil {
			visit(name, at, 0)
		}
	}
	return nil
}

// readString reads up to a NUL, at most 4096 bytes.
func readString(r io.ReaderAt, at uint64) ([]byte, error) {
	const most, step = 4096, 64
	var text []byte
	for len(text) < most {
		part := make([]byte, step)
		n, err := r.ReadAt(part, int64(at)+int64(len(text)))
		if end := bytes.IndexByte(part[:n], 0); end >= 0 {
			return append(text, part[:end]...), nil
		}
		if n < step {
			return nil, err
		}
		text = append(text, part...)
	}
	return text, fmt.Errorf("a name of more than %d bytes", most)
}
