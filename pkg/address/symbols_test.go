// SPDX-License-Identifier: Apache-2.0

package address

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/internal/testtarget/peimage"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

func TestMangledPart(t *testing.T) {
	tests := map[string]string{
		"Player::hit":                            "hit",
		"Player::hit(int, char)":                 "hit",
		"std::vector<int>::push_back(int&&)":     "vector",
		"(anonymous namespace)::f(int)":          "f",
		"int ns::f<int>(int)":                    "f",
		"Player::~Player()":                      "Player",
		"game::run":                              "run",
		"<game::Player as game::Hit>::hit":       "",
		"Player::operator+(int)":                 "",
		"std::string::operator=":                 "",
		"typeinfo for std::string":               "",
		"größe::naïve(int)":                      "naïve",
		"":                                       "",
		"(":                                      "",
		"f[abi:cxx11](int)":                      "f",
		"f()::{lambda(int)#1}::operator()(char)": "f",
	}
	for name, want := range tests {
		if got := mangledPart(name); got != want {
			t.Errorf("mangledPart(%q) = %q; want %q", name, got, want)
		}
	}
}

func TestSymbolNames(t *testing.T) {
	file := newELF()
	file.symbol("_ZN6Player3hitEv", 2, 1, 0x20) // another name of the same place
	file.symbol("twice", 1, 1, 0x70)
	file.symbol("twice", 1, 1, 0x74)
	file.symbol("_Z5twicev", 2, 1, 0x78)
	file.symbol("_Z5splitv", 2, 1, 0x80)
	file.symbol("_Z5splitv.cold", 2, 1, 0x84)
	file.symbol("_Z6clonedv.constprop.0", 2, 1, 0x88)
	const base = 0x10000
	for _, class := range []string{"64", "32"} {
		if class == "32" {
			file.narrow()
		}
		// The memory of a vdso is all that there is of its file.
		m := only(t, mustModules(t, newMemory().mapped(base, file.bytes(), vdsoPath, 0)), vdsoPath)
		tests := []struct {
			name string
			want []Symbol
		}{
			{"player", []Symbol{{"player", base + 0x10, 0}}},
			{"_ZN6Player3hitEi", []Symbol{{"_ZN6Player3hitEi", base + 0x20, 0}}},
			{"Player::hit(int)", []Symbol{{"Player::hit(int)", base + 0x20, 0}}},
			{"Player::hit(long)", []Symbol{{"Player::hit(long)", base + 0x30, 0}}},
			{"Player::hit", []Symbol{{"Player::hit(int)", base + 0x20, 0}, {"Player::hit(long)", base + 0x30, 0}}},
			{"twice", []Symbol{{"twice", base + 0x70, 0}, {"twice", base + 0x74, 0}}},
			{"twice()", []Symbol{{"twice()", base + 0x78, 0}}},
			{"split", []Symbol{{"split()", base + 0x80, 0}}},
			{"split() [clone .cold]", []Symbol{{"split() [clone .cold]", base + 0x84, 0}}},
			{"cloned", []Symbol{{"cloned() [clone .constprop.0]", base + 0x88, 0}}},
			{"hit", nil},
			{"playe", nil},
			{"undefined", nil},
			{"absolute", nil},
			{"per_thread", nil},
			{"outside", nil},
			{"", nil},
		}
		for _, test := range tests {
			t.Run(class+"/"+test.name, func(t *testing.T) {
				got, err := m.symbols(test.name)
				if err != nil || !slices.Equal(got, test.want) {
					t.Errorf("%+v, %v; want %+v", got, err, test.want)
				}
			})
		}
	}
}

func mustModules(t testing.TB, p Process) []*Module {
	t.Helper()
	modules, err := modulesOf(p)
	if err != nil {
		t.Fatal(err)
	}
	return modules
}

// TestExports looks for exports in memory; a wiped header is TestWipedHeader's.
func TestExports(t *testing.T) {
	const base = 0x10000
	for _, bits := range []int{32, 64} {
		image := peimage.Build(bits)
		m := only(t, mustModules(t, newMemory().wine(base, loadedPE(image), "/c/game.exe", 7)), "GAME.EXE")
		for name, rva := range image.Exports {
			found, err := m.symbols(name)
			if want := []Symbol{{Name: name, Address: base + uint64(rva)}}; err != nil || !slices.Equal(found, want) {
				t.Errorf("%d bits: %s is %+v, %v; want %+v", bits, name, found, err, want)
			}
		}
		for _, name := range []string{"elsewhere", "Player", "other.Function", ""} {
			if found, err := m.symbols(name); err != nil || found != nil {
				t.Errorf("%d bits: %q is %+v, %v; want nothing", bits, name, found, err)
			}
		}
	}
}

