// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The format is byuu's "BPS File Format Specification".

const (
	bpsHeader = "BPS1"
	bpsFooter = 3 * 4 // the checksums of the source, the target and the rest of the file
)

// The actions, in the lowest two bits of a number. The others are the length less 1.
const (
	sourceRead = iota // from where the target is by now
	targetRead        // from the file itself
	sourceCopy        // from anywhere in the source
	targetCopy        // from anywhere in what there is of the target
)

// bpsReader reads the numbers of a file.
type bpsReader struct {
	data []byte
	at   int
}

func (r *bpsReader) number() (uint64, error) {
	value, shift := uint64(0), uint64(1)
	for r.at < len(r.data) {
		part := r.data[r.at]
		r.at++
		value += uint64(part&0x7f) * shift
		if part&0x80 != 0 {
			return value, nil
		}
		if shift <<= 7; shift > 1<<49 {
			return 0, errors.New("a number is too large")
		}
		value += shift
	}
	return 0, errCut
}

// readBPS makes the target of the original, whose checksums must be right, and adds where
// the two differ.
func (b *builder) readBPS(data []byte) error {
	if len(data) < len(bpsHeader)+bpsFooter || string(data[:len(bpsHeader)]) != bpsHeader {
		return fmt.Errorf("the file does not begin with %s, or ends too early", bpsHeader)
	}
	footer := data[len(data)-bpsFooter:]
	sum := func(n int) uint32 { return binary.LittleEndian.Uint32(footer[4*n:]) }
	if got := crc32.ChecksumIEEE(data[:len(data)-4]); got != sum(2) {
		return fmt.Errorf("the file is damaged: its checksum is %08x, and should be %08x", got, sum(2))
	}
	r := &bpsReader{data[:len(data)-bpsFooter], len(bpsHeader)}
	var sizes [3]uint64 // of the source, the target and what else the file says
	for i := range sizes {
		var err error
		if sizes[i], err = r.number(); err != nil {
			return &Error{Format: BPS, Offset: r.at, Err: err}
		}
	}
	source, target := uint64(b.Size()), sizes[1]
	if sizes[0] != source {
		return fmt.Errorf("%w: it has %d bytes, and the source has %d", ErrOriginal, source, sizes[0])
	}
	if target > source+maxBytes {
		return fmt.Errorf("the target has %d bytes, and %d are the most", target, source+maxBytes)
	}
	if sizes[2] > uint64(len(r.data)-r.at) {
		return &Error{Format: BPS, Offset: r.at, Err: errCut}
	}
	r.at += int(sizes[2])
	check := crc32.NewIEEE()
	if _, err := io.Copy(check, io.NewSectionReader(b, 0, b.Size())); err != nil {
		return fmt.Errorf("reading the original: %w", err)
	}
	if got := check.Sum32(); got != sum(0) {
		return fmt.Errorf("%w: its checksum is %08x, and that of the source %08x", ErrOriginal, got, sum(0))
	}
	made, err := b.makeTarget(r, target)
	if err != nil {
		return &Error{Format: BPS, Offset: r.at, Err: err}
	}
	if got := crc32.ChecksumIEEE(made); got != sum(1) {
		return fmt.Errorf("the checksum of the target is %08x, and should be %08x", got, sum(1))
	}
	if err := b.cut(target); err != nil {
		return err
	}
	return b.compareWith(io.NewSectionReader(bytes.NewReader(made), 0, int64(len(made))))
}

// makeTarget does what the actions say.
func (b *builder) makeTarget(r *bpsReader, size uint64) ([]byte, error) {
	target := make([]byte, 0, size)
	var sourceAt, targetAt int64
	for r.at < len(r.data) {
		n, err := r.number()
		if err != nil {
			return nil, err
		}
		action, length := n&3, n>>2+1
		have := uint64(len(target))
		if length > size-have {
			return nil, fmt.Errorf("%d bytes more than the target has", length-(size-have))
		}
		next := target[have : have+length]
		from := &sourceAt
		switch action {
		case sourceRead:
			at := int64(have)
			from = &at
		case targetRead:
			if length > uint64(len(r.data)-r.at) {
				return nil, errCut
			}
			r.at += copy(next, r.data[r.at:])
			target = target[:have+length]
			continue
		case targetCopy:
			from = &targetAt
			fallthrough
		case sourceCopy:
			distance, err := r.number()
			if err != nil {
				return nil, err
			}
			if *from += int64(distance >> 1); distance&1 != 0 {
				*from -= 2 * int64(distance>>1)
			}
		}
		end := b.Size()
		if action == targetCopy {
			end = int64(have) + int64(length) - 1 // what is copied may be of this copy
		}
		if *from < 0 || *from >= int64(have) && action == targetCopy || int64(length) > end-*from {
			return nil, fmt.Errorf("a copy of %d bytes from %d, where there are none", length, *from)
		}
		target = target[:have+length]
		if action == targetCopy {
			for i := range next {
				next[i] = target[*from+int64(i)]
			}
		} else if n, err := b.ReadAt(next, *from); n < len(next) {
			return nil, fmt.Errorf("reading the original: %w", err)
		}
		*from += int64(length)
	}
	if uint64(len(target)) != size {
		return nil, errCut
	}
	return target, nil
}

// compareWith adds where another file differs from the original.
func (b *builder) compareWith(after *io.SectionReader) error {
	before, now := make([]byte, chunk), make([]byte, chunk)
	for at := int64(0); at < after.Size(); at += chunk {
		n, err := after.ReadAt(now, at)
		if err != nil && err != io.EOF {
			return fmt.Errorf("reading what it is compared with: %w", err)
		}
		had, err := b.ReadAt(before, at)
		if err != nil && err != io.EOF {
			return fmt.Errorf("reading the original: %w", err)
		}
		if err := b.compare(uint64(at), before[:min(had, n)], now[:n]); err != nil {
			return err
		}
	}
	return nil
}
