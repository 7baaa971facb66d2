// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       uint64
		size       int
	}{
		{"a constant", "0x1234+2", 0x1236, 8},
		{"a module", "game", gameBase, 8},
		{"a module's offset", "game+0x40", gameBase + 0x40, 8},
		{"a module in a path", "/opt/game-8", gameBase - 8, 8},
		{"a symbol", "game!player+4", gameBase + 0x44, 8},
		{"two symbols at one address", "game!alias", gameBase + 8, 8},
		{"a symbol with a quoted name", `game!"a name(int)"`, gameBase + 0x30, 8},
		{"a symbol of the program comes first", "!player", gameBase + 0x40, 8},
		{"even if another module has it elsewhere", "!alias", gameBase + 8, 8},
		{"a symbol that one other module has", "!only", 0x7f10_0000_0123, 8},
		{"such a symbol has the pointers of its module", "!winner", winBase + 0x40, 4},
		{"the program", "@exe+1", gameBase + 1, 8},
		{"a symbol of the program", "@exe!player", gameBase + 0x40, 8},
		{"the start of the heap", "@heap", heapBase, 8},
		{"the end of the stack", "@stack-8", stackEnd - 8, 8},
		{"the vdso", "@vdso", vdsoBase, 8},
		{"a symbol of the vdso", "@vdso!time", vdsoBase + 0x20, 8},
		{"the twin that is mapped to be run", "read.so", 0x7f50_0000_0000, 8},
		{"a twin by the end of its path", "b/twin.so", 0x7f30_0000_0000, 8},
		{"data has the pointers of the program", "save.dat", 0x200_0000, 8},

		{"a pointer", "[game+0x40]", objectBase, 8},
		{"a chain", "game+0x40,8,4", objectBase + 0x104, 8},
		{"a negative offset", "game+0x40,8,-4", objectBase + 0xfc, 8},
		{"a pointer from nowhere", fmt.Sprintf("[%#x]", uint64(gameBase+0x40)), objectBase, 8},
		{"a product of a pointer", "[game!player]*2-game", 2*objectBase - gameBase, 8},
		{"everything at once", "[[game!player]+(8-4)*2]-[@exe+0x40]", 0x100, 8},
		{"a wrap", "game-1-0xffffffffffffffff", gameBase, 8},

		{"a chain of 32 bits", "win.exe+0x40,8,4", lowBase + 0x104, 4},
		{"a module of Windows in another case", "WIN.EXE!player->8", lowBase + 8, 4},
		{"32 bits wrap", "win.exe+0x40,0xc", lowBase + 0xc, 4},
		{"a pointer of 32 bits wraps", "[win.exe!player->0xc]+0x20", 0x10, 4},
		{"and does so below 0", "[win.exe!player]-0x1000001", 0xffff_ffff, 4},
		{"a wrap in the middle", "[[win.exe!player->0xc]+0x400050]", lowBase, 4},
		{"a product of 32 bits", "[win.exe!player->0xc]*2", 0xffff_ffe0, 4},
		{"the first module in the brackets decides", "[win.exe-win.exe+game+0x40]", objectBase & 0xffff_ffff, 4},
		{"whatever was read before it", "[[game+0x40]-[game+0x40]+win.exe+0x40]", 0xaaaaaaaa_00000000 + lowBase, 8},
		{"a pointer of 32 bits as an index", "[win.exe!player->8]-0x1000100+game", gameBase, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newFake(t)
			found, err := p.resolver().Resolve(mustParse(t, c.text))
			if err != nil || found.Address != c.want || found.PointerSize != c.size {
				t.Errorf("%s = %#x with pointers of %d bytes, %v; want %#x, %d", c.text, found.Address, found.PointerSize, err, c.want, c.size)
			}
		})
	}
}