func TestHostileExports(t *testing.T) {
	image := peimage.Build(64)
	tests := []struct {
		name  string
		at    uint32 // in the export directory
		value uint32
		fails bool
	}{
		{"2^32-1 functions", 20, 0xffffffff, true},
		{"2^32-1 names", 24, 0xffffffff, true},
		{"a million names beyond the memory", 24, 1 << 20, true},
		{"functions beyond the memory", 28, 0xfffffff0, true},
		{"names beyond the memory", 32, 0xfffffff0, true},
		{"numbers of names beyond the memory", 36, 0xfffffff0, true},
		{"no functions", 20, 0, false},
		{"no names", 24, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			memory := loadedPE(image)
			binary.LittleEndian.PutUint32(memory[peimage.Rdata+test.at:], test.value)
			m := only(t, mustModules(t, newMemory().wine(0x10000, memory, "/c/game.exe", 7)), "game.exe")
			found, err := m.symbols("player")
			if found != nil || (err != nil) != test.fails {
				t.Errorf("player is %+v, %v", found, err)
			}
		})
	}
}

func TestHostileSymbolTables(t *testing.T) {
	file := newELF().bytes()
	const sections = 64 + 3*56
	tests := []struct {
		name  string
		at    int
		value uint64
		size  int
	}{
		{"sections beyond the file", 40, 1 << 40, 8},
		{"sections of another size", 58, 63, 2},
		{"symbols beyond the file", sections + 64 + 24, 1 << 40, 8},
		{"symbols beyond all files", sections + 64 + 24, 1<<64 - 16, 8},
		{"2^62 bytes of symbols", sections + 64 + 32, 1 << 62, 8},
		{"a part of a symbol", sections + 64 + 32, 25, 8},
		{"names in no section", sections + 64 + 40, 100, 4},
		{"names beyond the file", sections + 3*64 + 24, 1 << 40, 8},
		{"2^63 bytes of names", sections + 3*64 + 32, 1 << 63, 8},
		{"compressed symbols", sections + 64 + 8, 0x800, 8},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hostile := bytes.Clone(file)
			copy(hostile[test.at:test.at+test.size], binary.LittleEndian.AppendUint64(nil, test.value))
			r := io.NewSectionReader(bytes.NewReader(hostile), 0, int64(len(hostile)))
			if _, err := fileSymbols(r, func([]byte, uint64, uint64) {}); err == nil {
				t.Error("no error")
			}
		})
	}
}

// What the dynamic linker sees in memory is what the file has.
func TestDynamicSymbols(t *testing.T) {
	const base = 0x10000
	for _, file := range []*elfFile{newELF(), newELF().narrow()} {
		p := newMemory().mapped(base, file.bytes(), "/lib/a.so", 7) // which no path leads to
		m := only(t, mustModules(t, p), "a.so")
		found, err := m.symbols("Player::hit(int)")
		if want := []Symbol{{"Player::hit(int)", base + 0x20, 0}}; err != nil || !slices.Equal(found, want) {
			t.Errorf("%v: %+v, %v; want %+v", file.class, found, err, want)
		}
		// Where nothing is found, the file may have it.
		if found, err := m.symbols("hidden"); found != nil || !errors.Is(err, unix.ENOENT) {
			t.Errorf("%v: %+v, %v; want ENOENT", file.class, found, err)
		}
	}
}

// loader is a C program that has loaded a library and said where its symbols are.
type loader struct {
	*testtarget.Process
	program, library []namedPlace
}

type namedPlace struct {
	name    string
	address uint64
}

func library(t *testing.T) string {
	return testtarget.BuildC(t, "testdata/library.c", "-shared", "-fPIC", "-Wl,--build-id")
}

