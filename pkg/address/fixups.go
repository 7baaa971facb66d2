// SPDX-License-Identifier: Apache-2.0

package address

import (
	"bufio"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
)

// Span is a run of bytes of an image.
type Span struct {
	At   uint64 // distance from the first byte of the image in memory
	Size uint64 // in bytes; not 0
}

// maxFixups bounds what is kept of relocations. The largest programs have a million, of
// which most lie side by side.
const maxFixups = 1 << 22

// Fixups returns what a loader changes after it has put the parts into memory, in address
// order and without overlaps: the targets of the relocations and, of PE, the import address
// table and the address in the headers. The file is that of the image. Base is where the
// image is loaded: a PE file needs no relocation where it asked to be. It is 0 if that is
// not known, and then all are there.
func (i *Image) Fixups(file io.ReaderAt, base uint64) ([]Span, error) {
	f := &fixups{Image: i, r: fileImage{i, file}}
	var err error
	if i.Kind == PE {
		err = f.readPE(base)
	} else {
		err = f.readELF()
	}
	if err != nil {
		return nil, fmt.Errorf("reading the relocations: %w", err)
	}
	f.merge()
	return f.spans, nil
}

type fixups struct {
	*Image
	r     io.ReaderAt // the bytes of the file where they are in memory
	spans []Span
}

// add adds what lies in the image.
func (f *fixups) add(at, size uint64) error {
	if at >= f.Size || size == 0 {
		return nil
	}
	size = min(size, f.Size-at)
	if n := len(f.spans); n > 0 && f.spans[n-1].At+f.spans[n-1].Size == at {
		f.spans[n-1].Size += size
		return nil
	}
	if len(f.spans) == maxFixups {
		if f.merge(); len(f.spans) > maxFixups/2 {
			return fmt.Errorf("there are more than %d", maxFixups/2)
		}
	}
	f.spans = append(f.spans, Span{at, size})
	return nil
}

// merge sorts the spans and joins those that touch.
func (f *fixups) merge() {
	slices.SortFunc(f.spans, func(a, b Span) int { return cmp.Compare(a.At, b.At) })
	merged := f.spans[:0]
	for _, s := range f.spans {
		if n := len(merged); n > 0 && s.At <= merged[n-1].At+merged[n-1].Size {
			merged[n-1].Size = max(merged[n-1].Size, s.At+s.Size-merged[n-1].At)
		} else {
			merged = append(merged, s)
		}
	}
	f.spans = merged
}

// number returns the address or number at the front of p.
func (i *Image) number(p []byte) uint64 {
	if i.PointerSize == 8 {
		return i.order.Uint64(p)
	}
	return uint64(i.order.Uint32(p))
}

func (f *fixups) readELF() error {
	word := uint64(f.PointerSize)
	table, err := f.dynamicTable(f.r)
	if err != nil || table == nil {
		return err
	}
	plt := 2 * word
	if elf.DynTag(table[elf.DT_PLTREL]) == elf.DT_RELA {
		plt = 3 * word
	}
	for _, t := range []struct {
		at, size elf.DynTag
		entry    uint64
	}{{elf.DT_RELA, elf.DT_RELASZ, 3 * word}, {elf.DT_REL, elf.DT_RELSZ, 2 * word}, {elf.DT_JMPREL, elf.DT_PLTRELSZ, plt}} {
		err := f.entries(table[t.at]-f.origin, table[t.size], t.entry, func(entry []byte) error {
			return f.add(f.number(entry)-f.origin, word)
		})
		if err != nil {
			return err
		}
	}
	const relr, relrSize = 36, 35 // DT_RELR and DT_RELRSZ
	var next uint64
	return f.entries(table[relr]-f.origin, table[relrSize], word, func(entry []byte) error {
		value := f.number(entry)
		if value&1 == 0 { // an address: the words after it are those of the bits that follow
			next = value - f.origin + word
			return f.add(value-f.origin, word)
		}
		for at := next; value > 1; at += word {
			if value >>= 1; value&1 != 0 {
				if err := f.add(at, word); err != nil {
					return err
				}
			}
		}
		next += (8*word - 1) * word
		return nil
	})
}

