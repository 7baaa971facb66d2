// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"hash/maphash"
	"io"
	"iter"
	"slices"
	"sort"
	"sync"
	"time"

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
	forgets uint64     // how often known was made nil
	checked time.Time  // when the map was last walked for it
}

// NewResolver returns a Resolver for a process. It reads nothing yet.
func NewResolver(p Process) *Resolver {
	return &Resolver{process: p, by: reader{modulesOf, modulesAround, (*Module).symbols}}
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
	Size    int // its bytes: 4 or 8
}

// Resolve returns the address that the expression names now. The first call, and one
// after Refresh, walks the map of the process. Others read the pointers alone, but for a
// place that is not known yet.
//
// An expression that fails is tried once more if other files are mapped than when the
// modules were looked at. The error is a [*ModuleError], a [*SymbolError] or a
// [*ChainError], or the one by which the process refused to be looked at.
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
	for last := false; ; last = true {
		l, err := r.layout()
		if err != nil {
			return err
		}
		if err = evaluate(dst, r.process, l, e); err == nil {
			return nil
		}
		var at uint64
		chain, isChain := errors.AsType[*ChainError](err)
		if isChain {
			at = chain.Address
		}
		files, mapping, mapErr := walk(r.process, at)
		switch {
		case isChain:
			chain.Mapping, chain.unknown = mapping, mapErr != nil
		case mapErr != nil:
			return mapErr
		}
		if mapErr != nil || files == l.files || last {
			return err
		}
		r.forget(l)
	}
}

// Modules returns the modules of the process in address order. It walks the map if
// that was not done since the last [Resolver.Refresh].
func (r *Resolver) Modules() ([]*Module, error) {
	l, err := r.layout()
	if err != nil {
		return nil, err
	}
	return slices.Clone(l.modules), nil
}

// Refresh forgets the modules, so that the next call looks at them anew.
func (r *Resolver) Refresh() { r.forget(nil) }

// Recheck compares the files that are mapped with those of when the modules were looked at,
// unless that was done within the last age, and forgets the modules if they are others. It
// returns a number that is another one whenever modules were forgotten: what was resolved
// before may be elsewhere then. A library that was unloaded is noticed by nothing else, as
// long as there is memory in its place.
func (r *Resolver) Recheck(age time.Duration) (generation uint64, err error) {
	r.mu.Lock()
	l, due := r.known, time.Since(r.checked) >= age
	if due {
		r.checked = time.Now()
	}
	r.mu.Unlock()
	if l != nil && due {
		files, _, err := walk(r.process, 0)
		if err != nil {
			return 0, err
		}
		if files != l.files {
			r.forget(l)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.forgets, nil
}

// Locate returns the module that an address lies in, and how far from its base: by the
// modules as they are known or, if they are not, by a look at what is around the address.
func (r *Resolver) Locate(address uint64) (m *Module, offset uint64, ok bool) {
	r.mu.Lock()
	l := r.known
	r.mu.Unlock()
	var modules []*Module
	if l != nil {
		modules = l.modules
	} else if around, err := r.by.around(r.process, address); err == nil {
		modules = around
	}
	after := sort.Search(len(modules), func(i int) bool { return modules[i].Base > address })
	if after == 0 || !modules[after-1].Contains(address) {
		return nil, 0, false
	}
	m = modules[after-1]
	return m, address - m.Base, true
}

// layout returns what is known, and finds it out first if nothing is.
func (r *Resolver) layout() (l *layout, err error) {
	r.mu.Lock()
	l, forgets := r.known, r.forgets
	r.mu.Unlock()
	if l != nil {
		return l, nil
	}
	if l, err = newLayout(r.process, r.by); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forgets == forgets { // else it may be older than what was forgotten meanwhile
		r.known, r.checked = l, time.Now()
	}
	return l, nil
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

var seed = maphash.MakeSeed()

// walk returns what is mapped at an address, nil for nothing, and a number that is another
// one when other files are mapped, or elsewhere. A chain may be broken for hours, and be
// tried all the time: to look at the modules each time would take several times as long.
func walk(p Process, address uint64) (files uint64, at *procmaps.Mapping, err error) {
	var hash maphash.Hash
	hash.SetSeed(seed)
	for m, err := range p.Regions() {
		if err != nil {
			return 0, nil, err
		}
		if m.Contains(address) {
			found := m // not each that is looked at need be allocated
			at = &found
		}
		if m.Inode != 0 {
			maphash.WriteComparable(&hash, m)
		}
	}
	return hash.Sum64(), at, nil
}