func TestProgramOf32Bits(t *testing.T) {
	p := newFake(t)
	for _, m := range p.modules {
		if m.Kind == ELF {
			m.PointerSize = 4
		}
	}
	r := p.resolver()
	for text, want := range map[string]uint64{
		fmt.Sprintf("[%#x]", winBase+0x40): lowBase,
		"[save.dat-0x1bfffc0]":             lowBase,
		"[@heap]-1":                        0xffff_ffff,
		"0x100000000+1":                    0x1_0000_0001, // no pointer, no place
	} {
		found, err := r.Resolve(mustParse(t, text))
		if err != nil || found.Address != want || found.PointerSize != 4 {
			t.Errorf("%s = %#x with pointers of %d bytes, %v; want %#x, 4", text, found.Address, found.PointerSize, err, want)
		}
	}
}

// A 64-bit process has mapped a 32-bit module above 4 GiB, as to show its icons. What has
// the same lower half of its address is not meant.
func TestModuleOf32BitsIn64BitAddresses(t *testing.T) {
	const base = 0x7f00_0040_0000
	p := newFake(t)
	p.modules = append(p.modules, &Module{Name: "icons.exe", Path: "/wine/icons.exe", Kind: PE, Base: base, Size: 0x1000, PointerSize: 4})
	found, err := p.resolver().Resolve(mustParse(t, "icons.exe+0x40"))
	if err != nil || found.Address != base+0x40 || found.PointerSize != 4 {
		t.Errorf("%#x with pointers of %d bytes, %v; want %#x, 4", found.Address, found.PointerSize, err, uint64(base+0x40))
	}
}

