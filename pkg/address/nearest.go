// SPDX-License-Identifier: Apache-2.0

package address

import (
	"cmp"
	"io"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/ianlancetaylor/demangle"
)

// SymbolsAt returns for each address the symbol that it lies in, demangled without its
// parameters: the last that begins at or before it, if that reaches so far or has no size.
// It is a zero Symbol where there is none. The file of the module is read twice, however
// many addresses there are. An error is that of the file, and comes with what was found.
func (m *Module) SymbolsAt(addresses []uint64) ([]Symbol, error) {
	found := make([]Symbol, len(addresses))
	i, err := m.Image()
	if err != nil || m.Kind == Data {
		return found, err
	}
	type extent struct{ start, size uint64 }
	var all []extent
	walkErr := m.visitSymbols(i, func(_ []byte, address, size uint64) {
		if at := address - i.origin; at < m.Size {
			all = append(all, extent{at, size})
		}
	})
	slices.SortFunc(all, func(a, b extent) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.size, b.size)) })
	wanted := map[extent][]int{}
	for n, address := range addresses {
		at := address - m.Base
		last := sort.Search(len(all), func(i int) bool { return all[i].start > at }) - 1
		if last >= 0 && at < m.Size && (all[last].size == 0 || at-all[last].start < all[last].size) {
			wanted[all[last]] = append(wanted[all[last]], n)
		}
	}
	err = m.visitSymbols(i, func(name []byte, address, size uint64) {
		of := extent{address - i.origin, size}
		for _, n := range wanted[of] {
			found[n] = Symbol{Name: plainName(string(name)), Address: m.Base + of.start, Size: size}
		}
		delete(wanted, of) // the first name of several
	})
	if walkErr != nil {
		err = walkErr
	}
	return found, err
}

// visitSymbols visits the symbols of the file, of the debug file if that has more, or of
// what is in memory. Addresses are those of the file.
func (m *Module) visitSymbols(i *Image, visit visitor) error {
	switch {
	case m.Kind == PE:
		return i.exportSymbols(memoryFrom(m.process, m.Base), visit)
	case m.Path == vdsoPath:
		_, err := fileSymbols(io.NewSectionReader(m.process, int64(m.Base), int64(m.Size)), visit)
		return err
	}
	pid := m.process.PID()
	file, err := openMapped(pid, m.first)
	if err != nil {
		return i.dynamicSymbols(memoryFrom(m.process, m.Base), m.Base, visit)
	}
	whole, err := visitFile(file, visit)
	if err != nil || whole || m.BuildID == "" {
		return err
	}
	if debug, debugErr := openDebug(pid, m.BuildID); debugErr == nil {
		_, err = visitFile(debug, visit)
	}
	return err
}

// visitFile visits the symbols of an ELF file, closes it, and reports whether it has a
// .symtab.
func visitFile(file *os.File, visit visitor) (whole bool, err error) {
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	return fileSymbols(io.NewSectionReader(file, 0, info.Size()), visit)
}

// plainName returns the name of a function as its author wrote it.
func plainName(raw string) string {
	if len(raw) <= maxMangled && strings.Count(raw, "cv") <= maxConversions {
		if name := demangledName(raw, demangle.NoParams); name != "" {
			return name
		}
	}
	return raw
}
