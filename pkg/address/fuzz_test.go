// SPDX-License-Identifier: Apache-2.0

package address

import (
	"bytes"
	"io"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget/peimage"
)

// FuzzELF and FuzzPE take bytes as the memory of a process, in which the front of a file
// is mapped, and look for modules and symbols in them.
func FuzzELF(f *testing.F) {
	for _, seed := range elfSeeds() {
		f.Add(seed)
		for _, at := range []int{4, 5, 16, 32, 54, 56, 64 + 8, 64 + 16, 64 + 40} {
			hostile := bytes.Clone(seed)
			hostile[at] ^= 0xff
			f.Add(hostile)
		}
	}
	f.Fuzz(func(t *testing.T, memory []byte) {
		fuzzImage(t, newMemory().mapped(fuzzBase, memory, "/game", 7), len(memory))
	})
}

func FuzzPE(f *testing.F) {
	for _, bits := range []int{32, 64} {
		f.Add(loadedPE(peimage.Build(bits)))
	}
	f.Fuzz(func(t *testing.T, memory []byte) {
		fuzzImage(t, newMemory().wine(fuzzBase, memory, "/game", 7), len(memory))
	})
}

// elfSeeds are small, so that they are changed often.
func elfSeeds() [][]byte { return [][]byte{newELF().bytes(), newELF().narrow().bytes()} }

// fuzzBase is where the memory begins.
const fuzzBase = 0x5000_0000

func fuzzImage(t *testing.T, p *memoryProcess, size int) {
	if size == 0 {
		return
	}
	p.mapped(fuzzBase+1<<30, []byte("other"), "/other", 8)
	modules, err := modulesOf(p)
	if err != nil || len(modules) != 2 {
		t.Fatalf("%d modules, %v; want 2", len(modules), err)
	}
	m := modules[0]
	if m.Base != fuzzBase || m.Size == 0 || m.Size > 1<<30 || m.Base+m.Size > modules[1].Base {
		t.Errorf("%#x bytes at %#x, before a module at %#x", m.Size, m.Base, modules[1].Base)
	}
	for _, name := range []string{"player", "Player::hit", "f(int)"} {
		symbols, _ := m.symbols(name)
		for _, s := range symbols {
			if !m.Contains(s.Address) {
				t.Errorf("%v lies outside of the module", s)
			}
		}
	}
}

// FuzzSymbols takes bytes as a file with symbols.
func FuzzSymbols(f *testing.F) {
	for _, seed := range elfSeeds() {
		f.Add(seed, "player")
		f.Add(seed, "Player::hit")
		f.Add(seed, "Player::hit(int)")
	}
	f.Fuzz(func(t *testing.T, file []byte, name string) {
		r := io.NewSectionReader(bytes.NewReader(file), 0, int64(len(file)))
		found, err := find(name, func(visit visitor) error {
			_, err := fileSymbols(r, visit)
			return err
		})
		if err == nil && len(found) > maxFound {
			t.Errorf("%d symbols", len(found))
		}
		sectionBuildID(r)
	})
}

// FuzzDemangle takes what may be in a table of symbols.
func FuzzDemangle(f *testing.F) {
	f.Add("_ZN6Player3hitEi", "Player::hit(int)")
	f.Add("_RNvC6_123foo3bar", "123foo::bar")
	f.Fuzz(func(t *testing.T, raw, name string) {
		if len(raw) <= maxMangled {
			_ = demangledName(raw)
		}
		_, err := find(name, func(visit visitor) error {
			visit([]byte(raw), 1, 1)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
