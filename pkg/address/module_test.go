// SPDX-License-Identifier: Apache-2.0

package address

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/internal/testtarget/peimage"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

func TestMatches(t *testing.T) {
	linux := &Module{Name: "libgame.so", Path: "/opt/Game/libgame.so", Kind: ELF, BuildID: "deadbeef01"}
	deleted := &Module{Name: "game", Path: "/opt/game (deleted)", Kind: ELF}
	windows := &Module{Name: "Game.exe", Path: "/home/me/.wine/drive_c/Games/Game.exe", Kind: PE, BuildID: "0102ABCD1F"}
	tests := []struct {
		name   string
		module *Module
		text   string
		want   bool
	}{
		{"the last part of the path", linux, "libgame.so", true},
		{"another case", linux, "LibGame.so", false},
		{"the end of the path", linux, "Game/libgame.so", true},
		{"the end of the path with a slash in front", linux, "/Game/libgame.so", true},
		{"the end of the path in another case", linux, "game/libgame.so", false},
		{"the whole path", linux, "/opt/Game/libgame.so", true},
		{"an end that begins within a name", linux, "game.so", false},
		{"the front of the name", linux, "libgame", false},
		{"the front of the path", linux, "/opt/Game", false},
		{"four digits of the build id", linux, "dead", true},
		{"the whole build id", linux, "deadbeef01", true},
		{"the build id in capitals", linux, "DEADBEEF", true},
		{"three digits of the build id", linux, "dea", false},
		{"a digit more than the build id has", linux, "deadbeef012", false},
		{"the end of the build id", linux, "beef01", false},
		{"nothing", linux, "", false},
		{"a file that is gone", deleted, "game", true},
		{"the path of a file that is gone", deleted, "/opt/game", true},
		{"a PE file", windows, "Game.exe", true},
		{"a PE file in another case", windows, "game.EXE", true},
		{"the end of a PE file's path in another case", windows, "games/game.exe", true},
		{"another PE file", windows, "ame.exe", false},
		{"the build id of a PE file", windows, "0102abcd", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.module.matches(test.text); got != test.want {
				t.Errorf("%s matches %q: %v; want %v", test.module.Path, test.text, got, test.want)
			}
		})
	}
}

func mapping(start, end, offset uint64, perms procmaps.Perms, inode uint64, path string) procmaps.Mapping {
	return procmaps.Mapping{Start: start, End: end, Offset: offset, Perms: perms, Inode: inode, Path: path}
}

func TestKindNames(t *testing.T) {
	if got, want := fmt.Sprint(ELF, PE, Data, Kind(0)), "elf pe data Kind(0)"; got != want {
		t.Errorf("the kinds are %s; want %s", got, want)
	}
}