func TestResolutionShowsItsSteps(t *testing.T) {
	got, err := newFake(t).resolver().Resolve(mustParse(t, " game + 0x40 -> 8, @stack*0+4"))
	want := Resolution{
		Address: objectBase + 0x104, PointerSize: 8,
		Places: []Place{{"game", gameBase}, {"@stack", stackEnd}},
		Links: []Link{
			{"[game+0x40]", gameBase + 0x40, objectBase, 8},
			{"[[game+0x40]+0x8]", objectBase + 8, objectBase + 0x100, 8},
		},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestChainErrors(t *testing.T) {
	for _, c := range []struct {
		name, text string
		change     func(p *fakeProcess)
		want       ChainError
		message    string
	}{
		{
			"the first pointer is not mapped", "game+0x2000,8", nil,
			ChainError{Link: 0, Text: "[game+0x2000]", Address: gameBase + 0x2000},
			"[game+0x2000]+0x8 breaks at pointer 1, [game+0x2000]: nothing is mapped at 0x560000002000",
		},
		{
			"the second is null", "game+0x48,8,4", func(p *fakeProcess) { p.mappings = p.mappings[1:] },
			ChainError{Link: 1, Text: "[[game+0x48]+0x8]", Address: 8, Read: []Link{{"[game+0x48]", gameBase + 0x48, 0, 8}}},
			"[[game+0x48]+0x8]+0x4 breaks at pointer 2, [[game+0x48]+0x8]: nothing is mapped at 0x8; the pointer before it, [game+0x48] at 0x560000000048, is 0x0",
		},
		{
			"the second is protected", "game+0x48,8,4", nil,
			ChainError{Link: 1, Text: "[[game+0x48]+0x8]", Address: 8, Read: []Link{{"[game+0x48]", gameBase + 0x48, 0, 8}}},
			`[[game+0x48]+0x8]+0x4 breaks at pointer 2, [[game+0x48]+0x8]: 0x8 cannot be read, it is --xp /low\x1b; the pointer before it, [game+0x48] at 0x560000000048, is 0x0`,
		},
		{
			"the second is mapped, but cannot be read", "[[game+0x40]]", func(p *fakeProcess) { delete(p.memory, objectBase) },
			ChainError{Link: 1, Text: "[[game+0x40]]", Address: objectBase, Read: []Link{{"[game+0x40]", gameBase + 0x40, objectBase, 8}}},
			"[[game+0x40]] breaks at pointer 2, [[game+0x40]]: 0x7f0000000000 cannot be read: refused by the fake; " +
				"the pointer before it, [game+0x40] at 0x560000000040, is 0x7f0000000000",
		},
		{
			"the third of 32 bits", "win.exe+0x40,0xc,0x8,4", nil,
			ChainError{
				Link: 2, Text: "[[[win.exe+0x40]+0xc]+0x8]", Address: 0xffff_fff8,
				Read: []Link{{"[win.exe+0x40]", winBase + 0x40, lowBase, 4}, {"[[win.exe+0x40]+0xc]", lowBase + 0xc, 0xffff_fff0, 4}},
			},
			"[[[win.exe+0x40]+0xc]+0x8]+0x4 breaks at pointer 3, [[[win.exe+0x40]+0xc]+0x8]: nothing is mapped at 0xfffffff8; " +
				"the pointer before it, [[win.exe+0x40]+0xc] at 0x100000c, is 0xfffffff0",
		},
		{
			"a pointer that crosses the end of what is mapped", "[game+0xffc]", nil,
			ChainError{Link: 0, Text: "[game+0xffc]", Address: gameBase + 0xffc},
			"[game+0xffc] breaks at pointer 1, [game+0xffc]: 0x560000000ffc cannot be read: refused by the fake",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newFake(t)
			if c.change != nil {
				c.change(p)
			}
			e := mustParse(t, c.text)
			_, err := p.resolver().Resolve(e)
			got, ok := errors.AsType[*ChainError](err)
			if !ok {
				t.Fatalf("%s: %v; want a ChainError", e, err)
			}
			c.want.Expr, c.want.Err = e.String(), errRefused
			_, c.want.Mapping, _ = walk(p, c.want.Address)
			if len(got.Read) == 0 {
				got.Read = nil
			}
			if !reflect.DeepEqual(*got, c.want) {
				t.Errorf("%+v; want %+v", *got, c.want)
			}
			if err.Error() != c.message {
				t.Errorf("%v; want\n%s", err, c.message)
			}
			if !errors.Is(err, errRefused) {
				t.Error("the error of the process is lost")
			}
		})
	}
}

func TestPlaceErrors(t *testing.T) {
	for _, c := range []struct {
		name, text, message string
		change              func(p *fakeProcess)
	}{
		{"no such module", "gmae+8", `no module is called "gmae"; did you mean game?`, nil},
		{"nothing like it", "xyzzy", `no module is called "xyzzy"`, nil},
		{"hexadecimal digits", "ADD+8", `no module is called "ADD"; did you mean 0xADD?`, nil},
		{"the front of a name with a minus", "libc-0x10", `no module is called "libc"; did you mean "libc-2.31.so"? (` + whichAreQuoted + ")", nil},
		{"a wrong folder", "/usr/game", `no module is called "/usr/game"; did you mean game?`, nil},
		{"another case", "Game", `no module is called "Game"; did you mean game?`, nil},
		{"several near ones", "win.xe", `no module is called "win.xe"; did you mean win.exe or win.xxe?`,
			func(p *fakeProcess) { p.modules[4].Name = "win.xxe" }},
		{"two of a name", "twin.so", `2 modules are called "twin.so": 0x7f2000000000 /a/twin.so, 0x7f3000000000 /b/twin\x1b.so; ` +
			"name one by the end of its path, by its build id or by its address", func(p *fakeProcess) { p.modules[5].Path = "/b/twin\x1b.so" }},
		{"many of a name", "m", `12 modules are called "m": 0x0 m, 0x0 m, 0x0 m, 0x0 m, 0x0 m, 0x0 m, 0x0 m, 0x0 m, 0x0 m, 0x0 m and 2 more; ` +
			"name one by the end of its path, by its build id or by its address", func(p *fakeProcess) {
			for range 12 {
				p.modules = append(p.modules, &Module{Name: "m", Path: "m"})
			}
		}},
		{"no heap", "@heap", "@heap: the process has no heap of brk(2)", func(p *fakeProcess) { p.mappings = nil }},
		{"no stack", "@stack", "@stack: the stack of the first thread is not mapped", func(p *fakeProcess) { p.mappings = nil }},
		{"a file called like the heap", "@heap", "@heap: the process has no heap of brk(2)", func(p *fakeProcess) {
			for i := range p.mappings {
				p.mappings[i].Inode = 1
			}
		}},
		{"no vdso", "@vdso!time", "@vdso: the process has no vdso", func(p *fakeProcess) { p.modules = p.modules[:3] }},
		{"no program", "@exe", "@exe: the program that the process runs is not mapped", func(p *fakeProcess) { p.modules = p.modules[:2] }},

		{"no such symbol", "game!playr", `no symbol of game is called "playr"`, nil},
		{"no such symbol at all", "!playr", `no symbol of any module is called "playr"`, nil},
		{"two symbols of a name", "game!static", `2 symbols are called "static": game+0x8, game+0x10`, nil},
		{"two symbols of a name of the program", "!static", `2 symbols are called "static": game+0x8, game+0x10`, nil},
		{"a symbol of two modules", "!winner", `2 symbols are called "winner": win.exe+0x40, "libc-2.31.so"+0x1`, func(p *fakeProcess) {
			p.symbols["libc-2.31.so!winner"] = []Symbol{{Address: 0x7f10_0000_0001}}
		}},
		{"many symbols of a name", "game!m", `12 symbols are called "m": game+0x0, game+0x1, game+0x2, game+0x3, game+0x4, game+0x5, game+0x6, game+0x7, game+0x8, game+0x9 and 2 more`,
			func(p *fakeProcess) {
				for i := range uint64(12) {
					p.symbols["game!m"] = append(p.symbols["game!m"], Symbol{Address: gameBase + i})
				}
			}},
		{"symbols that cannot be read", "game!player", `no symbol "player" was found in game: refused by the fake`, func(p *fakeProcess) { p.unread["game"] = errRefused }},
		{"a program whose symbols cannot be read", "!winner", `no symbol "winner" was found in game: refused by the fake`, func(p *fakeProcess) { p.unread["game"] = errRefused }},
		{"a module whose symbols cannot be read, where none has it", "!playr", `no symbol "playr" was found in any module: twin.so: refused by the fake`, func(p *fakeProcess) { p.unread["twin.so"] = errRefused }},
		{"the module of a symbol", "gmae!player", `no module is called "gmae"; did you mean game?`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newFake(t)
			if c.change != nil {
				c.change(p)
			}
			_, err := p.resolver().Resolve(mustParse(t, c.text))
			if err == nil || err.Error() != c.message {
				t.Fatalf("%v; want\n%s", err, c.message)
			}
			_, isModule := errors.AsType[*ModuleError](err)
			_, isSymbol := errors.AsType[*SymbolError](err)
			if isModule == isSymbol || isSymbol != strings.Contains(c.message, "symbol") {
				t.Errorf("%T", err)
			}
			if strings.Contains(c.message, "refused") && !errors.Is(err, errRefused) {
				t.Error("the error of the symbols is lost")
			}
		})
	}
}

