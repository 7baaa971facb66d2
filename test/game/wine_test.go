// SPDX-License-Identifier: Apache-2.0

package game

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/internal/testtarget/peimage"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// A loaded program of Windows has its images where a process of any width has room.
const (
	lowBase  = 0x20000000
	lowHeap  = 0x28000000
	highBase = 0x140000000
)

// A windows is a process with programs of Windows, mapped as Wine does.
type windows struct {
	*testtarget.Target
	task     *machcompat.Task
	resolver *address.Resolver
}

func startWindows(t *testing.T) windows {
	t.Helper()
	testtarget.Need(t, "4k pages")
	target := testtarget.Start(t)
	task, err := machcompat.TaskForPID(target.PID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { task.Close() })
	target.Do("mapat %#x rw- 1", lowHeap)
	return windows{target, task, address.NewResolver(task)}
}

// load maps an image of a file with this path.
func (w windows) load(t *testing.T, path string, bits int, base uint64, headers string) {
	t.Helper()
	if bits == 64 {
		testtarget.Need(t, "64-bit tests")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	w.Do("pe %x %d %#x %s", path, bits, base, headers)
}

// point writes a pointer of a width. What lies behind it is no zero, so that who reads
// more than the pointer gets another one.
func (w windows) point(t *testing.T, from, to uint64, bits int) {
	t.Helper()
	pointer := binary.LittleEndian.AppendUint64(nil, to)[:bits/8]
	if err := w.task.Write(from, append(pointer, bytes.Repeat([]byte{0xee}, 8)...)); err != nil {
		t.Fatal(err)
	}
}

func (w windows) resolve(t *testing.T, text string) (address.Resolution, error) {
	t.Helper()
	expr, err := address.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return w.resolver.Resolve(expr)
}

func TestWineMap(t *testing.T) {
	for _, headers := range []string{"whole", "wiped"} {
		for bits, base := range map[int]uint64{64: highBase, 32: lowBase} {
			t.Run(fmt.Sprintf("%d bits, %s headers", bits, headers), func(t *testing.T) {
				w := startWindows(t)
				image := peimage.Build(bits)
				path := t.TempDir() + "/Game.exe"
				w.load(t, path, bits, base, headers)
				w.point(t, base+peimage.Data, lowHeap+0x100, bits)
				w.point(t, lowHeap+0x100+8, lowHeap+0x200, bits)
				w.point(t, base+peimage.Player, lowHeap+0x300, bits)

				for text, want := range map[string]uint64{
					"Game.exe":                                      base,
					"game.EXE+0x3000":                               base + 0x3000,
					"GAME.EXE!player":                               base + peimage.Player,
					"game.exe!Tick":                                 base + peimage.Text + 0x10,
					"[[game.exe+0x3000]+0x8]+0x14":                  lowHeap + 0x214,
					"game.exe+0x3000,0x8,0x14":                      lowHeap + 0x214,
					"game.exe!player,0x14":                          lowHeap + 0x314,
					`"` + image.BuildID[:8] + `"!player`:            base + peimage.Player,
					filepath.Base(filepath.Dir(path)) + "/game.exe": base,
				} {
					got, err := w.resolve(t, text)
					if err != nil || got.Address != want {
						t.Errorf("%s is %#x, %v; want %#x", text, got.Address, err, want)
					}
					if got.PointerSize != bits/8 {
						t.Errorf("%s has pointers of %d bytes; want %d", text, got.PointerSize, bits/8)
					}
				}
				var symbol *address.SymbolError
				if got, err := w.resolve(t, "game.exe!PLAYER"); !errors.As(err, &symbol) {
					t.Errorf("game.exe!PLAYER is %#x, %v; want a SymbolError: symbols have case", got.Address, err)
				}

				for offset, inside := range map[uint64]bool{
					0: true, peimage.Text: true, peimage.Reloc - 1: true, peimage.Reloc + 1: true,
					uint64(image.Size) - 1: true, uint64(image.Size): false,
				} {
					m, got, ok := w.resolver.Locate(base + offset)
					if ok != inside || inside && (m.Path != path || got != offset) {
						t.Errorf("base+%#x lies in %v at %#x, %v; want it in the image: %v", offset, m, got, ok, inside)
					}
				}
				modules, err := w.resolver.Modules()
				if err != nil {
					t.Fatal(err)
				}
				var images []address.Module
				for _, m := range modules {
					if m.Name == "Game.exe" {
						images = append(images, *m)
					}
				}
				if len(images) != 1 {
					t.Fatalf("%d modules of the file, %+v; want 1", len(images), images)
				}
				m := images[0]
				if m.Kind != address.PE || m.Base != base || m.Size != uint64(image.Size) || m.PointerSize != bits/8 || m.BuildID != image.BuildID || !m.Executable {
					t.Errorf("the module is %+v; want that of %+v", m, *image)
				}
			})
		}
	}
}

// A 32-bit program of Windows is in a 64-bit process with Wine's 64-bit libraries, which
// have the names of the 32-bit ones.
func TestWineWidthsInOneProcess(t *testing.T) {
	w := startWindows(t)
	system := t.TempDir()
	const wideBase, narrowBase = highBase, lowBase
	w.load(t, system+"/system32/ntdll.dll", 64, wideBase, "whole")
	w.load(t, system+"/syswow64/ntdll.dll", 32, narrowBase, "whole")
	w.point(t, wideBase+peimage.Player, lowHeap+0x100, 64)
	w.point(t, narrowBase+peimage.Player, lowHeap+0x200, 32)

	for text, want := range map[string]address.Resolution{
		"system32/ntdll.dll!player,0x8": {Address: lowHeap + 0x108, PointerSize: 8},
		"SysWOW64/ntdll.dll!player,0x8": {Address: lowHeap + 0x208, PointerSize: 4},
	} {
		got, err := w.resolve(t, text)
		if err != nil || got.Address != want.Address || got.PointerSize != want.PointerSize {
			t.Errorf("%s is %#x by pointers of %d bytes, %v; want %#x, %d", text, got.Address, got.PointerSize, err, want.Address, want.PointerSize)
		}
	}
	var module *address.ModuleError
	if got, err := w.resolve(t, "ntdll.dll!player"); !errors.As(err, &module) {
		t.Errorf("ntdll.dll!player is %#x, %v; want a ModuleError with both", got.Address, err)
	} else {
		for _, path := range []string{"/system32/ntdll.dll", "/syswow64/ntdll.dll"} {
			if !bytes.Contains([]byte(err.Error()), []byte(system+path)) {
				t.Errorf("the error is %q; want it to list %s", err, path)
			}
		}
	}
}

// A chain of 32-bit pointers that ends in nothing says where.
func TestWineBrokenChain(t *testing.T) {
	w := startWindows(t)
	w.load(t, t.TempDir()+"/game.exe", 32, lowBase, "whole")
	w.point(t, lowBase+peimage.Data, lowHeap+0x100, 32)
	w.point(t, lowHeap+0x108, 0, 32)

	_, err := w.resolve(t, "game.exe+0x3000,0x8,0x10,0x14")
	var broken *address.ChainError
	if !errors.As(err, &broken) {
		t.Fatalf("%v; want a ChainError", err)
	}
	if broken.Link != 2 || broken.Address != 0x10 || len(broken.Read) != 2 || broken.Read[1].Address != lowHeap+0x108 || broken.Read[1].Value != 0 {
		t.Errorf("%+v; want it broken at link 2, address 0x10, behind a null pointer at %#x", broken, uint64(lowHeap+0x108))
	}
}
