// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"os"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/patch"
)

func TestMain(m *testing.M) { os.Exit(testtarget.Main(m)) }

const (
	testBuildID = "0123456789abcdef"

	// Where the file has what it has. Between the parts is padding, and nothing loads what
	// is behind data.
	notesAt, relocationAt = 0x180, 0x1c0
	textAt, textSize      = 0x400, 0x100
	relocatedAt           = 0x440 // eight bytes of the text
	dataAt, dataSize      = 0x600, 0x80
	fileSize              = 0x800
	// How far from the offset in the file text and data are in memory.
	textMoves, dataMoves = 0x1000, 0x2000
)

// testFile is an ELF file with a part of headers, one of code and one of data. The bytes of
// the code and the data count up.
func testFile() []byte {
	file := make([]byte, fileSize)
	var b bytes.Buffer
	put := func(at int, values ...any) {
		b.Reset()
		for _, v := range values {
			binary.Write(&b, binary.LittleEndian, v)
		}
		copy(file[at:], b.Bytes())
	}
	for i := textAt; i < fileSize; i++ {
		file[i] = byte(i)
	}
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1}
	put(0, elf.Header64{Ident: ident, Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Phoff: 64, Phentsize: 56, Phnum: 5},
		elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R), Filesz: 0x200, Memsz: 0x200},
		elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Off: textAt, Vaddr: textAt + textMoves, Filesz: textSize, Memsz: textSize},
		elf.Prog64{Type: uint32(elf.PT_NOTE), Off: notesAt, Vaddr: notesAt, Filesz: 24, Memsz: 24},
		elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: dataAt, Vaddr: dataAt + dataMoves, Filesz: dataSize, Memsz: 0x200},
		elf.Prog64{Type: uint32(elf.PT_DYNAMIC), Off: dataAt, Vaddr: dataAt + dataMoves, Filesz: 48, Memsz: 48})
	put(notesAt, []uint32{4, 8, 3}, []byte("GNU\x00\x01\x23\x45\x67\x89\xab\xcd\xef"))
	put(relocationAt, elf.Rela64{Off: relocatedAt + textMoves})
	put(dataAt, elf.Dyn64{Tag: int64(elf.DT_RELA), Val: relocationAt}, elf.Dyn64{Tag: int64(elf.DT_RELASZ), Val: 24}, elf.Dyn64{})
	return file
}

// section is a file as an option has it.
func section(file []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(file), 0, int64(len(file)))
}

// largeFile is testFile with code that is larger, and zero from where that of testFile ends.
func largeFile(size int64) *io.SectionReader {
	front := testFile()[:textAt+textSize]
	binary.LittleEndian.PutUint64(front[64+56+32:], uint64(size-textAt))
	binary.LittleEndian.PutUint64(front[64+56+40:], uint64(size-textAt))
	binary.LittleEndian.PutUint16(front[56:], 3) // no data
	return io.NewSectionReader(frontOnly(front), 0, size)
}

// frontOnly is a file of zeros with a front.
type frontOnly []byte

func (f frontOnly) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	if at < int64(len(f)) {
		copy(p, f[at:])
	}
	return len(p), nil
}

// wanted is what a test looks at of a change.
type wanted struct {
	at        string
	old, new  string
	unprotect bool
}

// expectChanges compares the changes of a patch.
func expectChanges(t *testing.T, p *patch.Patch, want ...wanted) {
	t.Helper()
	if p == nil || len(p.Changes) != len(want) {
		t.Fatalf("the patch is %+v; want %d changes", p, len(want))
	}
	for i, c := range p.Changes {
		if got := (wanted{c.At.String(), string(c.Old), string(c.New), c.Unprotect}); got != want[i] {
			t.Errorf("change %d is %+v; want %+v", i, got, want[i])
		}
	}
}