func load(t *testing.T, library string, arguments ...string) loader {
	t.Helper()
	testtarget.Need(t, "64-bit tests") // those of 32 bits can't reach what cc makes
	program := testtarget.BuildC(t, "testdata/loader.c", "-fPIE", "-pie", "-ldl")
	l := loader{Process: testtarget.StartProcess(t, exec.Command(program, append([]string{library}, arguments...)...))}
	for line := l.Line(); line != "ready"; line = l.Line() {
		module, rest, _ := strings.Cut(line, " ")
		at := strings.LastIndexByte(rest, ' ')
		p := namedPlace{name: rest[:max(at, 0)]}
		if _, err := fmt.Sscanf(rest[at+1:], "%v", &p.address); err != nil {
			t.Fatalf("the loader says %q: %v", line, err)
		}
		if module == "program" {
			l.program = append(l.program, p)
		} else {
			l.library = append(l.library, p)
		}
	}
	return l
}

// want checks that each symbol is found where the program has it, but for the ones of the
// names that are left out.
func (l loader) want(t *testing.T, m *Module, places []namedPlace, without ...string) {
	t.Helper()
	for _, p := range places {
		if slices.Contains(without, p.name) {
			continue
		}
		found, err := m.symbols(p.name)
		if err != nil || len(found) != 1 || found[0].Address != p.address {
			t.Errorf("%s is %+v, %v; want %#x", p.name, found, err, p.address)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestSymbolsOfALoadedLibrary(t *testing.T) {
	l := load(t, library(t))
	modules := mustModules(t, taskFor(t, l.PID))
	l.want(t, only(t, modules, filepath.Base(library(t))), l.library)
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", l.PID))
	if err != nil {
		t.Fatal(err)
	}
	l.want(t, only(t, modules, program), l.program)
}

// Each way to the file of a library, and none.
func TestSymbolsOfALibraryWithoutAName(t *testing.T) {
	kinds := []struct {
		name, module string
		load         func(t *testing.T) loader
	}{
		{"deleted", "gone.so", func(t *testing.T) loader {
			path := filepath.Join(t.TempDir(), "gone.so")
			copyFile(t, library(t), path)
			l := load(t, path)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			return l
		}},
		{"replaced", "other.so", func(t *testing.T) loader {
			path := filepath.Join(t.TempDir(), "other.so")
			copyFile(t, library(t), path)
			l := load(t, path)
			copyFile(t, "/proc/self/exe", path+".new")
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
			return l
		}},
		{"memfd", "memfd:library", func(t *testing.T) loader { return load(t, library(t), "memfd") }},
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			l := kind.load(t)
			task := taskFor(t, l.PID)
			m := only(t, mustModules(t, task), kind.module)
			l.want(t, m, l.library, "hidden") // by its memory at least
			found, err := find("player", func(visit visitor) error {
				i, err := m.headers()
				if err != nil {
					return err
				}
				return i.dynamicSymbols(memoryFrom(task, m.Base), m.Base, visit)
			})
			if err != nil || len(found) != 1 {
				t.Errorf("player is %+v, %v in memory; want one place", found, err)
			}
			t.Run("by map_files", func(t *testing.T) {
				testtarget.Need(t, "root")
				l.want(t, m, l.library)
			})
		})
	}
}

func TestSeparateDebugFile(t *testing.T) {
	testtarget.Need(t, "nm") // which comes with objcopy
	directory := t.TempDir()
	stripped, debug := filepath.Join(directory, "stripped.so"), filepath.Join(directory, "debug")
	objcopy := func(arguments ...string) {
		t.Helper()
		if out, err := exec.Command("objcopy", arguments...).CombinedOutput(); err != nil {
			t.Fatalf("objcopy: %v\n%s", err, out)
		}
	}
	objcopy("--strip-all", library(t), stripped)
	objcopy("--only-keep-debug", library(t), debug)
	defer func(before string) { debugDirectory = before }(debugDirectory)
	debugDirectory = directory

	l := load(t, stripped)
	m := only(t, mustModules(t, taskFor(t, l.PID)), "stripped.so")
	if found, err := m.symbols("hidden"); err != nil || found != nil {
		t.Errorf("hidden is %+v, %v without a debug file; want nothing", found, err)
	}
	if len(m.BuildID) < 8 {
		t.Fatalf("the build id is %q", m.BuildID)
	}
	l.want(t, m, l.library, "hidden")
	place := filepath.Join(directory, ".build-id", m.BuildID[:2], m.BuildID[2:]+".debug")
	copyFile(t, "/proc/self/exe", place)
	if found, err := m.symbols("hidden"); err != nil || found != nil {
		t.Errorf("hidden is %+v, %v with the debug file of another program; want nothing", found, err)
	}
	copyFile(t, debug, place)
	l.want(t, m, l.library)
}

// The kernel prints the names of files as our own root has them, or as that of the
// process has them where its mounts are not ours.
func TestOtherRoots(t *testing.T) {
	testtarget.Need(t, "root")
	directory := t.TempDir()
	inRoot := filepath.Join(directory, "target")
	copyFile(t, testtarget.Build(t, ""), inRoot)
	mounted := t.TempDir()
	mounts := "mount -t tmpfs tmpfs " + mounted + " && cp " + inRoot + " " + mounted + " && exec " + mounted + "/target"
	tests := []struct {
		name string
		cmd  *exec.Cmd
		data string // a file that the target makes
		by   func(pid int) string
	}{
		{"a root of its own", &exec.Cmd{Path: "/target", SysProcAttr: &syscall.SysProcAttr{Chroot: directory}}, "/data",
			func(int) string { return filepath.Join(directory, "data") }},
		{"mounts of its own", &exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", mounts}, SysProcAttr: &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}},
			filepath.Join(mounted, "data"), func(pid int) string { return fmt.Sprintf("/proc/%d/root%s/data", pid, mounted) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			target := testtarget.StartProcess(t, test.cmd)
			if line, err := target.ReadLine(); line != "ready" {
				testtarget.Lack(t, "root", fmt.Errorf("%q, %w", line, err)) // in a container, it may not mount
			}
			if answer, err := target.Ask("named %x r-- 0", test.data); err != nil || !strings.HasPrefix(answer, "ok") {
				t.Fatal(answer, err)
			}
			modules := mustModules(t, taskFor(t, target.PID))
			if found, err := only(t, modules, "target").symbols("main.main"); err != nil || len(found) != 1 {
				t.Errorf("main.main is %+v, %v; want one place", found, err)
			}
			m := only(t, modules, "/data").first
			m.End++ // map_files has none of it
			file, err := openMapped(target.PID, m)
			if err != nil {
				t.Fatal(err)
			}
			file.Close()
			if want := test.by(target.PID); file.Name() != want {
				t.Errorf("the file is opened as %s; want %s", file.Name(), want)
			}
		})
	}
	t.Run("a debug file", func(t *testing.T) {
		debug := library(t)
		file, err := os.Open(debug)
		if err != nil {
			t.Fatal(err)
		}
		id := sectionBuildID(file)
		file.Close()
		copyFile(t, debug, filepath.Join(directory, debugDirectory, ".build-id", id[:2], id[2:]+".debug"))
		target := testtarget.StartProcess(t, &exec.Cmd{Path: "/target", SysProcAttr: &syscall.SysProcAttr{Chroot: directory}})
		target.Line() // "ready"
		if file, err = openDebug(target.PID, id); err != nil {
			t.Fatal(err)
		}
		file.Close()
	})
}

// A file that took another's name has other symbols.
func TestLookupsKnowTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "game")
	look := func(want int, file []byte) {
		t.Helper()
		if err := os.WriteFile(path+".new", file, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			opened, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			found, whole, err := symbolsIn(opened, "player")
			opened.Close()
			if err != nil || !whole || len(found) != 1 || found[0].Address != uint64(want) {
				t.Errorf("player is %+v, %v, %v; want %#x", found, whole, err, want)
			}
		}
	}
	look(0x10, newELF().bytes())
	other := newELF()
	other.symbols[1].Value = 0x18
	look(0x18, other.bytes())
}

func TestOpenRegular(t *testing.T) {
	directory := t.TempDir()
	pipe := filepath.Join(directory, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, directory, "/dev/null"} {
		if file, err := openRegular(path, func(*unix.Stat_t) bool { return true }); !errors.Is(err, unix.ESTALE) {
			t.Errorf("%s: %v, %v; want ESTALE", path, file, err)
		}
	}
	if _, err := openMapped(os.Getpid(), procmaps.Mapping{Path: "/etc/passwd", Inode: 1, Start: 1, End: 2}); !errors.Is(err, unix.ESTALE) {
		t.Errorf("another inode: %v; want ESTALE", err)
	}
}
