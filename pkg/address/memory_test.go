// SPDX-License-Identifier: Apache-2.0

package address

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"iter"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget/peimage"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

func taskFor(tb testing.TB, pid int) *machcompat.Task {
	tb.Helper()
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { task.Close() })
	return task
}

// memoryProcess has the memory that a test gives it, and otherwise the pid of the test.
type memoryProcess struct {
	mappings []procmaps.Mapping
	memory   [][]byte // of each mapping; nothing where it can't be read
}

func newMemory() *memoryProcess { return &memoryProcess{} }

// with maps memory, which is as long as the mapping at most.
func (p *memoryProcess) with(m procmaps.Mapping, memory []byte) *memoryProcess {
	p.mappings = append(p.mappings, m)
	p.memory = append(p.memory, memory)
	return p
}

// mapped maps the front of a file, to be executed.
func (p *memoryProcess) mapped(start uint64, memory []byte, path string, inode uint64) *memoryProcess {
	end := start + (uint64(len(memory))+0xfff)&^0xfff
	return p.with(procmaps.Mapping{Start: start, End: end, Perms: procmaps.Read | procmaps.Execute, Path: path, Inode: inode}, memory)
}

// wine maps a PE image as Wine does: only the headers are of the file.
func (p *memoryProcess) wine(start uint64, memory []byte, path string, inode uint64) *memoryProcess {
	const headers = 0x1000
	m := procmaps.Mapping{Start: start, End: start + headers, Perms: procmaps.Read, Path: path, Inode: inode}
	p.with(m, memory[:min(headers, len(memory))])
	if len(memory) > headers {
		end := start + (uint64(len(memory))+0xfff)&^0xfff
		p.with(procmaps.Mapping{Start: m.End, End: end, Perms: procmaps.Read | procmaps.Execute}, memory[headers:])
	}
	return p
}

func (p *memoryProcess) PID() int { return os.Getpid() }

func (p *memoryProcess) Regions() iter.Seq2[procmaps.Mapping, error] {
	return func(yield func(procmaps.Mapping, error) bool) {
		for _, m := range p.mappings {
			if !yield(m, nil) {
				return
			}
		}
	}
}

func (p *memoryProcess) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) {
		address := uint64(off) + uint64(n)
		at := slices.IndexFunc(p.mappings, func(m procmaps.Mapping) bool { return m.Contains(address) })
		if at < 0 || p.memory[at] == nil {
			return n, unix.EFAULT
		}
		m := p.mappings[at]
		part := b[n:min(uint64(len(b)), uint64(n)+(m.End-address))]
		clear(part)
		if in := address - m.Start; in < uint64(len(p.memory[at])) {
			copy(part, p.memory[at][in:])
		}
		n += len(part)
	}
	return n, nil
}

// loadedPE is a PE image as it is in memory.
func loadedPE(image *peimage.Image) []byte {
	memory := make([]byte, image.Size)
	copy(memory, image.File[:image.Headers])
	for _, s := range image.Sections {
		copy(memory[s.RVA:], image.File[s.Offset:s.Offset+s.RawSize])
	}
	return memory
}

// elfFile makes a small ELF file whose bytes are in memory as in the file.
type elfFile struct {
	class   elf.Class
	names   []byte
	symbols []elf.Sym64
	size    uint64      // of the first segment in memory; 0 is that in the file
	second  *elf.Prog64 // segment
}

// newELF has a code segment, a build id, and some symbols in .symtab and .dynsym.
func newELF() *elfFile {
	f := &elfFile{class: elf.ELFCLASS64, names: []byte{0}, symbols: make([]elf.Sym64, 1)}
	f.symbol("player", elf.STT_OBJECT, 1, 0x10)
	f.symbol("_ZN6Player3hitEi", elf.STT_FUNC, 1, 0x20)
	f.symbol("_ZN6Player3hitEl", elf.STT_FUNC, 1, 0x30)
	f.symbol("undefined", elf.STT_FUNC, elf.SHN_UNDEF, 0)
	f.symbol("absolute", elf.STT_NOTYPE, elf.SHN_ABS, 0x40)
	f.symbol("per_thread", elf.STT_TLS, 1, 0x50)
	f.symbol("outside", elf.STT_FUNC, 1, math.MaxUint32)
	return f
}

func (f *elfFile) narrow() *elfFile {
	f.class = elf.ELFCLASS32
	return f
}