func TestSymbolsThatAreReadNeedNoOthers(t *testing.T) {
	p := newFake(t)
	p.unread["twin.so"] = errRefused
	found, err := p.resolver().Resolve(mustParse(t, "!only"))
	if err != nil || found.Address != 0x7f10_0000_0123 {
		t.Errorf("!only = %#x, %v", found.Address, err)
	}
}

// The whole last part of a path is more of a name than the front of a build id.
func TestNamesPrecedeBuildIDs(t *testing.T) {
	p := newFake(t)
	p.modules[3].BuildID = "beefcafe"
	r := p.resolver()
	e := mustParse(t, "beef")
	if found, err := r.Resolve(e); err != nil || found.Address != 0x7f10_0000_0000 {
		t.Errorf("by the build id: %#x, %v", found.Address, err)
	}
	p.modules[4].Name, p.modules[4].Path = "beef", "/a/beef"
	r.Refresh()
	if found, err := r.Resolve(e); err != nil || found.Address != 0x7f20_0000_0000 {
		t.Errorf("by the name: %#x, %v", found.Address, err)
	}
}

// The process has mapped another file over a page of a module, before its code.
func TestModuleThatIsCut(t *testing.T) {
	p := newFake(t)
	const base = 0x7f00_0040_0000
	p.modules = append(p.modules,
		&Module{Name: "cut.so", Path: "/lib/cut.so", Kind: ELF, Base: base, Size: 0x1000, PointerSize: 8},
		&Module{Name: "cut.so", Path: "/lib/cut.so", Kind: Data, Base: base + 0x2000, Size: 0x1000, Executable: true})
	if found, err := p.resolver().Resolve(mustParse(t, "cut.so+0x10")); err != nil || found.Address != base+0x10 {
		t.Errorf("%#x, %v; want %#x", found.Address, err, uint64(base+0x10))
	}
}

