// SPDX-License-Identifier: Apache-2.0

package address

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// maxParts bounds the program headers of an ELF file, the sections of a PE file, and
// with them what a hostile header can cost.
const maxParts = 1024

// ErrNoImage is that the headers of a program or library were looked for in something
// else.
var ErrNoImage = errors.New("neither an ELF nor a PE file")

// Image is what the headers of an ELF or PE file say. They are the same in the file and
// in memory.
type Image struct {
	Kind        Kind        // ELF or PE
	Machine     elf.Machine // of PE too: EM_X86_64, EM_386, EM_AARCH64, or EM_NONE for another
	PointerSize int         // 4 or 8
	Size        uint64      // in memory
	BuildID     string      // as [Module] has it; "" if there is none
	Parts       []Part      // what a loader puts into memory: PT_LOAD of ELF; the headers and sections of PE
	Unwind      Part        // ELF: PT_GNU_EH_FRAME; zero if there is none

	order     binary.ByteOrder
	origin    uint64 // ELF: the address that the first byte has in the file's own terms
	prefers   uint64 // PE: the address where it asks to be loaded
	prefersAt uint64 // PE: and where in the headers it does
	notes     []Part // ELF: what may hold the build id
	dynamic   Part   // ELF: the table for the dynamic linker
	exports   Part   // PE: the export directory
	debug     Part   // PE: the debug directory
	relocs    Part   // PE: the base relocations
	imports   Part   // PE: the import directory
	table     Part   // PE: the import address table
}

// Part is a run of bytes of an image: those in the file from Offset on are At in memory.
type Part struct {
	Name     string // of a PE section; "" for the headers of PE, and in ELF
	At       uint64 // distance from the first byte of the image in memory
	Size     uint64 // in memory, of PE in whole pages; what the file does not have is zero
	Offset   uint64 // of the first byte in the file
	FileSize uint64 // of what is loaded from the file; at most Size
	Perms    procmaps.Perms
}

// Contains reports whether a distance from the first byte of the image lies in the part.
func (p Part) Contains(at uint64) bool { return at-p.At < p.Size }

// ReadImage reads the headers and the build id of a file, which begins at 0. The error
// wraps [ErrNoImage] where the file is neither ELF nor PE.
func ReadImage(r io.ReaderAt) (*Image, error) {
	i, err := readImage(r)
	if err != nil {
		return nil, fmt.Errorf("reading the headers: %w", err)
	}
	i.BuildID = i.buildID(fileImage{i, r})
	return i, nil
}

// AtOffset returns where in memory the byte at an offset of the file is, as a distance from
// the first byte of the image. It is nowhere if no part has it, as the padding between two
// segments of ELF, and not ok either if it is in two places.
func (i *Image) AtOffset(offset uint64) (at uint64, ok bool) {
	for _, p := range i.Parts {
		in := offset - p.Offset
		if in >= p.FileSize {
			continue
		}
		if ok && at != p.At+in {
			return 0, false
		}
		at, ok = p.At+in, true
	}
	return at, ok
}

// OffsetAt returns the offset in the file of what is at a distance from the first byte of
// the image in memory, which not all of that has: .bss is of no file.
func (i *Image) OffsetAt(at uint64) (offset uint64, ok bool) {
	for _, p := range i.Parts {
		if in := at - p.At; in < p.FileSize {
			return p.Offset + in, true
		}
	}
	return 0, false
}

// readImage reads the headers at the front of r: the file, or the memory from the image's
// first byte on.
func readImage(r io.ReaderAt) (*Image, error) {
	magic, err := readBytes(r, 0, 4)
	switch {
	case err != nil:
		return nil, err
	case string(magic) == "\x7fELF":
		return readELF(r)
	case string(magic[:2]) == "MZ":
		return readPE(r)
	}
	return nil, ErrNoImage
}

// buildID returns the build id of the image, or "". The reader has the bytes of the image
// where they are in memory.
func (i *Image) buildID(r io.ReaderAt) string {
	if i.Kind == PE {
		return i.codeViewID(r)
	}
	for _, note := range i.notes {
		if id := gnuBuildID(r, i.order, note.At, note.FileSize); id != "" {
			return id
		}
	}
	return ""
}

// loaded reports whether what the mappings show of the file lies where a loader puts it.
// It does not where a program has mapped the file to read it.
func (i *Image) loaded(first procmaps.Mapping, mappings []procmaps.Mapping) bool {
	for _, s := range i.Parts {
		address := first.Start + s.At
		at, found := slices.BinarySearchFunc(mappings, address, func(m procmaps.Mapping, address uint64) int {
			switch {
			case m.End <= address:
				return -1
			case m.Start > address:
				return 1
			}
			return 0
		})
		if s.FileSize == 0 || !found || !sameFile(first, mappings[at]) {
			continue
		}
		if m := mappings[at]; m.Offset+(address-m.Start) != s.Offset {
			return false
		}
	}
	return true
}

// fileImage reads from a file as if it were loaded in memory.
type fileImage struct {
	*Image
	file io.ReaderAt
}

// ReadAt reads up to the end of the part that off lies in.
func (f fileImage) ReadAt(p []byte, off int64) (int, error) {
	for _, s := range f.Parts {
		in := uint64(off) - s.At
		if in >= s.FileSize || s.Offset+in > math.MaxInt64 {
			continue
		}
		part := p[:min(uint64(len(p)), s.FileSize-in)]
		n, err := f.file.ReadAt(part, int64(s.Offset+in))
		if err == nil && n < len(p) {
			err = io.EOF
		}
		return n, err
	}
	return 0, io.EOF
}

// memoryFrom reads the memory of a process from an address on.
func memoryFrom(p Process, address uint64) io.ReaderAt {
	return io.NewSectionReader(p, int64(address), math.MaxInt64)
}

// readBytes reads size bytes, all of them.
func readBytes(r io.ReaderAt, at, size uint64) ([]byte, error) {
	if at > math.MaxInt64 {
		return nil, io.ErrUnexpectedEOF
	}
	p := make([]byte, size)
	if n, err := r.ReadAt(p, int64(at)); n < len(p) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("reading %d bytes at %#x: %w", size, at, err)
	}
	return p, nil
}

// readTable reads count values of a type that has no pointers.
func readTable[T any](r io.ReaderAt, order binary.ByteOrder, at, count uint64) ([]T, error) {
	table := make([]T, count)
	data, err := readBytes(r, at, uint64(binary.Size(table)))
	if err == nil {
		_, err = binary.Decode(data, order, table)
	}
	return table, err
}

// readOne reads one value of a type that has no pointers.
func readOne[T any](r io.ReaderAt, order binary.ByteOrder, at uint64) (T, error) {
	table, err := readTable[T](r, order, at, 1)
	return table[0], err
}

// pages keeps the part of 4096 bytes that was read last, for many small reads of which
// most are near the one before.
type pages struct {
	r    io.ReaderAt
	at   int64 // of what is in page, if any is
	page []byte
}

const pageBytes = 4096 // a part of a page on every machine

// ReadAt reads what may lie in several pages.
func (c *pages) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := (off + int64(n)) &^ (pageBytes - 1)
		if c.page == nil || c.at != at {
			page := make([]byte, pageBytes)
			read, err := c.r.ReadAt(page, at)
			if read == 0 {
				return n, err
			}
			c.at, c.page = at, page[:read]
		}
		in := off + int64(n) - at
		if in >= int64(len(c.page)) {
			return n, io.EOF
		}
		n += copy(p[n:], c.page[in:])
	}
	return n, nil
}
