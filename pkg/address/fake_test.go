// SPDX-License-Identifier: Apache-2.0

package address

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// errRefused is by which a fakeProcess refuses what is not mapped to be read.
var errRefused = errors.New("refused by the fake")

// fakeProcess has memory and modules that nobody has to load. Its program is that of
// this test.
type fakeProcess struct {
	mappings []procmaps.Mapping
	memory   map[uint64][]byte // what is there, by the mapping's start
	modules  []*Module
	symbols  map[string][]Symbol // by "module!symbol"
	unread   map[string]error    // why a module's symbols can't be read, by its name

	gone   error        // why the process can't be looked at any more
	walks  atomic.Int32 // of the map
	reads  atomic.Int32 // of memory
	listed atomic.Int32 // the modules
	asked  atomic.Int32 // for symbols
}

func (p *fakeProcess) PID() int { return os.Getpid() }

func (p *fakeProcess) ReadAt(b []byte, off int64) (int, error) {
	p.reads.Add(1)
	if p.gone != nil {
		return 0, p.gone
	}
	for _, m := range p.mappings {
		if address := uint64(off); m.Contains(address) && m.Perms&procmaps.Read != 0 && p.memory[m.Start] != nil {
			n := copy(b, p.memory[m.Start][address-m.Start:])
			if n < len(b) {
				return n, errRefused
			}
			return n, nil
		}
	}
	return 0, errRefused
}

