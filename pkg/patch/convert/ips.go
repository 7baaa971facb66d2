// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"slices"
)

// ipsFormat is what IPS and IPS32 differ in. An offset, and the length to which the file may
// be cut at last, have as many bytes as the end mark.
type ipsFormat struct{ header, end string }

func ipsOf(f Format) ipsFormat {
	if f == IPS32 {
		return ipsFormat{"IPS32", "EEOF"}
	}
	return ipsFormat{"PATCH", "EOF"}
}

// bigEndian returns the number that some bytes are.
func bigEndian(p []byte) (n uint64) {
	for _, b := range p {
		n = n<<8 | uint64(b)
	}
	return n
}

var errCut = errors.New("the file ends too early")

// readIPS reads records of an offset, a length and new bytes. A length of 0 is followed by
// how often one byte is repeated. A record may lie over earlier ones.
func (b *builder) readIPS(data []byte) error {
	f := ipsOf(b.format)
	wide := len(f.end)
	fail := func(at int, err error) error { return &Error{Format: b.format, Offset: at, Err: err} }
	if len(data) < len(f.header) || string(data[:len(f.header)]) != f.header {
		return fmt.Errorf("the file does not begin with %s", f.header)
	}
	written, total := overlay{}, uint64(0)
	for at := len(f.header); ; {
		rest := data[at:]
		if len(rest) < wide {
			return fail(at, errCut)
		}
		// An offset can spell the end mark. Behind the mark is nothing, or a length, and no
		// record is so short.
		if string(rest[:wide]) == f.end && (len(rest) == wide || len(rest) == 2*wide) {
			if len(rest) > wide {
				if err := b.cut(bigEndian(rest[wide:])); err != nil {
					return fail(at+wide, err)
				}
			}
			break
		}
		if len(rest) < wide+2 {
			return fail(at, errCut)
		}
		offset, size := bigEndian(rest[:wide]), bigEndian(rest[wide:wide+2])
		repeat := size == 0
		head, body := wide+2, int(size)
		if repeat {
			head, body = wide+4, 1
		}
		if len(rest) < head+body {
			return fail(at, errCut)
		}
		if repeat {
			size = bigEndian(rest[wide+2 : wide+4])
		}
		if total += size; size == 0 || total > maxBytes {
			return fail(at, fmt.Errorf("%d bytes are changed here, and %d by now; %d are the most", size, total, maxBytes))
		}
		for i := range size {
			if repeat {
				written.set(offset+i, rest[head])
			} else {
				written.set(offset+i, rest[head+int(i)])
			}
		}
		at += head + body
	}
	return b.differing(written)
}

// cut is for a format that cuts the file to a length. That matters only if something of
// what is cut off was loaded.
func (b *builder) cut(size uint64) error {
	end := uint64(b.Size())
	if size >= end {
		return nil
	}
	for _, part := range b.image.Parts {
		if part.FileSize > 0 && part.Offset+part.FileSize > size {
			return errSize
		}
	}
	b.skipped = append(b.skipped, Skipped{0, size, end - size, "it is cut off, and nothing loads it"})
	return nil
}

// overlay has the bytes that are written, in blocks that are as large as there are bits to
// say which of a block they are. A hostile file has many records far from each other.
type overlay map[uint64]*block

type block struct {
	set   uint64
	bytes [blockSize]byte
}

const blockSize = 64

func (o overlay) set(at uint64, value byte) {
	b := o[at/blockSize]
	if b == nil {
		b = &block{}
		o[at/blockSize] = b
	}
	b.set |= 1 << (at % blockSize)
	b.bytes[at%blockSize] = value
}

// differing adds what is written and differs from the original.
func (b *builder) differing(o overlay) error {
	for _, n := range slices.Sorted(maps.Keys(o)) {
		var before [blockSize]byte
		has, err := b.ReadAt(before[:], int64(n*blockSize))
		if has < blockSize && err != nil && err != io.EOF {
			return fmt.Errorf("reading the original: %w", err)
		}
		for set, written := o[n].set, o[n].bytes; set != 0; {
			start := bits.TrailingZeros64(set)
			end := start + bits.TrailingZeros64(^(set >> start))
			if err := b.compare(n*blockSize+uint64(start), before[min(start, has):min(end, has)], written[start:end]); err != nil {
				return err
			}
			if end == blockSize {
				break
			}
			set &= ^uint64(0) << end
		}
	}
	return nil
}