func TestResolveAgain(t *testing.T) {
	p := newFake(t)
	r := p.resolver()
	e := mustParse(t, "game!player->8,@heap*0+@stack*0")
	want, err := r.Resolve(e)
	if err != nil {
		t.Fatal(err)
	}
	p.walks.Store(0)
	reads, asked := p.reads.Load(), p.asked.Load()
	p.set(objectBase+8, objectBase+0x200, 8)
	got, err := r.Resolve(e)
	if err != nil || got.Address != want.Address+0x100 {
		t.Errorf("%#x, %v; want %#x", got.Address, err, want.Address+0x100)
	}
	if p.walks.Load() != 0 || p.asked.Load() != asked || p.reads.Load()-reads != 2 {
		t.Errorf("%d walks, %d looks for symbols and %d reads; want 0, 0 and 2", p.walks.Load(), p.asked.Load()-asked, p.reads.Load()-reads)
	}
	if _, err := r.Modules(); err != nil || p.listed.Load() != 1 {
		t.Errorf("the modules are looked at %d times, %v; want once", p.listed.Load(), err)
	}
	r.Refresh()
	if p.listed.Load() != 1 {
		t.Error("Refresh looks at the modules")
	}
	if _, err := r.Modules(); err != nil || p.listed.Load() != 2 {
		t.Errorf("after Refresh the modules are looked at %d times, %v; want 2", p.listed.Load(), err)
	}
}

// What is known of the modules may be why an expression fails.
func TestStaleModulesAreLookedAtAgain(t *testing.T) {
	for name, text := range map[string]string{
		"a module has moved":          "game+0x40,8",
		"a module has come":           "new.so+0x40,8",
		"a symbol has come":           "!newest,8",
		"a module is not there twice": "twin.so+0x40,8",
		"the heap has come":           "@heap+0x40,8",
	} {
		t.Run(name, func(t *testing.T) {
			p := newFake(t)
			r := p.resolver()
			for i := range p.mappings {
				if p.mappings[i].Path == "[heap]" {
					p.mappings[i].Path = ""
				}
			}
			if _, err := r.Modules(); err != nil {
				t.Fatal(err)
			}
			const moved = 0x6000_0000_0000
			p.add(moved-0x1000, procmaps.Read, "/new", 0x1000)
			p.add(moved, procmaps.Read, "[heap]", 0x1000)
			p.set(moved+0x40, objectBase, 8)
			delete(p.memory, gameBase)
			p.modules[2] = &Module{Name: "game", Path: "/opt/game", Kind: ELF, Base: moved, Size: 0x1000, PointerSize: 8}
			p.modules[4] = &Module{Name: "new.so", Path: "/new.so", Kind: ELF, Base: moved, Size: 0x1000, PointerSize: 8}
			p.modules[5] = &Module{Name: "twin.so", Path: "/b/twin.so", Kind: ELF, Base: moved, Size: 0x1000, PointerSize: 8}
			p.symbols["new.so!newest"] = []Symbol{{Address: moved + 0x40}}
			found, err := r.Resolve(mustParse(t, text))
			if err != nil || found.Address != objectBase+8 {
				t.Errorf("%s = %#x, %v; want %#x", text, found.Address, err, uint64(objectBase+8))
			}
			// It is the new list that is kept.
			p.walks.Store(0)
			if found, err = r.Resolve(mustParse(t, text)); err != nil || found.Address != objectBase+8 || p.walks.Load() != 0 {
				t.Errorf("again: %#x after %d walks, %v; want 0 walks", found.Address, p.walks.Load(), err)
			}
		})
	}
}

