// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"strings"
	"sync"

	"github.com/vmwrite/vmwrite/internal/poller"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// layout is what is known of where things are in a process, as of one moment.
type layout struct {
	process     Process
	files       uint64 // of walk, before the modules were looked at
	symbols     func(m *Module, name string) ([]Symbol, error)
	modules     []*Module // in address order
	program     *Module   // nil when programErr says why it is not known
	programErr  error
	pointerSize int // of the program

	mu     sync.Mutex // never held while the process or a file is read
	places map[place]located
}

// located is a place that was found.
type located struct {
	address     uint64
	pointerSize int // of the module, 0 for that of the program
}

// maxPlaces bounds what is kept of the places that were asked for.
const maxPlaces = 1 << 12

// newLayout finds out where things are in a process.
func newLayout(p Process, by reader) (*layout, error) {
	// First, so that what changes in between is seen as a change.
	files, _, err := walk(p, 0)
	if err != nil {
		return nil, err
	}
	modules, err := by.modules(p)
	if err != nil {
		return nil, err
	}
	l := &layout{process: p, files: files, symbols: by.symbols, modules: modules, places: map[place]located{}}
	l.program, l.programErr = programOf(p.PID(), modules)
	if l.program != nil {
		l.pointerSize = l.program.PointerSize
	}
	if l.pointerSize == 0 {
		l.pointerSize = pointerSizeOf(p.PID())
	}
	return l, nil
}

// reader is how modules and symbols are found. Tests of expressions have their own, which
// needs no images.
type reader struct {
	modules func(Process) ([]*Module, error)
	around  func(Process, uint64) ([]*Module, error)
	symbols func(m *Module, name string) ([]Symbol, error)
}

