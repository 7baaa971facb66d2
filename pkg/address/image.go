// SPDX-License-Identifier: Apache-2.0

package address

import (
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

var errNoImage = errors.New("neither an ELF nor a PE file")

// image is what the headers of an ELF or PE file say. They are the same in the file and
// in memory. Every at below is a distance from the first byte of the file in memory.
type image struct {
	kind        Kind
	pointerSize int
	order       binary.ByteOrder
	size        uint64 // in memory
	origin      uint64 // ELF: the address that the first byte has in the file's own terms
	segments    []segment
	notes       []segment // ELF: what may hold the build id
	dynamic     segment   // ELF: the table for the dynamic linker
	exports     segment   // PE: the export directory
	debug       segment   // PE: the debug directory
}

// segment is a part of the image. The bytes from offset on in the file are at in memory.
type segment struct{ at, offset, size uint64 }

// readImage reads the headers at the front of r: the file, or the memory from the image's
// first byte on.
func readImage(r io.ReaderAt) (*image, error) {
	magic, err := readBytes(r, 0, 4)
	switch {
	case err != nil:
		return nil, err
	case string(magic) == "\x7fELF":
		return readELF(r)
	case string(magic[:2]) == "MZ":
		return readPE(r)
	}
	return nil, errNoImage
}

// buildID returns the build id of the image, or "". The reader has the bytes of the image
// where they are in memory.
func (i *image) buildID(r io.ReaderAt) string {
	if i.kind == PE {
		return i.codeViewID(r)
	}
	for _, note := range i.notes {
		if id := gnuBuildID(r, i.order, note.at, note.size); id != "" {
			return id
		}
	}
	return ""
}

// loaded reports whether what the mappings show of the file lies where a loader puts it.
// It does not where a program has mapped the file to read it.
func (i *image) loaded(first procmaps.Mapping, mappings []procmaps.Mapping) bool {
	for _, s := range i.segments {
		address := first.Start + s.at
		at, found := slices.BinarySearchFunc(mappings, address, func(m procmaps.Mapping, address uint64) int {
			switch {
			case m.End <= address:
				return -1
			case m.Start > address:
				return 1
			}
			return 0
		})
		if s.size == 0 || !found || !sameFile(first, mappings[at]) {
			continue
		}
		if m := mappings[at]; m.Offset+(address-m.Start) != s.offset {
			return false
		}
	}
	return true
}

// fileImage reads from a file as if it were loaded in memory.
type fileImage struct {
	*image
	file io.ReaderAt
}

// ReadAt reads up to the end of the segment that off lies in.
func (f fileImage) ReadAt(p []byte, off int64) (int, error) {
	for _, s := range f.segments {
		in := uint64(off) - s.at
		if in >= s.size || s.offset+in > math.MaxInt64 {
			continue
		}
		part := p[:min(uint64(len(p)), s.size-in)]
		n, err := f.file.ReadAt(part, int64(s.offset+in))
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