func TestModulesOf(t *testing.T) {
	const (
		r, rw, rx = procmaps.Read, procmaps.Read | procmaps.Write, procmaps.Read | procmaps.Execute
		base      = 0x40000000
	)
	program := newELF()
	program.size = 0x5000
	liar := newELF()
	liar.size = 1 << 62
	parted := newELF() // its second segment is not where it is in the file
	parted.second = &elf.Prog64{Type: uint32(elf.PT_LOAD), Off: 0x1000, Vaddr: 0x2000, Filesz: 0x1000, Memsz: 0x1800}
	image64, image32 := peimage.Build(64), peimage.Build(32)
	pe64, pe32 := loadedPE(image64), loadedPE(image32)
	endless := bytes.Clone(pe64)
	binary.LittleEndian.PutUint32(endless[0x80+24+56:], 0xffffffff)

	tests := []struct {
		name    string
		process *memoryProcess
		want    []Module // without Path, Dev, Inode
	}{
		{
			"a program has the anonymous memory up to its size, and nothing behind it",
			newMemory().with(mapping(base, base+0x1000, 0, rx, 7, "/opt/game"), program.bytes()).
				with(mapping(base+0x1000, base+0x5000, 0, rw, 0, ""), nil).
				with(mapping(base+0x5000, base+0x9000, 0, rw, 0, "[heap]"), nil),
			[]Module{{Name: "game", Kind: ELF, Base: base, Size: 0x5000, PointerSize: 8, BuildID: elfBuildID, Executable: true}},
		},
		{
			"a program of 32 bits has pointers of 4 bytes",
			newMemory().with(mapping(base, base+0x1000, 0, r, 7, "/opt/game"), newELF().narrow().bytes()),
			[]Module{{Name: "game", Kind: ELF, Base: base, Size: 0x1000, PointerSize: 4, BuildID: elfBuildID}},
		},
		{
			"a size ends at the next file",
			newMemory().with(mapping(base, base+0x1000, 0, r, 7, "/opt/game"), liar.bytes()).
				with(mapping(base+0x8000, base+0x9000, 0x1000, r, 8, "/opt/data"), nil),
			[]Module{
				{Name: "game", Kind: ELF, Base: base, Size: 0x8000, PointerSize: 8, BuildID: elfBuildID},
				{Name: "data", Kind: Data, Base: base + 0x8000, Size: 0x1000},
			},
		},
		{
			"a size ends at the next image",
			newMemory().with(mapping(base, base+0x1000, 0, r, 7, "/opt/game.exe"), endless).
				with(mapping(base+0x8000, base+0x9000, 0, rx, 0, "[vdso]"), newELF().bytes()),
			[]Module{
				{Name: "game.exe", Kind: PE, Base: base, Size: 0x8000, PointerSize: 8},
				{Name: "[vdso]", Kind: ELF, Base: base + 0x8000, Size: 0x1000, PointerSize: 8, BuildID: elfBuildID, Executable: true},
			},
		},
		{
			"a library that is loaded twice is two modules, of which each has what is mapped in it",
			newMemory().with(mapping(base, base+0x1000, 0, r, 7, "/lib/a.so"), program.bytes()).
				with(mapping(base+0x1000, base+0x2000, 0, rx, 7, "/lib/a.so"), program.bytes()).
				with(mapping(base+0x5000, base+0x6000, 0, r, 7, "/lib/a.so"), program.bytes()),
			[]Module{
				{Name: "a.so", Kind: ELF, Base: base, Size: 0x5000, PointerSize: 8, BuildID: elfBuildID, Executable: true},
				{Name: "a.so", Kind: ELF, Base: base + 0x5000, Size: 0x5000, PointerSize: 8, BuildID: elfBuildID},
			},
		},
		{
			"files are told apart by inode, not by name",
			newMemory().with(mapping(base, base+0x1000, 0x1000, r, 7, "/a (deleted)"), nil).
				with(mapping(base+0x1000, base+0x2000, 0x2000, rx, 7, "/a (deleted)"), nil).
				with(mapping(base+0x2000, base+0x3000, 0x3000, r, 8, "/a (deleted)"), nil).
				with(mapping(base+0x3000, base+0x4000, 0x5000, r, 8, "/b"), nil),
			[]Module{
				{Name: "a", Kind: Data, Base: base, Size: 0x2000, Executable: true},
				{Name: "a", Kind: Data, Base: base + 0x2000, Size: 0x1000},
				{Name: "b", Kind: Data, Base: base + 0x3000, Size: 0x1000},
			},
		},
		{
			"what has no file is no module",
			newMemory().with(mapping(base, base+0x1000, 0, rx, 0, ""), program.bytes()).
				with(mapping(base+0x1000, base+0x2000, 0, rw, 0, "[heap]"), program.bytes()).
				with(mapping(base+0x2000, base+0x3000, 0, rw, 0, "[stack]"), program.bytes()),
			nil,
		},
		{
			"Wine's map of a PE file: only the headers have a name",
			newMemory().with(mapping(base, base+0x1000, 0, r, 7, "/c/Game.exe"), pe64[:0x1000]).
				with(mapping(base+0x1000, base+0x2000, 0, rx, 0, ""), pe64[0x1000:0x2000]).
				with(mapping(base+0x2000, base+0x6000, 0, rw, 0, ""), pe64[0x2000:0x6000]).
				with(mapping(base+0x6000, base+0x7000, 0x1000, r, 7, "/c/Game.exe"), pe64[0x6000:]).
				with(mapping(base+0x7000, base+0x8000, 0, rw, 0, ""), nil),
			[]Module{{Name: "Game.exe", Kind: PE, Base: base, Size: 0x7000, PointerSize: 8, BuildID: image64.BuildID, Executable: true}},
		},
		{
			"a PE file of 32 bits",
			newMemory().with(mapping(base, base+0x1000, 0, r, 7, "/c/Game.exe"), pe32[:0x1000]).
				with(mapping(base+0x1000, base+0x7000, 0, rw, 0, ""), pe32[0x1000:]),
			[]Module{{Name: "Game.exe", Kind: PE, Base: base, Size: 0x7000, PointerSize: 4, BuildID: image32.BuildID}},
		},
		{
			"a PE file that is only read",
			newMemory().with(mapping(base, base+0x2000, 0, r, 7, "/c/Game.exe"), image64.File),
			[]Module{{Name: "Game.exe", Kind: Data, Base: base, Size: 0x2000}},
		},
		{
			"an ELF file that is loaded",
			newMemory().with(mapping(base, base+0x1000, 0, r, 7, "/opt/game"), parted.bytes()).
				with(mapping(base+0x2000, base+0x3000, 0x1000, rw, 7, "/opt/game"), nil),
			[]Module{{Name: "game", Kind: ELF, Base: base, Size: 0x4000, PointerSize: 8, BuildID: elfBuildID}},
		},
		{
			"an ELF file that is only read",
			newMemory().with(mapping(base, base+0x3000, 0, r, 7, "/opt/game"), parted.bytes()),
			[]Module{{Name: "game", Kind: Data, Base: base, Size: 0x3000}},
		},
		{
			"a size that goes beyond the end of all addresses",
			newMemory().with(mapping(1<<64-0x2000, 1<<64-0x1000, 0, r, 7, "/opt/game"), liar.bytes()),
			[]Module{{Name: "game", Kind: ELF, Base: 1<<64 - 0x2000, Size: 0x2000, PointerSize: 8, BuildID: elfBuildID}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			modules, err := modulesOf(test.process)
			if err != nil {
				t.Fatal(err)
			}
			for i, m := range modules {
				got := Module{Name: m.Name, Kind: m.Kind, Base: m.Base, Size: m.Size, PointerSize: m.PointerSize, BuildID: m.BuildID, Executable: m.Executable}
				if i >= len(test.want) || got != test.want[i] {
					t.Errorf("module %d is %+v", i, got)
				}
			}
			if t.Failed() || len(modules) != len(test.want) {
				t.Errorf("%d modules; want %+v", len(modules), test.want)
			}
		})
	}
}