func (p *fakeProcess) Regions() iter.Seq2[procmaps.Mapping, error] {
	return func(yield func(procmaps.Mapping, error) bool) {
		p.walks.Add(1)
		if p.gone != nil {
			yield(procmaps.Mapping{}, p.gone)
			return
		}
		for _, m := range p.mappings {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// resolver returns a Resolver by the fake's modules and symbols.
func (p *fakeProcess) resolver() *Resolver {
	r := NewResolver(p)
	r.by = reader{
		around: func(Process, uint64) ([]*Module, error) {
			p.listed.Add(1)
			return slices.Clone(p.modules), p.gone
		},
		modules: func(Process) ([]*Module, error) {
			p.listed.Add(1)
			return slices.Clone(p.modules), p.gone
		},
		symbols: func(m *Module, name string) ([]Symbol, error) {
			p.asked.Add(1)
			return p.symbols[m.Name+"!"+name], p.unread[m.Name]
		},
	}
	return r
}

// add maps memory of a module or of nothing.
func (p *fakeProcess) add(start uint64, perms procmaps.Perms, path string, size int) {
	m := procmaps.Mapping{Start: start, End: start + uint64(size), Perms: perms, Path: path}
	if strings.HasPrefix(path, "/") {
		m.Inode = 1
	}
	p.mappings = append(p.mappings, m)
	slices.SortFunc(p.mappings, func(a, b procmaps.Mapping) int {
		if a.Start < b.Start {
			return -1
		}
		return 1
	})
	p.memory[start] = make([]byte, size)
}

// set writes a pointer of 4 or 8 bytes.
func (p *fakeProcess) set(address, value uint64, size int) {
	for _, m := range p.mappings {
		if m.Contains(address) {
			at := p.memory[m.Start][address-m.Start:]
			if size == 4 {
				binary.NativeEndian.PutUint32(at, uint32(value))
			} else {
				binary.NativeEndian.PutUint64(at, value)
			}
			return
		}
	}
	panic(fmt.Sprintf("the test has no memory at %#x", address))
}

const (
	gameBase   = 0x5600_0000_0000 // of game, with 64-bit pointers
	winBase    = 0x0040_0000      // of win.exe, with 32-bit pointers
	heapBase   = 0x5700_0000_0000
	objectBase = 0x7f00_0000_0000 // of objects in the 64-bit address space
	lowBase    = 0x0100_0000      // and in the 32-bit one
	stackEnd   = 0x7ffc_0000_8000
	vdsoBase   = 0x7ffc_1000_0000
)

// newFake returns a process with a chain of pointers of each width:
//
//	game+0x40    -> objectBase,      +0x8 -> objectBase+0x100, +0x10 -> 0
//	win.exe+0x40 -> lowBase,         +0x8 -> lowBase+0x100,    +0x10 -> 0
func newFake(t testing.TB) *fakeProcess {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat("/proc/self/exe", &stat); err != nil {
		t.Fatal(err)
	}
	dev := procmaps.Dev{Major: unix.Major(uint64(stat.Dev)), Minor: unix.Minor(uint64(stat.Dev))}
	p := &fakeProcess{
		memory: map[uint64][]byte{},
		modules: []*Module{
			{Name: "win.exe", Path: "/wine/Win.exe", Kind: PE, Base: winBase, Size: 0x1000, PointerSize: 4, Executable: true},
			{Name: "save.dat", Path: "/home/save.dat", Kind: Data, Base: 0x200_0000, Size: 0x1000},
			{Name: "game", Path: "/opt/game", Kind: ELF, Base: gameBase, Size: 0x1000, PointerSize: 8, Executable: true, Dev: dev, Inode: stat.Ino},
			{Name: "libc-2.31.so", Path: "/lib/libc-2.31.so", Kind: ELF, Base: 0x7f10_0000_0000, Size: 0x1000, PointerSize: 8, Executable: true},
			{Name: "twin.so", Path: "/a/twin.so", Kind: ELF, Base: 0x7f20_0000_0000, Size: 0x1000, PointerSize: 8, Executable: true},
			{Name: "twin.so", Path: "/b/twin.so", Kind: ELF, Base: 0x7f30_0000_0000, Size: 0x1000, PointerSize: 8, Executable: true},
			{Name: "read.so", Path: "/lib/read.so", Kind: ELF, Base: 0x7f40_0000_0000, Size: 0x1000, PointerSize: 8},
			{Name: "read.so", Path: "/lib/read.so", Kind: ELF, Base: 0x7f50_0000_0000, Size: 0x1000, PointerSize: 8, Executable: true},
			{Name: "[vdso]", Path: "[vdso]", Kind: ELF, Base: vdsoBase, Size: 0x1000, PointerSize: 8, Executable: true},
		},
		symbols: map[string][]Symbol{
			"game!player":        {{Name: "player", Address: gameBase + 0x40}},
			"win.exe!player":     {{Name: "player", Address: winBase + 0x40}},
			"win.exe!winner":     {{Name: "winner", Address: winBase + 0x40}},
			"libc-2.31.so!only":  {{Name: "only", Address: 0x7f10_0000_0123}},
			"twin.so!both":       {{Name: "both", Address: 0x7f20_0000_0010}, {Name: "both", Address: 0x7f30_0000_0010}},
			"game!static":        {{Name: "static", Address: gameBase + 8}, {Name: "static", Address: gameBase + 0x10}},
			"game!alias":         {{Name: "alias", Address: gameBase + 8}, {Name: "alias", Address: gameBase + 8}},
			"[vdso]!time":        {{Name: "time", Address: vdsoBase + 0x20}},
			"game!a name(int)":   {{Name: "a name(int)", Address: gameBase + 0x30}},
			"libc-2.31.so!alias": {{Name: "alias", Address: 0x7f10_0000_0000}},
		},
		unread: map[string]error{},
	}
	const readWrite = procmaps.Read | procmaps.Write
	p.add(gameBase, readWrite, "/opt/game", 0x1000)
	p.add(winBase, readWrite, "/wine/Win.exe", 0x1000)
	p.add(objectBase, readWrite, "", 0x1000)
	p.add(lowBase, readWrite, "", 0x1000)
	p.add(heapBase, readWrite, "[heap]", 0x1000)
	p.add(heapBase+0x1000, procmaps.Read, "[heap]", 0x1000)
	p.add(stackEnd-0x8000, 0, "[stack]", 0x1000)
	p.add(stackEnd-0x7000, readWrite, "[stack]", 0x7000)
	p.add(0x0, procmaps.Execute, "/low\x1b", 0x1000)
	p.set(gameBase+0x40, objectBase, 8)
	p.set(objectBase+8, objectBase+0x100, 8)
	p.set(winBase+0x40, lowBase, 4)
	p.set(winBase+0x44, 0xaaaaaaaa, 4) // which is no part of the pointer
	p.set(lowBase+8, lowBase+0x100, 4)
	p.set(lowBase+0xc, 0xffff_fff0, 4)
	return p
}

func mustParse(t testing.TB, text string) *Expr {
	t.Helper()
	e, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