// A chain that is broken is tried again all the time, and so is a name that is missing.
func TestFailuresLookAtModulesOnlyWhenOtherFilesAreMapped(t *testing.T) {
	for _, text := range []string{"[game+0x2000]", "gmae", "game!playr", "[0x10]"} {
		t.Run(text, func(t *testing.T) {
			p := newFake(t)
			r := p.resolver()
			e := mustParse(t, text)
			for _, step := range []struct {
				name   string
				change func()
				want   int32
			}{
				{"the first time", func() {}, 1},
				{"nothing has changed", func() {}, 1},
				{"memory of no file has come", func() { p.add(0x6000_0000_0000, procmaps.Read, "", 0x1000) }, 1},
				{"a file has come", func() { p.add(0x6000_0000_1000, procmaps.Read, "/new", 0x1000) }, 2},
				{"nothing has changed since", func() {}, 2},
				{"the heap has gone", func() {
					p.mappings = slices.DeleteFunc(p.mappings, func(m procmaps.Mapping) bool { return m.Path == "[heap]" })
				}, 2},
				{"a file has gone", func() {
					p.mappings = slices.DeleteFunc(p.mappings, func(m procmaps.Mapping) bool { return m.Path == "/new" })
				}, 3},
			} {
				step.change()
				if _, err := r.Resolve(e); err == nil || p.listed.Load() != step.want {
					t.Errorf("%s: %v, and the modules were looked at %d times; want %d", step.name, err, p.listed.Load(), step.want)
				}
			}
		})
	}
}

func TestResolveInAProcessThatIsGone(t *testing.T) {
	p := newFake(t)
	r := p.resolver()
	chain := mustParse(t, "[game+0x40]")
	if _, err := r.Resolve(chain); err != nil {
		t.Fatal(err)
	}
	p.gone = errors.New("it is gone")
	for _, text := range []string{"[game+0x40]", "[0x10]", "gmae"} {
		if _, err := r.Resolve(mustParse(t, text)); !errors.Is(err, p.gone) || strings.Contains(err.Error(), "nothing is mapped") {
			t.Errorf("%s: %v; want that it is gone", text, err)
		}
	}
	r.Refresh()
	if _, err := r.Modules(); !errors.Is(err, p.gone) {
		t.Errorf("Modules: %v", err)
	}
	if m, _, ok := r.Locate(gameBase); ok {
		t.Errorf("Locate finds %v", m)
	}
}

func TestLocate(t *testing.T) {
	p := newFake(t)
	r := p.resolver()
	if _, err := r.Modules(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		address uint64
		module  string
		offset  uint64
	}{
		{0, "", 0},
		{winBase - 1, "", 0},
		{winBase, "win.exe", 0},
		{winBase + 0xfff, "win.exe", 0xfff},
		{winBase + 0x1000, "", 0},
		{gameBase + 0x40, "game", 0x40},
		{vdsoBase + 1, "[vdso]", 1},
		{1<<64 - 1, "", 0},
	} {
		m, offset, ok := r.Locate(c.address)
		if ok != (c.module != "") || ok && (m.Name != c.module || offset != c.offset) {
			t.Errorf("Locate(%#x) = %+v, %#x, %v; want %s+%#x", c.address, m, offset, ok, c.module, c.offset)
		}
	}
	if p.listed.Load() != 1 {
		t.Errorf("the modules are looked at %d times; want once", p.listed.Load())
	}
}

func TestModulesAreTheCallers(t *testing.T) {
	r := newFake(t).resolver()
	modules, err := r.Modules()
	if err != nil {
		t.Fatal(err)
	}
	clear(modules)
	if found, err := r.Resolve(mustParse(t, "game")); err != nil || found.Address != gameBase {
		t.Errorf("%#x, %v", found.Address, err)
	}
}

