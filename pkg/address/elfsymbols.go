// SPDX-License-Identifier: Apache-2.0

package address

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// visitor is shown a symbol. The name is valid until it returns.
type visitor func(name []byte, address, size uint64)

// maxTable bounds a table of symbols or of their names, in bytes: some ten million
// symbols. The larger programs of today have a tenth of it.
const maxTable = 256 << 20

// symbolTable is one of an ELF file. Package debug/elf would make a value and a string
// of each symbol.
type symbolTable struct {
	order    binary.ByteOrder
	wide     bool
	entries  io.Reader
	names    []byte
	versions []byte // two bytes for each entry, or nothing
}

func entrySize(wide bool) uint64 {
	if wide {
		return elf.Sym64Size
	}
	return elf.Sym32Size
}

// walk visits the symbols that are places in the image, at addresses in the file's own
// terms.
func (t *symbolTable) walk(visit visitor) error {
	const hidden = 0x8000 // a version that only a program bound to it sees
	entry := make([]byte, entrySize(t.wide))
	for n := 0; ; n++ {
		if _, err := io.ReadFull(t.entries, entry); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("symbol %d: %w", n, err)
		}
		if at := 2 * n; at+2 <= len(t.versions) && t.order.Uint16(t.versions[at:])&hidden != 0 {
			continue
		}
		name := t.order.Uint32(entry)
		info, section, value, size := entry[12], t.order.Uint16(entry[14:]), uint64(t.order.Uint32(entry[4:])), uint64(t.order.Uint32(entry[8:]))
		if t.wide {
			info, section, value, size = entry[4], t.order.Uint16(entry[6:]), t.order.Uint64(entry[8:]), t.order.Uint64(entry[16:])
		}
		if !isPlace(elf.ST_TYPE(info), elf.SectionIndex(section)) || uint64(name) >= uint64(len(t.names)) {
			continue
		}
		// Longer than an expression, nobody asks for it. To look for the end of each, where
		// there is none, would take the square of the file's size.
		names := t.names[name:]
		text, _, ended := bytes.Cut(names[:min(len(names), maxLength+1)], []byte{0})
		if ended && len(text) > 0 {
			visit(text, value, size)
		}
	}
}

func isPlace(kind elf.SymType, section elf.SectionIndex) bool {
	switch kind {
	case elf.STT_NOTYPE, elf.STT_OBJECT, elf.STT_FUNC, elf.STT_GNU_IFUNC:
		return section != elf.SHN_UNDEF && (section < elf.SHN_LORESERVE || section == elf.SHN_XINDEX)
	}
	return false
}

// fileSymbols visits the symbols of .symtab and .dynsym in a file. Whether the first is
// there is the answer.
func fileSymbols(r *io.SectionReader, visit visitor) (whole bool, err error) {
	h, err := readELFHeader(r)
	if err != nil {
		return false, err
	}
	sections, err := h.sections(r)
	if err != nil {
		return false, err
	}
	for _, kind := range []elf.SectionType{elf.SHT_SYMTAB, elf.SHT_DYNSYM} {
		for _, s := range sections {
			if elf.SectionType(s.Type) != kind {
				continue
			}
			if err := h.sectionSymbols(r, sections, s, visit); err != nil {
				return whole, err
			}
			whole = whole || kind == elf.SHT_SYMTAB
			break
		}
	}
	return whole, nil
}

func (h *elfHeader) sectionSymbols(r *io.SectionReader, sections []elf.Section64, s elf.Section64, visit visitor) error {
	if uint64(s.Link) >= uint64(len(sections)) {
		return fmt.Errorf("the names of symbols are in section %d of %d", s.Link, len(sections))
	}
	names, err := sectionBytes(r, sections[s.Link])
	if err != nil {
		return err
	}
	t := &symbolTable{order: h.order, wide: h.wide(), names: names}
	if err := inFile(r, s); err != nil {
		return err
	}
	t.entries = bufio.NewReaderSize(io.NewSectionReader(r, int64(s.Off), int64(s.Size)), 64<<10)
	if elf.SectionType(s.Type) == elf.SHT_DYNSYM {
		for _, v := range sections {
			if elf.SectionType(v.Type) == elf.SHT_GNU_VERSYM {
				if t.versions, err = sectionBytes(r, v); err != nil {
					return err
				}
				break
			}
		}
	}
	return t.walk(visit)
}

func sectionBytes(r *io.SectionReader, s elf.Section64) ([]byte, error) {
	if err := inFile(r, s); err != nil {
		return nil, err
	}
	return readBytes(r, s.Off, s.Size)
}

