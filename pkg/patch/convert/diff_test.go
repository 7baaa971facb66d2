// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/internal/testtarget/peimage"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

func TestDiffFiles(t *testing.T) {
	before := testFile()
	after := patched(patched(before, 0x410, "\xeb\xfe"), 0x640, "A")
	o := Options{Module: "game", Original: section(before)}
	p, skipped, err := DiffFiles(section(after), o)
	if err != nil || len(skipped) > 0 {
		t.Fatalf("skipped %v, %v", skipped, err)
	}
	expectChanges(t, p, wanted{"game+0x1410", "\x10\x11", "\xeb\xfe", true}, wanted{"game+0x2640", "\x40", "A", false})
	if p.Modules[0].BuildID != testBuildID || p.Name != "Changes to game" {
		t.Errorf("the patch is %+v", p)
	}
	if _, _, err := DiffFiles(section(before), o); !errors.Is(err, ErrNoDifference) {
		t.Errorf("the same file: %v", err)
	}
	_, skipped, err = DiffFiles(section(patched(after, 0x700, "?")), o)
	if _, ok := errors.AsType[*SkippedError](err); !ok || len(skipped) != 1 || skipped[0].Offset != 0x700 {
		t.Errorf("a difference that nothing loads: skipped %v, %v", skipped, err)
	}
	o.Partial = true
	if p, _, err = DiffFiles(section(append(after, "more"...)), o); err != nil || len(p.Changes) != 2 {
		t.Errorf("a longer file: %+v, %v", p, err)
	}
	other := bytes.Clone(before)
	binary.LittleEndian.PutUint64(other[64+56+32:], textSize-1)
	machine := patched(before, 18, string([]byte{byte(elf.EM_AARCH64), 0}))
	fewer := patched(before, 56, "\x04\x00")
	copy(fewer[64+3*56:], "\x06")
	for _, test := range []struct {
		name  string
		after []byte
		want  string
	}{
		{"a part of another size", other, "the part at 0x1400 is other in the second file"},
		{"fewer parts", fewer, "the files have 3 and 2 parts"},
		{"another machine", machine, "the files are for different machines"},
		{"a file of Windows", peimage.Build(64).File, "the files are for different machines"},
		{"a text", []byte("hello"), "neither an ELF nor a PE file"},
		{"a file that was cut", after[:0x610], "not of the same size"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, _, err := DiffFiles(section(test.after), o)
			if _, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%+v, %v; want %s", p, err, test.want)
			}
		})
	}
}

// moduleOf returns the module of a process that has a name.
func moduleOf(t *testing.T, pid int, name string) (*machcompat.Task, *address.Module) {
	t.Helper()
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { task.Close() })
	modules, err := address.NewResolver(task).Modules()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(modules, func(m *address.Module) bool { return m.Name == name })
	if i < 0 {
		t.Fatalf("no module is called %s", name)
	}
	return task, modules[i]
}

// The code of a process is that of its file, but for what a tracer has written there.
func TestDiffModule(t *testing.T) {
	for _, goarch := range []string{"", "386"} {
		t.Run(cmp.Or(goarch, "own"), func(t *testing.T) {
			if goarch != "" {
				if goarch == runtime.GOARCH {
					t.Skip("as the first")
				}
				testtarget.Need(t, goarch)
			}
			path := testtarget.Build(t, goarch)
			target := testtarget.StartBinary(t, path)
			task, m := moduleOf(t, target.PID, "target")
			if p, skipped, err := DiffModule(m, task, Options{}); !errors.Is(err, ErrNoDifference) {
				t.Fatalf("an unchanged program: %+v, skipped %v, %v", p, skipped, err)
			}
			file, err := elf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			at := symbolOf(t, file, "main.mapNamed")
			old, err := task.Read(m.Base+at, 3)
			if err != nil {
				t.Fatal(err)
			}
			changed := []byte{^old[0], ^old[1], ^old[2]}
			if err := poke(target.PID, m.Base+at, changed); err != nil {
				t.Fatal(err)
			}
			p, skipped, err := DiffModule(m, task, Options{})
			if err != nil {
				t.Fatal(err)
			}
			expectChanges(t, p, wanted{fmt.Sprintf("target+%#x", at), string(old), string(changed), true})
			if len(p.Modules) != 1 || p.Modules[0].BuildID == "" && p.Modules[0].SHA256 == "" {
				t.Errorf("the module is %+v", p.Modules)
			}
			if !slices.ContainsFunc(skipped, func(s Skipped) bool { return s.Reason == "the process may write it" }) {
				t.Errorf("skipped %v; want the data", skipped)
			}
			// Applied to the file, it makes the same file that another tool would be told of.
			offset, ok := uint64(0), false
			image, err := m.Image()
			if err == nil {
				offset, ok = image.OffsetAt(at)
			}
			whole, fileErr := os.ReadFile(path)
			if !ok || fileErr != nil || !bytes.Equal(whole[offset:offset+3], old) {
				t.Errorf("%#x is at %#x of the file, %v, %v, %v", at, offset, ok, err, fileErr)
			}
			imported, _, err := Import(fmt.Appendf(nil, "Comparing files target and T\n%08X: %02X %02X\n", offset, old[0], changed[0]), FC, Options{Original: section(whole)})
			if err != nil {
				t.Fatal(err)
			}
			expectChanges(t, imported, wanted{fmt.Sprintf("target+%#x", at), string(old[:1]), string(changed[:1]), true})
		})
	}
}