// A comma, an arrow and brackets are the same, at every depth.
func TestChainsEqualBrackets(t *testing.T) {
	p := newFake(t)
	p.set(objectBase, objectBase, 8) // a pointer to itself, for chains of any length
	p.set(lowBase, lowBase, 4)
	r := p.resolver()
	for _, module := range []string{"game", "win.exe"} {
		comma, arrow, brackets := module+"!player", module+"!player", module+"!player"
		for depth := range 60 {
			offset := []string{"0", "8-8", "2*0", "-0"}[depth%4]
			comma += "," + offset
			arrow += " -> " + offset
			brackets = "[" + brackets + "]+" + offset
			if offset[0] == '-' {
				brackets = strings.Replace(brackets, "+-", "-", 1)
			}
			want, err := r.Resolve(mustParse(t, brackets))
			if err != nil || len(want.Links) != depth+1 {
				t.Fatalf("%s: %v", brackets, err)
			}
			for _, text := range []string{comma, arrow} {
				if got, err := r.Resolve(mustParse(t, text)); err != nil || !reflect.DeepEqual(got, want) {
					t.Fatalf("%s: %+v, %v; %s: %+v", text, got, err, brackets, want)
				}
			}
		}
	}
}

func TestManyGoroutinesResolve(t *testing.T) {
	p := newFake(t)
	r := p.resolver()
	chain := mustParse(t, "game!player->8,4")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for round := range 200 {
				if i == 0 && round%10 == 0 {
					r.Refresh()
				}
				if found, err := r.Resolve(chain); err != nil || found.Address != objectBase+0x104 {
					t.Errorf("%#x, %v", found.Address, err)
				}
				// Names that were never asked for, and one that is missing.
				if _, err := r.Resolve(mustParse(t, fmt.Sprintf("missing%d", round%3))); err == nil {
					t.Error("a module is there that is not")
				}
				if m, _, ok := r.Locate(winBase); !ok || m.Name != "win.exe" {
					t.Errorf("Locate = %v", m)
				}
			}
		})
	}
	all.Wait()
}

func TestPlacesAreBounded(t *testing.T) {
	p := newFake(t)
	r := p.resolver()
	for i := range 2*maxPlaces + 10 {
		p.symbols["game!s"+fmt.Sprint(i)] = []Symbol{{Address: uint64(i)}}
		if found, err := r.Resolve(mustParse(t, fmt.Sprintf("game!s%d", i))); err != nil || found.Address != uint64(i) {
			t.Fatalf("game!s%d = %#x, %v", i, found.Address, err)
		}
	}
	if n := len(r.known.places); n > maxPlaces {
		t.Errorf("%d places are kept", n)
	}
}

// FuzzResolve checks that what parses resolves or fails, by the bytes of a process that
// nobody vouches for, and that its canonical form does the same.
func FuzzResolve(f *testing.F) {
	for _, seed := range []string{
		"game!player->8,4", "[win.exe+0x40]*2-1", "@exe+@stack-@vdso*[@heap]", "twin.so,!both", "[[game+0x40]+[win.exe+0x44]]", "[-8]", "[game+0xffc]",
	} {
		f.Add(seed, []byte("\x00\x01\x00\x00\x00\x7f\x00\x00"))
	}
	f.Fuzz(func(t *testing.T, text string, memory []byte) {
		e, err := Parse(text)
		if err != nil {
			return
		}
		p := newFake(t)
		for _, b := range p.memory {
			copy(b[8:], memory)
		}
		found, err := p.resolver().Resolve(e)
		again, errAgain := p.resolver().Resolve(mustParse(t, e.String()))
		if !reflect.DeepEqual(found, again) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Errorf("%q is %+v, %v, but %s is %+v, %v", text, found, err, e, again, errAgain)
		}
		if err == nil && found.PointerSize != 4 && found.PointerSize != 8 {
			t.Errorf("%q has pointers of %d bytes", text, found.PointerSize)
		}
		if strings.ContainsAny(fmt.Sprint(err), "\x00\x1b\r\n") {
			t.Errorf("%q acts on a terminal", err)
		}
	})
}
