// SPDX-License-Identifier: Apache-2.0

package address

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// elfHeader is the header of an ELF file of either class. Package debug/elf has the
// layouts; its reader needs the sections, which are not in memory.
type elfHeader struct {
	elf.Header64
	order binary.ByteOrder
}

func readELFHeader(r io.ReaderAt) (*elfHeader, error) {
	ident, err := readBytes(r, 0, elf.EI_NIDENT)
	if err != nil {
		return nil, err
	}
	h := &elfHeader{order: binary.LittleEndian}
	if elf.Data(ident[elf.EI_DATA]) == elf.ELFDATA2MSB {
		h.order = binary.BigEndian
	}
	switch elf.Class(ident[elf.EI_CLASS]) {
	case elf.ELFCLASS64:
		h.Header64, err = readOne[elf.Header64](r, h.order, 0)
	case elf.ELFCLASS32:
		var n elf.Header32
		n, err = readOne[elf.Header32](r, h.order, 0)
		h.Header64 = elf.Header64{Ident: n.Ident, Type: n.Type, Machine: n.Machine, Phoff: uint64(n.Phoff), Shoff: uint64(n.Shoff),
			Phentsize: n.Phentsize, Phnum: n.Phnum, Shentsize: n.Shentsize, Shnum: n.Shnum}
	default:
		err = fmt.Errorf("ELF class %d", ident[elf.EI_CLASS])
	}
	return h, err
}

// wide reports whether addresses have 64 bits.
func (h *elfHeader) wide() bool { return elf.Class(h.Ident[elf.EI_CLASS]) == elf.ELFCLASS64 }

func (h *elfHeader) programs(r io.ReaderAt) ([]elf.Prog64, error) {
	if h.Phnum > maxParts {
		return nil, fmt.Errorf("%d program headers", h.Phnum)
	}
	if h.wide() {
		return readHeaders[elf.Prog64](r, h.order, h.Phoff, h.Phentsize, h.Phnum)
	}
	narrow, err := readHeaders[elf.Prog32](r, h.order, h.Phoff, h.Phentsize, h.Phnum)
	programs := make([]elf.Prog64, len(narrow))
	for i, n := range narrow {
		programs[i] = elf.Prog64{Type: n.Type, Flags: n.Flags, Off: uint64(n.Off), Vaddr: uint64(n.Vaddr), Filesz: uint64(n.Filesz), Memsz: uint64(n.Memsz)}
	}
	return programs, err
}

func (h *elfHeader) sections(r io.ReaderAt) ([]elf.Section64, error) {
	if h.wide() {
		return readHeaders[elf.Section64](r, h.order, h.Shoff, h.Shentsize, h.Shnum)
	}
	narrow, err := readHeaders[elf.Section32](r, h.order, h.Shoff, h.Shentsize, h.Shnum)
	sections := make([]elf.Section64, len(narrow))
	for i, n := range narrow {
		sections[i] = elf.Section64{Type: n.Type, Flags: uint64(n.Flags), Off: uint64(n.Off), Size: uint64(n.Size), Link: n.Link}
	}
	return sections, err
}

func readHeaders[T any](r io.ReaderAt, order binary.ByteOrder, at uint64, size, count uint16) ([]T, error) {
	var one T
	if count != 0 && int(size) != binary.Size(one) {
		return nil, fmt.Errorf("headers of %d bytes each; want %d", size, binary.Size(one))
	}
	return readTable[T](r, order, at, uint64(count))
}

// maxNotes bounds the parts that are read for a build id, each of which may be large, and
// each module of which may have as many. Programs have two or three.
const maxNotes = 16

func readELF(r io.ReaderAt) (*Image, error) {
	h, err := readELFHeader(r)
	if err != nil {
		return nil, err
	}
	programs, err := h.programs(r)
	if err != nil {
		return nil, err
	}
	i := &Image{Kind: ELF, Machine: elf.Machine(h.Machine), PointerSize: 4, order: h.order}
	if h.wide() {
		i.PointerSize = 8
	}
	first, err := frontSegment(programs)
	if err != nil {
		return nil, err
	}
	i.origin = first.Vaddr - first.Off
	for _, p := range programs {
		s := Part{At: p.Vaddr - i.origin, Size: p.Memsz, Offset: p.Off, FileSize: p.Filesz, Perms: elfPerms(elf.ProgFlag(p.Flags))}
		switch elf.ProgType(p.Type) {
		case elf.PT_LOAD:
			end := s.At + s.Size
			if p.Vaddr < i.origin || end < s.At {
				return nil, fmt.Errorf("a segment of %#x bytes at %#x", p.Memsz, p.Vaddr)
			}
			s.FileSize = min(s.FileSize, s.Size)
			i.Parts = append(i.Parts, s)
			i.Size = max(i.Size, end)
		case elf.PT_NOTE:
			if len(i.notes) < maxNotes {
				i.notes = append(i.notes, s)
			}
		case elf.PT_DYNAMIC:
			i.dynamic = s
		case elf.PT_GNU_EH_FRAME:
			i.Unwind = s
		}
	}
	page := uint64(os.Getpagesize())
	if rounded := (i.Size + page - 1) &^ (page - 1); rounded > i.Size {
		i.Size = rounded
	}
	return i, nil
}

func elfPerms(flags elf.ProgFlag) (perms procmaps.Perms) {
	for flag, perm := range map[elf.ProgFlag]procmaps.Perms{elf.PF_R: procmaps.Read, elf.PF_W: procmaps.Write, elf.PF_X: procmaps.Execute} {
		if flags&flag != 0 {
			perms |= perm
		}
	}
	return perms
}

// frontSegment returns the segment with the front of the file: the headers lie in it.
func frontSegment(programs []elf.Prog64) (front elf.Prog64, err error) {
	front.Off = uint64(os.Getpagesize())
	for _, p := range programs {
		if elf.ProgType(p.Type) == elf.PT_LOAD && p.Off < front.Off {
			front = p
		}
	}
	if front.Memsz == 0 {
		return front, errors.New("no segment has the front of the file")
	}
	return front, nil
}

// gnuBuildID returns the description of NT_GNU_BUILD_ID (elf(5)) among some notes.
func gnuBuildID(r io.ReaderAt, order binary.ByteOrder, at, size uint64) string {
	const (
		buildIDType = 3
		maxSize     = 64 << 10
		maxID       = 64
	)
	notes, err := readBytes(r, at, min(size, maxSize))
	if err != nil {
		return ""
	}
	padded := func(n uint32) uint64 { return (uint64(n) + 3) &^ 3 }
	for len(notes) >= 12 {
		name, id, kind := order.Uint32(notes), order.Uint32(notes[4:]), order.Uint32(notes[8:])
		notes = notes[12:]
		end := padded(name) + padded(id)
		if end > uint64(len(notes)) {
			break
		}
		if kind == buildIDType && string(notes[:name]) == "GNU\x00" && id <= maxID {
			return hex.EncodeToString(notes[padded(name):][:id])
		}
		notes = notes[end:]
	}
	return ""
}