func symbolOf(t *testing.T, file *elf.File, name string) uint64 {
	t.Helper()
	symbols, err := file.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name == name {
			first := slices.IndexFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_LOAD && p.Off == 0 })
			return s.Value - file.Progs[first].Vaddr
		}
	}
	t.Fatalf("no symbol is called %s", name)
	return 0
}

// poke writes memory that a process may not write, as a tracer may.
func poke(pid int, address uint64, p []byte) error {
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	_, err = mem.WriteAt(p, int64(address))
	return err
}

// A C program and its libraries are relocated, which is no change of theirs.
func TestDiffLibraries(t *testing.T) {
	testtarget.Need(t, "own children")
	process := testtarget.StartProcess(t, exec.Command("cat"))
	if line, err := process.Ask("loaded"); line != "loaded" {
		t.Fatalf("cat says %q, %v", line, err)
	}
	task, err := machcompat.TaskForPID(process.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer task.Close()
	modules, err := address.NewResolver(task).Modules()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, m := range modules {
		if m.Kind != address.ELF || m.Inode == 0 {
			continue
		}
		tried++
		if p, skipped, err := DiffModule(m, task, Options{}); !errors.Is(err, ErrNoDifference) {
			t.Errorf("%s: %+v, skipped %v, %v", m.Path, p, skipped, err)
		}
	}
	if tried < 2 {
		t.Errorf("%d modules were tried", tried)
	}
}

// loadedPE is a program of Windows in the memory of a process, whose file is at a path.
func loadedPE(t *testing.T, bits int) (*machcompat.Task, *address.Module, uint64) {
	target := testtarget.Start(t)
	const pages = 64 // more than it has
	base := target.Address("map r-- %d", pages)
	target.Do("unmap %#x %d", base, pages*machcompat.HostPageSize())
	path := t.TempDir() + "/game.exe"
	target.Do("pe %s %d %#x whole", hex.EncodeToString([]byte(path)), bits, base)
	task, m := moduleOf(t, target.PID, "game.exe")
	return task, m, base
}

func TestDiffModuleOfWindows(t *testing.T) {
	for _, bits := range []int{32, 64} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			task, m, base := loadedPE(t, bits)
			if p, skipped, err := DiffModule(m, task, Options{}); !errors.Is(err, ErrNoDifference) {
				t.Fatalf("an unchanged program: %+v, skipped %v, %v", p, skipped, err)
			}
			if err := poke(task.PID(), base+peimage.Text+2, []byte{0x90, 0x90}); err != nil {
				t.Fatal(err)
			}
			p, _, err := DiffModule(m, task, Options{})
			if err != nil {
				t.Fatal(err)
			}
			expectChanges(t, p, wanted{"game.exe+0x1002", "\xc3\xc3", "\x90\x90", true})
		})
	}
}

// Memory that cannot be read is listed, and is no change.
func TestDiffUnreadable(t *testing.T) {
	file := testFile()
	o, err := openOriginal(Options{Original: section(file)})
	if err != nil {
		t.Fatal(err)
	}
	b := &builder{}
	memory := io.NewSectionReader(bytes.NewReader(file), 0, 0x1450) // ends in the code
	for _, part := range o.image.Parts[:2] {
		if err := b.comparePart(part, o, memory); err != nil {
			t.Fatal(err)
		}
	}
	want := Skipped{Offset: textAt + textMoves, Size: textSize, Reason: "it cannot be read"}
	if len(b.skipped) != 1 || b.skipped[0] != want || len(b.edits) != 0 {
		t.Errorf("skipped %v, changed %v; want %v", b.skipped, b.edits, want)
	}
}

// What a relocation changes in the code is told apart from what somebody else does.
func TestDiffRelocated(t *testing.T) {
	file := testFile()
	o, err := openOriginal(Options{Original: section(file)})
	if err != nil {
		t.Fatal(err)
	}
	memory := make([]byte, 0x1500)
	copy(memory[textAt+textMoves:], file[textAt:textAt+textSize])
	copy(memory[relocatedAt+textMoves-1:], "!!!!!!!!!!") // and a byte on each side
	b := &builder{}
	if err := b.comparePart(o.image.Parts[1], o, bytes.NewReader(memory)); err != nil {
		t.Fatal(err)
	}
	want := Skipped{Offset: textAt + textMoves, Size: 8, Reason: "the loader changes what it loads here"}
	if len(b.skipped) != 1 || b.skipped[0] != want || len(b.edits) != 2 || b.edits[0].at != relocatedAt+textMoves-1 || b.edits[1].at != relocatedAt+textMoves+8 {
		t.Errorf("skipped %v, changed %v", b.skipped, b.edits)
	}
}