func (f *elfFile) symbol(name string, kind elf.SymType, section elf.SectionIndex, value uint64) {
	f.symbols = append(f.symbols, elf.Sym64{Name: uint32(len(f.names)), Info: byte(kind), Shndx: uint16(section), Value: value})
	f.names = append(append(f.names, name...), 0)
}

const elfBuildID = "0123456789abcdef"

// bytes returns the file: headers, note, dynamic table, hash table, symbols, names.
func (f *elfFile) bytes() []byte {
	order := binary.LittleEndian
	put := func(b *bytes.Buffer, wide, narrow any) {
		if f.class == elf.ELFCLASS32 {
			wide = narrow
		}
		if err := binary.Write(b, order, wide); err != nil {
			panic(err)
		}
	}
	const headers, sectionCount = 0x400, 5
	var body bytes.Buffer
	place := func() uint64 { return headers + uint64(body.Len()) }

	note := place()
	put(&body, []uint32{4, 8, 3}, []uint32{4, 8, 3})
	body.WriteString("GNU\x00\x01\x23\x45\x67\x89\xab\xcd\xef")
	noteSize := place() - note

	hash := place() // one bucket, and a chain for each symbol
	put(&body, []uint32{1, uint32(len(f.symbols))}, []uint32{1, uint32(len(f.symbols))})
	symbols := place()
	for _, s := range f.symbols {
		put(&body, s, elf.Sym32{Name: s.Name, Value: uint32(s.Value), Size: uint32(s.Size), Info: s.Info, Other: s.Other, Shndx: s.Shndx})
	}
	symbolsSize := place() - symbols
	names := place()
	body.Write(f.names)
	dynamic := place()
	for _, d := range []elf.Dyn64{{Tag: int64(elf.DT_HASH), Val: hash}, {Tag: int64(elf.DT_SYMTAB), Val: symbols},
		{Tag: int64(elf.DT_STRTAB), Val: names}, {Tag: int64(elf.DT_STRSZ), Val: uint64(len(f.names))}, {}} {
		put(&body, d, elf.Dyn32{Tag: int32(d.Tag), Val: uint32(d.Val)})
	}
	size := place()

	programs := []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Filesz: size, Memsz: cmp.Or(f.size, size)},
		{Type: uint32(elf.PT_NOTE), Off: note, Vaddr: note, Filesz: noteSize},
		{Type: uint32(elf.PT_DYNAMIC), Off: dynamic, Vaddr: dynamic, Filesz: size - dynamic},
	}
	if f.second != nil {
		programs = append(programs, *f.second)
	}
	var head bytes.Buffer
	programCount := uint16(len(programs))
	headerSize, programSize, sectionSize := uint16(64), uint16(56), uint16(64)
	if f.class == elf.ELFCLASS32 {
		headerSize, programSize, sectionSize = 52, 32, 40
	}
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(f.class), byte(elf.ELFDATA2LSB), 1}
	sections := uint64(headerSize) + uint64(programCount)*uint64(programSize)
	h := elf.Header64{Ident: ident, Type: uint16(elf.ET_DYN), Phoff: uint64(headerSize), Shoff: sections,
		Ehsize: headerSize, Phentsize: programSize, Phnum: programCount, Shentsize: sectionSize, Shnum: sectionCount}
	put(&head, h, elf.Header32{Ident: ident, Type: h.Type, Phoff: uint32(h.Phoff), Shoff: uint32(h.Shoff),
		Ehsize: headerSize, Phentsize: programSize, Phnum: programCount, Shentsize: sectionSize, Shnum: sectionCount})
	for _, p := range programs {
		put(&head, p, elf.Prog32{Type: p.Type, Off: uint32(p.Off), Vaddr: uint32(p.Vaddr), Filesz: uint32(p.Filesz), Memsz: uint32(p.Memsz)})
	}
	for _, s := range []elf.Section64{
		{},
		{Type: uint32(elf.SHT_SYMTAB), Off: symbols, Size: symbolsSize, Link: 3},
		{Type: uint32(elf.SHT_DYNSYM), Off: symbols, Size: symbolsSize, Link: 3},
		{Type: uint32(elf.SHT_STRTAB), Off: names, Size: uint64(len(f.names))},
		{Type: uint32(elf.SHT_NOTE), Off: note, Size: noteSize},
	} {
		put(&head, s, elf.Section32{Type: s.Type, Off: uint32(s.Off), Size: uint32(s.Size), Link: s.Link})
	}
	return append(append(head.Bytes(), make([]byte, headers-head.Len())...), body.Bytes()...)
}