// inFile checks that the bytes of a section are in the file as they are, and not more
// than we take.
func inFile(r *io.SectionReader, s elf.Section64) error {
	if size := uint64(r.Size()); s.Size > maxTable || s.Off > size || s.Size > size-s.Off {
		return fmt.Errorf("a section of %#x bytes at %#x in a file of %#x", s.Size, s.Off, size)
	}
	if elf.SectionType(s.Type) == elf.SHT_NOBITS || elf.SectionFlag(s.Flags)&elf.SHF_COMPRESSED != 0 {
		return errors.New("a table of symbols that is empty or compressed")
	}
	return nil
}

// sectionBuildID returns the build id of a file by its sections. The program headers of a
// debug file tell of the program from which it was taken.
func sectionBuildID(r io.ReaderAt) string {
	h, err := readELFHeader(r)
	if err != nil {
		return ""
	}
	sections, err := h.sections(r)
	if err != nil {
		return ""
	}
	notes := 0
	for _, s := range sections {
		if elf.SectionType(s.Type) == elf.SHT_NOTE && notes < maxNotes {
			notes++
			if id := gnuBuildID(r, h.order, s.Off, s.Size); id != "" {
				return id
			}
		}
	}
	return ""
}

// dynamicSymbols visits the symbols that the dynamic linker finds in memory. The reader
// has the memory from the base of the image on.
func (i *Image) dynamicSymbols(r io.ReaderAt, base uint64, visit visitor) error {
	table, err := i.dynamicTable(r)
	if err != nil {
		return err
	}
	for _, tag := range []elf.DynTag{elf.DT_SYMTAB, elf.DT_STRTAB, elf.DT_HASH, elf.DT_GNU_HASH, elf.DT_VERSYM} {
		value, ok := table[tag]
		if !ok {
			continue
		}
		// glibc has made an address of what musl leaves as it is in the file.
		if value >= base {
			table[tag] = value - base
		} else {
			table[tag] = value - i.origin
		}
	}
	count, err := i.dynamicCount(r, table)
	if err != nil {
		return err
	}
	t := &symbolTable{order: i.order, wide: i.PointerSize == 8}
	size := count * entrySize(t.wide)
	if names := table[elf.DT_STRSZ]; size > maxTable || names > min(maxTable, i.Size) {
		return fmt.Errorf("%d symbols with names of %#x bytes", count, names)
	}
	if t.names, err = readBytes(r, table[elf.DT_STRTAB], table[elf.DT_STRSZ]); err != nil {
		return err
	}
	if versions := table[elf.DT_VERSYM]; versions != 0 {
		if t.versions, err = readBytes(r, versions, 2*count); err != nil {
			return err
		}
	}
	t.entries = bufio.NewReader(io.NewSectionReader(r, int64(table[elf.DT_SYMTAB]), int64(size)))
	return t.walk(visit)
}

// dynamicCount returns the number of dynamic symbols, which only a hash table tells.
func (i *Image) dynamicCount(r io.ReaderAt, table map[elf.DynTag]uint64) (uint64, error) {
	const maxBuckets = 1 << 20
	if at, ok := table[elf.DT_HASH]; ok {
		chains, err := readOne[uint32](r, i.order, at+4)
		return uint64(chains), err
	}
	at, ok := table[elf.DT_GNU_HASH]
	if !ok {
		return 0, errors.New("no table of dynamic symbols")
	}
	h, err := readOne[struct{ Buckets, First, Blooms, Shift uint32 }](r, i.order, at)
	if err != nil {
		return 0, err
	}
	if h.Buckets > maxBuckets {
		return 0, fmt.Errorf("%d buckets", h.Buckets)
	}
	at += 16 + uint64(h.Blooms)*uint64(i.PointerSize)
	buckets, err := readTable[uint32](r, i.order, at, uint64(h.Buckets))
	if err != nil {
		return 0, err
	}
	var last uint32
	for _, bucket := range buckets {
		last = max(last, bucket)
	}
	if last < h.First {
		return uint64(h.First), nil
	}
	at += 4 * uint64(h.Buckets)
	near := &pages{r: r}
	for end := uint64(last); end < maxTable/elf.Sym32Size; end++ { // the last of a chain has the lowest bit
		hash, err := readOne[uint32](near, i.order, at+4*(end-uint64(h.First)))
		if err != nil {
			return 0, err
		}
		if hash&1 != 0 {
			return end + 1, nil
		}
	}
	return 0, errors.New("a chain of dynamic symbols without end")
}
