// SPDX-License-Identifier: Apache-2.0

package address

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/ianlancetaylor/demangle"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// Symbol is a place in a [Module] that has a name.
type Symbol struct {
	Name    string // demangled, with its parameters, where it was not looked for by its raw name
	Address uint64 // in the process
	Size    uint64 // in bytes; 0 where it is not known
}

// symbols returns the symbols of a name: as it is in the file, demangled, or demangled
// without parameters. Those of the whole name come alone if there are any, and those of
// whole functions before the parts that a compiler has split off. Each address is there
// once, of at most 100. What is not a place in the module is left out: a symbol of a
// thread, an absolute or undefined one, an export that another library has.
func (m *Module) symbols(name string) ([]Symbol, error) {
	if m.Kind == Data {
		return nil, nil
	}
	var found []Symbol
	var origin uint64 // of the addresses that were found
	i, err := m.headers()
	switch {
	case err != nil:
	case m.Kind == PE:
		found, err = m.exports(i, name)
	default:
		origin = i.origin
		found, err = m.elfSymbols(i, name)
	}
	var places []Symbol
	for _, s := range found {
		at := s.Address - origin
		s.Address = m.Base + at
		if at < m.Size && !slices.ContainsFunc(places, func(p Symbol) bool { return p.Address == s.Address }) {
			places = append(places, s)
		}
	}
	if err != nil && len(places) == 0 {
		return nil, fmt.Errorf("symbols of %s: %w", procmaps.Printable(m.Path), err)
	}
	places = preferred(places, func(s Symbol) bool { return s.Name == name })
	return preferred(places, func(s Symbol) bool { return !strings.Contains(s.Name, "[clone ") }), nil
}

// preferred returns those that are better than the others, if there are any, or else all.
func preferred(all []Symbol, better func(Symbol) bool) (some []Symbol) {
	for _, s := range all {
		if better(s) {
			some = append(some, s)
		}
	}
	if len(some) == 0 {
		return all
	}
	return some
}

// exports looks for a name among the exports of a PE image, in memory and, where they
// cannot be read there, in the file.
func (m *Module) exports(i *Image, name string) ([]Symbol, error) {
	found, err := find(name, func(visit visitor) error {
		return i.exportSymbols(memoryFrom(m.process, m.Base), visit)
	})
	if err == nil {
		return found, nil
	}
	file, fileErr := m.Open()
	if fileErr != nil {
		return nil, fmt.Errorf("%w; %w", err, fileErr)
	}
	defer file.Close()
	return find(name, func(visit visitor) error { return i.exportSymbols(fileImage{i, file}, visit) })
}

// elfSymbols looks for a name in the file, in the debug file if the first has no .symtab,
// and in memory if the first cannot be opened. Addresses are those of the file.
func (m *Module) elfSymbols(i *Image, name string) (found []Symbol, err error) {
	if m.Path == vdsoPath { // all of the file is in memory, as it is
		file := io.NewSectionReader(m.process, int64(m.Base), int64(m.Size))
		return find(name, func(visit visitor) error {
			_, err := fileSymbols(file, visit)
			return err
		})
	}
	pid := m.process.PID()
	var whole bool
	file, err := openMapped(pid, m.first)
	if err == nil {
		found, whole, err = symbolsIn(file, name)
		file.Close()
	} else {
		inMemory, memoryErr := find(name, func(visit visitor) error {
			return i.dynamicSymbols(memoryFrom(m.process, m.Base), m.Base, visit)
		})
		found = inMemory
		if memoryErr != nil {
			err = fmt.Errorf("%w; %w", err, memoryErr)
		}
	}
	if whole || m.BuildID == "" {
		return found, err
	}
	if debug, debugErr := openDebug(pid, m.BuildID); debugErr == nil {
		more, _, debugErr := symbolsIn(debug, name)
		debug.Close()
		found, err = append(slices.Clip(found), more...), debugErr
	}
	return found, err
}

// lookup is the search for a name in a file, which is known by what changes with it.
// Two files may have one build id: whoever makes a file chooses it.
type lookup struct {
	name             string
	device, inode    uint64
	size             int64
	modified, status unix.Timespec
}

type lookedUp struct {
	symbols []Symbol // addresses are those of the file
	whole   bool     // it has a .symtab
}

