// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"iter"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// Region is what vm_region tells of a mapping (vm_region_basic_info_64).
type Region struct {
	Start         uint64
	Size          uint64
	Protection    VMProt
	MaxProtection VMProt // what [Task.Protect] may make of it; nothing of the kernel's [vvar]
	Inheritance   int32  // VM_INHERIT_SHARE for shared memory, else VM_INHERIT_COPY, whatever [Task.Inherit] has set
	Shared        bool   // other processes, or a file, see what is written
	Reserved      bool   // always false: Linux does not tell
	Offset        uint64 // byte in the file that Start maps
	Behavior      int32  // always VM_BEHAVIOR_DEFAULT: Linux does not tell
	// UserWiredCount is always 0: Linux does not tell without reading smaps.
	UserWiredCount uint16
	Mapping        procmaps.Mapping // the same in Linux's terms, with the name
}

// Region returns the mapping that address lies in, or the next above it:
// vm_region. The error is an [*Error]: KERN_INVALID_ADDRESS when there is none,
// KERN_INVALID_ARGUMENT when the task has ended.
func (t *Task) Region(address uint64) (Region, error) {
	if !t.enter() {
		return Region{}, t.closedError(opRegion)
	}
	defer t.leave()
	mapping, found, err := t.mappingFrom(address)
	if err == nil {
		err = t.identity.confirm()
	}
	switch {
	case err != nil:
		return Region{}, t.newError(opRegion, address, 0, fault{}, err)
	case !found:
		return Region{}, t.newError(opRegion, address, 0, fault{code: KERN_INVALID_ADDRESS, address: address}, nil)
	}
	r := Region{
		Start:         mapping.Start,
		Size:          mapping.End - mapping.Start,
		Protection:    VMProt(mapping.Perms),
		MaxProtection: t.maxProtection(mapping.Span()),
		Inheritance:   VM_INHERIT_COPY,
		Shared:        mapping.Shared,
		Offset:        mapping.Offset,
		Behavior:      VM_BEHAVIOR_DEFAULT,
		Mapping:       mapping,
	}
	if mapping.Shared {
		r.Inheritance = VM_INHERIT_SHARE
	}
	if mapping.IsKernelData() {
		r.MaxProtection = VM_PROT_NONE
	}
	return r, nil
}

func (p *process) mappingFrom(address uint64) (procmaps.Mapping, bool, error) {
	for mapping, err := range p.maps.Range(address, math.MaxUint64) {
		return mapping, err == nil, err
	}
	return procmaps.Mapping{}, false, nil
}

// Regions yields the mappings of the task in address order, all read before the
// first is yielded, and stops after an error, which is an [*Error]:
// KERN_INVALID_ARGUMENT when the task is gone, KERN_FAILURE when the mappings
// can't be read.
func (t *Task) Regions() iter.Seq2[procmaps.Mapping, error] {
	return func(yield func(procmaps.Mapping, error) bool) {
		mappings, err := t.allMappings()
		for _, mapping := range mappings {
			if !yield(mapping, nil) {
				return
			}
		}
		if err != nil {
			yield(procmaps.Mapping{}, err)
		}
	}
}

func (t *Task) allMappings() (mappings []procmaps.Mapping, err error) {
	if !t.enter() {
		return nil, t.closedError(opRegion)
	}
	defer t.leave()
	for mapping, readErr := range t.maps.All() {
		if err = readErr; err == nil {
			mappings = append(mappings, mapping)
		}
	}
	if err == nil {
		err = t.identity.confirm()
	}
	if err != nil {
		err = t.newError(opRegion, 0, 0, fault{}, err)
	}
	return mappings, err
}

// check looks whether the task lives and a range allows an access.
func (t *Task) check(op string, address, size uint64, want procmaps.Perms) error {
	if !t.enter() {
		return t.closedError(op)
	}
	defer t.leave()
	return t.checkAccess(op, address, size, want)
}

func (p *process) checkAccess(op string, address, size uint64, want procmaps.Perms) error {
	if size == 0 {
		return p.emptyError(op, address)
	}
	found, err := p.checkRange(address, size, want, nil)
	if err == nil {
		err = p.identity.confirm()
	}
	if err == nil && found.code == KERN_SUCCESS {
		return nil
	}
	return p.newError(op, address, size, found, err)
}

// fault is the first offence of a range: the code, and the first address that
// can't be accessed. It has KERN_SUCCESS when there is none.
type fault struct {
	code    KernReturn
	address uint64
	segment int
	// executable is true when a page without fault may hold code.
	executable bool
}

