// SPDX-License-Identifier: Apache-2.0

package unwind

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	pageBytes = 4096 // a part of a page on every machine
	maxPages  = 4096 // that are kept
)

// memory is that of a process which stands still. It is read by the page, and each page
// once: threads stand in the same functions, and the values of a frame side by side.
type memory struct {
	r     io.ReaderAt
	pages map[uint64][]byte // the last one may be short
	work  int               // what the walk may still do
}

var errWork = errors.New("it takes too long to find out")

// spend counts what is done.
func (m *memory) spend(work int) error {
	if m.work -= work; m.work < 0 {
		return errWork
	}
	return nil
}

func (m *memory) read(at uint64, p []byte) error {
	if err := m.spend(len(p)); err != nil {
		return err
	}
	for start := at; len(p) > 0; {
		page, err := m.page(at &^ (pageBytes - 1))
		in := int(at % pageBytes)
		if in >= len(page) {
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("reading the memory at %#x: %w", start, err)
		}
		n := copy(p, page[in:])
		p, at = p[n:], at+uint64(n)
	}
	return nil
}

func (m *memory) page(at uint64) ([]byte, error) {
	if page, ok := m.pages[at]; ok {
		return page, nil
	}
	if m.pages == nil || len(m.pages) >= maxPages {
		m.pages = map[uint64][]byte{}
	}
	page := make([]byte, pageBytes)
	n, err := m.r.ReadAt(page, int64(at))
	m.pages[at] = page[:n]
	return page[:n], err
}

// word reads a number of 1, 2, 4 or 8 bytes. The machines here have the lowest byte first.
func (m *memory) word(at uint64, size int) (uint64, error) {
	var p [8]byte
	err := m.read(at, p[:size])
	return binary.LittleEndian.Uint64(p[:]), err
}