// find returns where a place is.
func (l *layout) find(p place) (at located, err error) {
	l.mu.Lock()
	at, known := l.places[p]
	l.mu.Unlock()
	if known {
		return at, nil
	}
	switch {
	case p.special == heap, p.special == stack:
		at.address, err = l.unnamed(p.special)
	case p.special == 0 && p.module == "":
		at, err = l.anySymbol(p.symbol)
	default:
		at, err = l.inModule(p)
	}
	if err != nil {
		return located{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.places) >= maxPlaces {
		clear(l.places)
	}
	l.places[p] = at
	return at, nil
}

// unnamed finds the heap's start or the stack's end, which are in no module.
func (l *layout) unnamed(s special) (address uint64, err error) {
	for m, err := range l.process.Regions() {
		switch {
		case err != nil:
			return 0, err
		case m.Inode != 0: // a file of such a name
		case s == heap && m.Path == "[heap]":
			return m.Start, nil
		case s == stack && m.Path == "[stack]":
			address = m.End
		}
	}
	switch {
	case s == heap:
		err = &ModuleError{Name: s.String(), Err: errors.New("the process has no heap of brk(2)")}
	case address == 0:
		err = &ModuleError{Name: s.String(), Err: errors.New("the stack of the first thread is not mapped")}
	}
	return address, err
}

// inModule finds a module, or a symbol of a module.
func (l *layout) inModule(p place) (located, error) {
	m, err := l.module(p)
	if err != nil {
		return located{}, err
	}
	if p.symbol == "" {
		return located{m.Base, m.PointerSize}, nil
	}
	found, err := l.symbols(m, p.symbol)
	if err != nil {
		return located{}, &SymbolError{Module: m, Name: p.symbol, Err: err}
	}
	var places symbolPlaces
	places.add(m, found)
	if len(places.all) != 1 {
		return located{}, &SymbolError{Module: m, Name: p.symbol, Places: places.first, Total: len(places.all)}
	}
	return places.only, nil
}

// anySymbol finds a symbol of the program, or else of any module.
func (l *layout) anySymbol(name string) (located, error) {
	if l.program != nil {
		at, err := l.inModule(place{special: exe, symbol: name})
		// Where the program can't be read, a symbol elsewhere may be another one.
		if missing, ok := errors.AsType[*SymbolError](err); !ok || missing.Err != nil || missing.Total > 0 {
			return at, err
		}
	}
	var places symbolPlaces
	var unread error
	for _, m := range l.modules {
		if m.Kind == Data || m == l.program {
			continue
		}
		found, err := l.symbols(m, name)
		if err != nil && unread == nil {
			unread = fmt.Errorf("%s: %w", Quote(m.Name), err)
		}
		places.add(m, found)
	}
	switch len(places.all) {
	case 0:
		return located{}, &SymbolError{Name: name, Err: unread}
	case 1:
		return places.only, nil
	}
	return located{}, &SymbolError{Name: name, Places: places.first, Total: len(places.all)}
}

// symbolPlaces are the places of symbols, those at the same address once.
type symbolPlaces struct {
	first []Place // to be listed
	all   map[uint64]struct{}
	only  located // if it is the only one
}

func (p *symbolPlaces) add(m *Module, symbols []Symbol) {
	for _, s := range symbols {
		if _, known := p.all[s.Address]; known {
			continue
		}
		if p.all == nil {
			p.all = map[uint64]struct{}{}
			p.only = located{s.Address, m.PointerSize}
		}
		p.all[s.Address] = struct{}{}
		if len(p.first) < maxListed {
			p.first = append(p.first, Place{fmt.Sprintf("%s+%#x", Quote(m.Name), s.Address-m.Base), s.Address})
		}
	}
}

// module finds the module that a place names.
func (l *layout) module(p place) (*Module, error) {
	switch p.special {
	case exe:
		if l.program == nil {
			return nil, &ModuleError{Name: p.special.String(), Err: l.programErr}
		}
		return l.program, nil
	case vdso:
		for _, m := range l.modules {
			if m.Path == "[vdso]" {
				return m, nil
			}
		}
		return nil, &ModuleError{Name: p.special.String(), Err: errors.New("the process has no vdso")}
	}
	name := p.module
	var named []*Module
	for _, m := range l.modules {
		if m.matches(name) {
			named = append(named, m)
		}
	}
	// The whole last part of a path is more of a name than the front of a build id,
	// and an image that is mapped to be run more than a file that is only read.
	named = prefer(named, func(m *Module) bool {
		return m.Name == name || m.Kind == PE && strings.EqualFold(m.Name, name)
	})
	// What another file's mapping cuts off a module is Data, though it may be run.
	named = prefer(named, func(m *Module) bool { return m.Kind != Data })
	if running := prefer(named, func(m *Module) bool { return m.Executable }); len(running) == 1 {
		named = running
	}
	if len(named) == 1 {
		return named[0], nil
	}
	return nil, newModuleError(name, named, l.modules)
}

// prefer returns those that are better, or all when none is.
func prefer(all []*Module, better func(*Module) bool) (some []*Module) {
	for _, m := range all {
		if better(m) {
			some = append(some, m)
		}
	}
	if some == nil {
		return all
	}
	return some
}

// programOf returns the module of the program that a process runs.
func programOf(pid int, modules []*Module) (*Module, error) {
	link := fmt.Sprintf("/proc/%d/exe", pid)
	var stat unix.Stat_t
	if err := unix.Stat(link, &stat); err != nil {
		return nil, &os.PathError{Op: "stat", Path: link, Err: err}
	}
	path, err := os.Readlink(link)
	if err != nil {
		return nil, err
	}
	path = strings.ReplaceAll(path, "\n", `\012`) // as the map prints it
	dev := procmaps.Dev{Major: unix.Major(uint64(stat.Dev)), Minor: unix.Minor(uint64(stat.Dev))}
	// On overlayfs and btrfs the map shows another device than stat does, and the
	// inode of another file may be the same.
	for _, is := range []func(*Module) bool{
		func(m *Module) bool { return m.Inode == stat.Ino && m.Dev == dev },
		func(m *Module) bool { return m.Inode == stat.Ino && m.Path == path },
		func(m *Module) bool { return m.Path == path },
	} {
		var found []*Module
		for _, m := range modules {
			if is(m) {
				found = append(found, m)
			}
		}
		if found != nil {
			return prefer(found, func(m *Module) bool { return m.Executable && m.Kind != Data })[0], nil
		}
	}
	return nil, errors.New("the program that the process runs is not mapped")
}

// pointerSizeOf returns the size of a process's pointers by the file of its program, or
// else that of this machine's.
func pointerSizeOf(pid int) int {
	var header [5]byte
	n, _ := poller.Read(fmt.Sprintf("/proc/%d/exe", pid), header[:]) // no byte after an error
	return elfPointerSize(header[:max(n, 0)])
}

// elfPointerSize returns what the front of a file says by EI_CLASS of elf(5), or the
// size of this machine's pointers for what says nothing.
func elfPointerSize(header []byte) int {
	switch string(header) {
	case "\x7fELF\x01":
		return 4
	case "\x7fELF\x02":
		return 8
	}
	return bits.UintSize / 8
}