// checkRange walks the mappings of the size bytes at address, in order. The
// first offence decides: a mapping that lacks one of the wanted permissions, or
// a gap. What it finds in order is added to good, unless that is nil.
func (p *process) checkRange(address, size uint64, want procmaps.Perms, good *spanSet) (fault, error) {
	if size == 0 {
		return fault{}, nil
	}
	if rangeWraps(address, size) {
		return fault{code: KERN_INVALID_ADDRESS, address: address}, nil
	}
	end := address + size
	next, found := address, fault{}
	err := p.maps.Walk(address, end, func(span procmaps.Span) bool {
		if span.Start > next {
			return false
		}
		if span.Perms&want != want {
			found.code = KERN_PROTECTION_FAILURE
			return false
		}
		found.executable = found.executable || span.Perms&procmaps.Execute != 0
		if good != nil {
			good.add(span)
		}
		next = span.End
		return true
	})
	if err != nil {
		return fault{}, err
	}
	if next < end {
		found.address = next
		if found.code == KERN_SUCCESS {
			found.code = KERN_INVALID_ADDRESS
		}
	}
	return found, nil
}

// rangeWraps reports whether the range, or its end rounded up to a page, passes
// the end of the 64-bit address space.
func rangeWraps(address, size uint64) bool {
	page := uint64(os.Getpagesize())
	end := address + size
	return end < address || end > math.MaxUint64-(page-1)
}

// checkSegments is checkRange for each of the segments in their order; the first
// that has an offence decides.
func (p *process) checkSegments(segments []pwrite.Segment, want procmaps.Perms) (fault, error) {
	if len(segments) == 1 {
		return p.checkRange(segments[0].Address, uint64(len(segments[0].Data)), want, nil)
	}
	good := spanSets.Get().(*spanSet)
	good.spans, good.last = good.spans[:0], 0
	defer spanSets.Put(good)
	if p.maps.Source() == procmaps.Text {
		// Each question to the text reads it from the front: ask once.
		if err := good.readAll(p.maps, segments, want); err != nil {
			return fault{}, err
		}
	}
	executable := false
	for i := range segments {
		address, size := segments[i].Address, uint64(len(segments[i].Data))
		if span, ok := good.covering(address, size); ok {
			executable = executable || span.Perms&procmaps.Execute != 0
			continue
		}
		found, err := p.checkRange(address, size, want, good)
		if err != nil || found.code != KERN_SUCCESS {
			found.segment = i
			return found, err
		}
		executable = executable || found.executable
	}
	return fault{executable: executable}, nil
}

// spanSet is what a check has found to have the wanted permissions: spans in
// address order, of which adjacent ones are joined.
type spanSet struct {
	spans []procmaps.Span
	last  int // index of the one that the last range lay in: mostly the next one does too
}

var spanSets = sync.Pool{New: func() any { return new(spanSet) }}

// covering returns the span that all of the range lies in.
func (g *spanSet) covering(address, size uint64) (span procmaps.Span, ok bool) {
	if size == 0 {
		return span, true
	}
	covers := func(s *procmaps.Span) bool {
		return s.Start <= address && address < s.End && size <= s.End-address
	}
	if g.last < len(g.spans) && covers(&g.spans[g.last]) {
		return g.spans[g.last], true
	}
	i := g.after(address) - 1
	if i < 0 || !covers(&g.spans[i]) {
		return span, false
	}
	g.last = i
	return g.spans[i], true
}

// after returns the index of the first span that starts above address.
func (g *spanSet) after(address uint64) int {
	i, _ := slices.BinarySearchFunc(g.spans, address, func(s procmaps.Span, a uint64) int {
		if s.Start <= a {
			return -1
		}
		return 1
	})
	return i
}

// add notes a span. One that was seen before, or has grown since, is widened.
func (g *spanSet) add(span procmaps.Span) {
	i := g.after(span.Start)
	if i > 0 && g.spans[i-1].End >= span.Start {
		last := &g.spans[i-1]
		last.End = max(last.End, span.End)
		last.Perms |= span.Perms & procmaps.Execute
		return
	}
	g.spans = slices.Insert(g.spans, i, span)
}

// readAll notes all spans between the lowest and the highest of the segments.
func (g *spanSet) readAll(maps *procmaps.Maps, segments []pwrite.Segment, want procmaps.Perms) error {
	lowest, highest := uint64(math.MaxUint64), uint64(0)
	for i := range segments {
		address, size := segments[i].Address, uint64(len(segments[i].Data))
		if size > 0 && !rangeWraps(address, size) {
			lowest, highest = min(lowest, address), max(highest, address+size)
		}
	}
	if lowest >= highest {
		return nil
	}
	return maps.Walk(lowest, highest, func(span procmaps.Span) bool {
		if span.Perms&want == want {
			g.add(span)
		}
		return true
	})
}