// lookups has the last ones of all processes, so that a program that is started again
// has its symbols at once.
var lookups = struct {
	sync.Mutex
	done map[lookup]lookedUp
}{done: map[lookup]lookedUp{}}

const maxLookups = 128

// symbolsIn looks for a name in an ELF file, and reports whether it has a .symtab.
func symbolsIn(file *os.File, name string) (found []Symbol, whole bool, err error) {
	var status unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &status); err != nil {
		return nil, false, err
	}
	key := lookup{name, status.Dev, status.Ino, status.Size, status.Mtim, status.Ctim}
	lookups.Lock()
	known, ok := lookups.done[key]
	lookups.Unlock()
	if ok {
		return known.symbols, known.whole, nil
	}
	r := io.NewSectionReader(file, 0, status.Size)
	found, err = find(name, func(visit visitor) (err error) {
		whole, err = fileSymbols(r, visit)
		return err
	})
	if err == nil {
		lookups.Lock()
		if len(lookups.done) >= maxLookups {
			clear(lookups.done)
		}
		lookups.done[key] = lookedUp{slices.Clip(found), whole}
		lookups.Unlock()
	}
	return found, whole, err
}

const (
	maxFound     = 100     // nobody looks through more places of a name
	maxMangled   = 1 << 10 // bytes of a name that is demangled
	maxDemangled = 1 << 17 // names that are demangled for one lookup
	// maxConversions bounds operators of conversion in a mangled name: where they are
	// inside each other, the demangler takes twice as long for each.
	maxConversions = 4
	// maxLookup bounds the time between the first name of a lookup and the last.
	maxLookup = 10 * time.Second
)

// find returns the symbols of a name among those that walk visits. Demangling takes its
// time, so it is done only if no raw name is the wanted one, and only to names that have
// an identifier of the wanted one in them.
func find(name string, walk func(visitor) error) (found []Symbol, err error) {
	add := func(name string, address, size uint64) {
		if len(found) < maxFound && !slices.ContainsFunc(found, func(s Symbol) bool { return s.Address == address }) {
			found = append(found, Symbol{Name: name, Address: address, Size: size})
		}
	}
	err = walk(func(raw []byte, address, size uint64) {
		if string(raw) == name {
			add(name, address, size)
		}
	})
	if err != nil || len(found) > 0 || name == "" {
		return found, err
	}
	demangled, start := 0, time.Now()
	part := []byte(mangledPart(name))
	err = walk(func(raw []byte, address, size uint64) {
		if len(raw) > maxMangled || !bytes.HasPrefix(raw, []byte("_Z")) && !bytes.HasPrefix(raw, []byte("_R")) || !bytes.Contains(raw, part) {
			return
		}
		if bytes.Count(raw, []byte("cv")) > maxConversions {
			return
		}
		if demangled++; demangled > maxDemangled || time.Since(start) > maxLookup {
			demangled = maxDemangled + 1
			return
		}
		whole := demangledName(string(raw))
		if whole != "" && (whole == name || demangledName(string(raw), demangle.NoParams) == name) {
			add(whole, address, size)
		}
	})
	if demangled > maxDemangled {
		err = fmt.Errorf("more than %d names to demangle, or names for more than %v", maxDemangled, maxLookup)
	}
	return found, err
}

// demangledName returns the demangled name, or "" for what is not mangled.
func demangledName(raw string, options ...demangle.Option) (text string) {
	// The demangler is not ours, and a name can be made to break it.
	defer func() {
		if recover() != nil {
			text = ""
		}
	}()
	const maxDemangledLength = 12 // as a power of 2
	text, err := demangle.ToString(raw, append(options, demangle.MaxLength(maxDemangledLength))...)
	if err != nil {
		return ""
	}
	return text
}

// mangledPart returns an identifier that the mangled form of a name has in it too, or ""
// if there may be none: operators have codes, and so has much of std.
func mangledPart(name string) string {
	name = strings.ReplaceAll(name, "(anonymous namespace)", "")
	if end := strings.IndexAny(name, "(<{["); end >= 0 {
		name = name[:end]
	}
	parts := strings.FieldsFunc(name, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len(parts) == 0 || slices.Contains(parts, "operator") {
		return ""
	}
	last := parts[len(parts)-1]
	switch last {
	case "std", "allocator", "basic_string", "string", "istream", "ostream", "iostream", "decltype":
		return ""
	}
	return last
}