// A hostile header gives an ordinary file, not an image.
func TestHostileHeaders(t *testing.T) {
	set := func(file []byte, at int, value uint64, size int) []byte {
		file = bytes.Clone(file)
		copy(file[at:at+size], binary.LittleEndian.AppendUint64(nil, value))
		return file
	}
	good, image := newELF().bytes(), loadedPE(peimage.Build(64))
	two := newELF()
	two.second = &elf.Prog64{Type: uint32(elf.PT_LOAD), Off: 0x1000, Vaddr: 0x2000}
	second := two.bytes()
	const program, optional = 64, 0x80 + 24
	tests := []struct {
		name   string
		memory []byte
	}{
		{"an ELF header that ends", good[:20]},
		{"an ELF class that there is not", set(good, 4, 3, 1)},
		{"program headers beyond the memory", set(good, 32, 1<<40, 8)},
		{"program headers beyond all addresses", set(good, 32, 1<<64-8, 8)},
		{"65535 program headers", set(good, 56, 0xffff, 2)},
		{"no program headers", set(good, 56, 0, 2)},
		{"program headers of another size", set(good, 54, 55, 2)},
		{"a segment that wraps", set(second, 64+3*56+40, 1<<64-1, 8)},
		{"an empty segment", set(set(good, program+40, 0, 8), program+32, 0, 8)},
		{"no segment with the front of the file", set(good, program+8, 1<<20, 8)},
		{"a PE header beyond the memory", set(image, 0x3c, 0xffffffff, 4)},
		{"a PE header without its signature", set(image, 0x80, 0, 4)},
		{"an optional header of no known kind", set(image, optional, 0x107, 2)},
		{"65535 sections", set(image, 0x80+6, 0xffff, 2)},
		{"a SizeOfImage of 0", set(image, optional+56, 0, 4)},
		{"a DOS header alone", []byte("MZ")},
		{"one byte", []byte{0x7f}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			modules, err := modulesOf(newMemory().wine(0x10000, test.memory, "/opt/game", 7))
			if err != nil || len(modules) != 1 {
				t.Fatalf("%d modules, %v; want 1", len(modules), err)
			}
			if m := modules[0]; m.Kind != Data || m.Size != 0x1000 {
				t.Errorf("%+v; want data", m)
			}
		})
	}
}