// dynamicTable returns the table for the dynamic linker, nil if there is none.
func (i *Image) dynamicTable(r io.ReaderAt) (map[elf.DynTag]uint64, error) {
	const maxEntries = 1024
	word := uint64(i.PointerSize)
	if i.dynamic.FileSize == 0 {
		return nil, nil
	}
	data, err := readBytes(r, i.dynamic.At, min(i.dynamic.FileSize, maxEntries*2*word))
	if err != nil {
		return nil, err
	}
	table := map[elf.DynTag]uint64{}
	for ; uint64(len(data)) >= 2*word; data = data[2*word:] {
		tag := elf.DynTag(int32(i.number(data)))
		if tag == elf.DT_NULL {
			break
		}
		table[tag] = i.number(data[word:])
	}
	return table, nil
}

// entries visits the entries of a table in memory, which are of so many bytes each.
func (f *fixups) entries(at, size, entry uint64, visit func([]byte) error) error {
	if size == 0 {
		return nil
	}
	if at > math.MaxInt64 || size > maxTable {
		return fmt.Errorf("a table of %#x bytes at %#x", size, at)
	}
	r := bufio.NewReaderSize(io.NewSectionReader(f.r, int64(at), int64(size-size%entry)), int(min(size, 64<<10)))
	p := make([]byte, entry)
	for n := range size / entry {
		if _, err := io.ReadFull(r, p); err != nil {
			return fmt.Errorf("entry %d of the table at %#x: %w", n, at, err)
		}
		if err := visit(p); err != nil {
			return err
		}
	}
	return nil
}

func (f *fixups) readPE(base uint64) error {
	if err := f.add(f.table.At, f.table.Size); err != nil {
		return err
	}
	if err := f.readImports(); err != nil {
		return err
	}
	if base == f.prefers {
		return nil
	}
	if err := f.add(f.prefersAt, uint64(f.PointerSize)); err != nil {
		return err
	}
	if f.relocs.Size > maxTable {
		return fmt.Errorf("base relocations of %#x bytes", f.relocs.Size)
	}
	const header, entry = 8, 2
	for at, end := f.relocs.At, f.relocs.At+f.relocs.Size; end-at >= header; {
		block, err := readOne[struct{ Page, Size uint32 }](f.r, f.order, at)
		if err != nil {
			return err
		}
		if block.Size < header || uint64(block.Size) > end-at {
			return fmt.Errorf("a block of base relocations of %#x bytes at %#x", block.Size, at)
		}
		skip := false
		err = f.entries(at+header, uint64(block.Size-header), entry, func(p []byte) error {
			value := binary.LittleEndian.Uint16(p)
			if skip { // the low half of the one before
				skip = false
				return nil
			}
			const highAdjust = 4
			sizes := [16]uint64{1: 2, 2: 2, 3: 4, highAdjust: 2, 10: 8} // by the kind of relocation
			skip = value>>12 == highAdjust
			return f.add(uint64(block.Page)+uint64(value&0xfff), sizes[value>>12])
		})
		if err != nil {
			return err
		}
		at += uint64(block.Size)
	}
	return nil
}

// readImports adds the addresses of imports by their directory: old linkers do not say
// where the table of all is.
func (f *fixups) readImports() error {
	type descriptor struct{ Lookup, Time, Forwarder, Name, Table uint32 }
	const maxDescriptors, maxImports = 1 << 12, 1 << 16
	imports := 0
	word := uint64(f.PointerSize)
	for n := range min(f.imports.Size/20, maxDescriptors) {
		d, err := readOne[descriptor](f.r, f.order, f.imports.At+20*n)
		if err != nil {
			return err
		}
		if d.Table == 0 {
			return nil
		}
		size := uint64(0)
		for ; ; size += word {
			if imports++; imports > maxImports {
				return fmt.Errorf("there are more than %d imports", maxImports)
			}
			entry, err := readBytes(f.r, uint64(d.Table)+size, word)
			if err != nil {
				return err
			}
			if f.number(entry) == 0 {
				break
			}
		}
		if err := f.add(uint64(d.Table), size); err != nil {
			return err
		}
	}
	return nil
}
