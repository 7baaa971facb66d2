// SPDX-License-Identifier: Apache-2.0

package address

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"strings"
	"testing"
)

// countingReader counts the bytes that are read.
type countingReader struct {
	io.ReaderAt
	read int
}

func (r *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	r.read += n
	return n, err
}

// All symbols are called by the same text, whose end is far.
func TestNamesWithoutEnd(t *testing.T) {
	entry := make([]byte, elf.Sym64Size)
	entry[4], entry[6] = byte(elf.STT_FUNC), 1
	for length, want := range map[int]int{maxLength: 1, maxLength + 1: 0} {
		visited := 0
		table := &symbolTable{order: binary.LittleEndian, wide: true, entries: bufio.NewReader(bytes.NewReader(entry)),
			names: []byte(strings.Repeat("A", length) + "\x00")}
		if err := table.walk(func([]byte, uint64, uint64) { visited++ }); err != nil || visited != want {
			t.Errorf("%d symbols with a name of %d bytes, %v; want %d", visited, length, err, want)
		}
	}
}

// What is read to identify an image is bounded, whatever its headers say.
func TestManyNotes(t *testing.T) {
	var file bytes.Buffer
	order := binary.LittleEndian
	header := elf.Header64{Type: uint16(elf.ET_DYN), Version: 1, Ehsize: 64, Phoff: 64, Phentsize: 56, Phnum: 1000}
	copy(header.Ident[:], "\x7fELF\x02\x01\x01")
	binary.Write(&file, order, header)
	binary.Write(&file, order, elf.Prog64{Type: uint32(elf.PT_LOAD), Memsz: 1})
	for range header.Phnum - 1 {
		binary.Write(&file, order, elf.Prog64{Type: uint32(elf.PT_NOTE), Filesz: 64 << 10})
	}
	file.Write(make([]byte, 64<<10))
	r := &countingReader{ReaderAt: bytes.NewReader(file.Bytes())}
	i, err := readImage(r)
	if err != nil {
		t.Fatal(err)
	}
	if id := i.buildID(r); id != "" || r.read > 2<<20 {
		t.Errorf("%d bytes are read, and the build id is %q", r.read, id)
	}
}