// The header of a loaded image is gone from memory, but not from the file.
func TestWipedHeader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "game.exe")
	image := peimage.Build(32)
	files := []struct {
		name   string
		file   []byte
		memory []byte
		want   Module
	}{
		{"PE", image.File, loadedPE(image), Module{Kind: PE, Size: uint64(image.Size), PointerSize: 4, BuildID: image.BuildID}},
		{"ELF", newELF().bytes(), newELF().bytes(), Module{Kind: ELF, Size: 0x1000, PointerSize: 8, BuildID: elfBuildID}},
	}
	for _, file := range files {
		if err := os.WriteFile(path, file.file, 0o600); err != nil {
			t.Fatal(err)
		}
		var status unix.Stat_t
		if err := unix.Stat(path, &status); err != nil {
			t.Fatal(err)
		}
		wipes := []struct {
			name string
			wipe func(memory []byte) []byte
		}{
			{"zeroes", func(memory []byte) []byte { clear(memory[:0x400]); return memory }},
			{"all but the first bytes", func(memory []byte) []byte { clear(memory[4:0x400]); return memory }},
			{"memory that cannot be read", func([]byte) []byte { return nil }},
		}
		for _, wipe := range wipes {
			t.Run(file.name+"/"+wipe.name, func(t *testing.T) {
				const base = 0x10000
				m := mapping(base, base+0x1000, 0, procmaps.Read, status.Ino, path)
				m.Dev = procmaps.Dev{Major: unix.Major(status.Dev), Minor: unix.Minor(status.Dev)}
				memory := wipe.wipe(bytes.Clone(file.memory))
				process := newMemory().with(m, memory[:min(len(memory), 0x1000)])
				if len(memory) > 0x1000 {
					process.with(mapping(base+0x1000, base+0x7000, 0, procmaps.Read, 0, ""), memory[0x1000:])
				}
				modules, err := modulesOf(process)
				if err != nil || len(modules) != 1 {
					t.Fatalf("%d modules, %v; want 1", len(modules), err)
				}
				got := modules[0]
				if got.Kind != file.want.Kind || got.Size != file.want.Size || got.PointerSize != file.want.PointerSize || got.BuildID != file.want.BuildID {
					t.Errorf("%+v; want %+v", got, file.want)
				}
				places, err := got.symbols("player")
				if err != nil || len(places) != 1 {
					t.Errorf("player is %v, %v; want one place", places, err)
				}
			})
		}
	}
}

func TestModulesOfAProcess(t *testing.T) {
	path := testtarget.Build(t, "")
	target := testtarget.StartBinary(t, path)
	// A program that only reads a file has no second program.
	reader := target.Address("named %x r-- 0", filepath.Join(t.TempDir(), "a file\nof data"))
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()

	modules, err := modulesOf(taskFor(t, target.PID))
	if err != nil {
		t.Fatal(err)
	}
	program := only(t, modules, "target")
	symbols, err := file.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	last := uint64(0) // of .bss
	for _, s := range symbols {
		if s.Name == "main.main" || s.Name == "runtime.mheap_" {
			found, err := program.symbols(s.Name)
			if err != nil || len(found) != 1 || found[0].Size != s.Size || !program.Contains(found[0].Address) {
				t.Errorf("%s is %+v, %v", s.Name, found, err)
				continue
			}
			if got, want := found[0].Address-program.Base, s.Value-file.Progs[firstLoad(file)].Vaddr; got != want {
				t.Errorf("%s is at %#x; want %#x", s.Name, got, want)
			}
			last = max(last, found[0].Address)
		}
	}
	if last == 0 {
		t.Error("no symbol was tried")
	}
	if program.Kind != ELF || !program.Executable || program.Path != path {
		t.Errorf("the program is %+v", program)
	}
	if want := int(4 * file.Class); program.PointerSize != want { // ELFCLASS32 is 1, ELFCLASS64 2
		t.Errorf("pointers of %d bytes; want %d", program.PointerSize, want)
	}
	data := only(t, modules, `a file\012of data`)
	if data.Kind != Data || data.Base != reader || data.Executable {
		t.Errorf("the data is %+v; want it at %#x", data, reader)
	}
	if !slices.IsSortedFunc(modules, func(a, b *Module) int {
		if a.Base < b.Base {
			return -1
		}
		return 1
	}) {
		t.Error("the modules are not in order")
	}
}

func firstLoad(file *elf.File) int {
	return slices.IndexFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_LOAD })
}

// only returns the only module of a name.
func only(t *testing.T, modules []*Module, name string) *Module {
	t.Helper()
	var found []*Module
	for _, m := range modules {
		if m.matches(name) {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d modules are called %s; want 1 of %s", len(found), name, fmt.Sprint(modules))
	}
	return found[0]
}

func TestVDSO(t *testing.T) {
	task := taskFor(t, os.Getpid())
	modules, err := modulesOf(task)
	if err != nil {
		t.Fatal(err)
	}
	vdso := only(t, modules, "[vdso]")
	for _, name := range []string{"__vdso_clock_gettime", "__kernel_clock_gettime"} { // x86, arm64
		found, err := vdso.symbols(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 1 && vdso.Contains(found[0].Address) {
			return
		}
	}
	t.Errorf("no call is in %+v", vdso)
}
