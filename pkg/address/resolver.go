// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"io"
	"iter"
	"slices"
	"sort"
	"sync"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// Process is what a [Resolver] needs of a process. A *machcompat.Task is one.
type Process interface {
	// ReadAt reads memory at an address, which is the offset's 64 bits.
	io.ReaderAt
	PID() int
	// Regions yields the mappings in address order, and stops after an error.
	Regions() iter.Seq2[procmaps.Mapping, error]
}

// Resolver finds the addresses that expressions name in one process. It keeps what it
// knows of the modules, so that it reads nothing but the pointers from then on. It may be
// used by any number of goroutines.
type Resolver struct {
	process Process
	by      reader

	mu      sync.Mutex // never held while the process is read
	known   *layout    // nil until the map is walked
	forgets int        // how often known was made nil
}

// NewResolver returns a Resolver for a process. It reads nothing yet.
func NewResolver(p Process) *Resolver {
	return &Resolver{process: p, by: reader{modulesOf, (*Module).symbols}}
}

// Resolution is what an expression names at some moment. While all links hold their
// values, and modules stay where they are, it names the same address.
type Resolution struct {
	Address     uint64
	PointerSize int     // 4 or 8 bytes: of the last pointer that was read, or of one that [expr] would read
	Places      []Place // what the expression names, from left to right
	Links       []Link  // every pointer that was read, in order
}

// Place is a module, a symbol or a special place, as @heap, and where it is.
type Place struct {
	Text    string // as in the canonical form of the expression: "game!player"
	Address uint64
}

// Link is a pointer that was read.
type Link struct {
	Text    string // as in the canonical form of the expression: "[game+0x4068]"
	Address uint64 // where it was read
	Value   uint64
}

// Resolve returns the address that the expression names now. The first call, and one
// after Refresh, walks the map of the process. Others read the pointers alone, but for a
// place that is not known yet.
//
// What was known may be why an expression fails, so an expression with places is tried
// once more after a look at the modules as they are. The error is then a [*ModuleError],
// a [*SymbolError] or a [*ChainError], or the one by which the process refused to be looked
// at.
func (r *Resolver) Resolve(e *Expr) (Resolution, error) {
	var found Resolution
	err := r.ResolveInto(&found, e)
	if err != nil {
		return Resolution{}, err
	}
	return found, nil
}

// ResolveInto is [Resolver.Resolve] into a Resolution whose slices are used again. It
// allocates nothing once they are large enough and the places are known. After an error
// dst holds what was found before it.
func (r *Resolver) ResolveInto(dst *Resolution, e *Expr) error {
	l, old, err := r.layout()
	if err != nil {
		return err
	}
	err = evaluate(dst, r.process, l, e)
	if err != nil && old && e.root.hasPlaces() {
		r.forget(l)
		if l, _, err = r.layout(); err != nil {
			return err
		}
		err = evaluate(dst, r.process, l, e)
	}
	if err == nil {
		return nil
	}
	if chain, ok := errors.AsType[*ChainError](err); ok {
		chain.Mapping, chain.unknown = mappingAt(r.process, chain.Address)
	}
	return err
}

// Modules returns the modules of the process in address order. It walks the map if
// that was not done since the last [Resolver.Refresh].
func (r *Resolver) Modules() ([]*Module, error) {
	l, _, err := r.layout()
	if err != nil {
		return nil, err
	}
	return slices.Clone(l.modules), nil
}

// Refresh forgets the modules, so that the next call looks at them anew.
func (r *Resolver) Refresh() { r.forget(nil) }

// Locate returns the module that an address lies in, and how far from its base, by the
// modules as they are known.
func (r *Resolver) Locate(address uint64) (m *Module, offset uint64, ok bool) {
	l, _, err := r.layout()
	if err != nil {
		return nil, 0, false
	}
	after := sort.Search(len(l.modules), func(i int) bool { return l.modules[i].Base > address })
	if after == 0 || !l.modules[after-1].Contains(address) {
		return nil, 0, false
	}
	m = l.modules[after-1]
	return m, address - m.Base, true
}

// layout returns what is known, and whether it was known before this call.
func (r *Resolver) layout() (l *layout, old bool, err error) {
	r.mu.Lock()
	l, forgets := r.known, r.forgets
	r.mu.Unlock()
	if l != nil {
		return l, true, nil
	}
	if l, err = newLayout(r.process, r.by); err != nil {
		return nil, false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forgets == forgets { // else it may be older than what was forgotten meanwhile
		r.known = l
	}
	return l, false, nil
}

// forget forgets what is known, or nothing if that is not l any more.
func (r *Resolver) forget(l *layout) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l == nil || r.known == l {
		r.known = nil
		r.forgets++
	}
}

// mappingAt returns what is mapped at an address, nil for nothing, and whether the
// process does not tell.
func mappingAt(p Process, address uint64) (m *procmaps.Mapping, unknown bool) {
	for mapping, err := range p.Regions() {
		if err != nil {
			return nil, true
		}
		if mapping.Contains(address) {
			found := mapping // not each that is looked at need be allocated
			return &found, false
		}
	}
	return nil, false
}
