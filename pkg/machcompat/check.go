package machcompat

import (
	"math"
	"os"
	"slices"
	"sync"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

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
func (t *Task) checkRange(address, size uint64, want procmaps.Perms, good *ground) (fault, error) {
	if size == 0 {
		return fault{}, nil
	}
	if rangeWraps(address, size) {
		return fault{code: KERN_INVALID_ADDRESS, address: address}, t.maps.Alive()
	}
	end := address + size
	next, found := address, fault{}
	err := t.maps.Walk(address, end, func(span procmaps.Span) bool {
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
func (t *Task) checkSegments(segments []pwrite.Segment, want procmaps.Perms) (fault, error) {
	if len(segments) == 1 {
		return t.checkRange(segments[0].Address, uint64(len(segments[0].Data)), want, nil)
	}
	good := grounds.Get().(*ground)
	good.spans = good.spans[:0]
	defer grounds.Put(good)
	if t.maps.Source() == procmaps.Text {
		// Each question to the text reads it from the front: ask once.
		if err := good.readAll(t.maps, segments, want); err != nil {
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
		found, err := t.checkRange(address, size, want, good)
		if err != nil || found.code != KERN_SUCCESS {
			found.segment = i
			return found, err
		}
		executable = executable || found.executable
	}
	return fault{executable: executable}, nil
}

// ground is what a check has found to have the wanted permissions: spans in
// address order, of which adjacent ones are joined.
type ground struct{ spans []procmaps.Span }

var grounds = sync.Pool{New: func() any { return new(ground) }}

// covering returns the span that all of the range lies in.
func (g *ground) covering(address, size uint64) (procmaps.Span, bool) {
	if size == 0 {
		return procmaps.Span{}, true
	}
	i := g.after(address)
	if i == 0 || rangeWraps(address, size) || address+size > g.spans[i-1].End {
		return procmaps.Span{}, false
	}
	return g.spans[i-1], true
}

// after returns the index of the first span that starts above address.
func (g *ground) after(address uint64) int {
	i, _ := slices.BinarySearchFunc(g.spans, address, func(s procmaps.Span, a uint64) int {
		if s.Start <= a {
			return -1
		}
		return 1
	})
	return i
}

// add notes a span. One that was seen before, or has grown since, is widened.
func (g *ground) add(span procmaps.Span) {
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
func (g *ground) readAll(maps *procmaps.Maps, segments []pwrite.Segment, want procmaps.Perms) error {
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
