// SPDX-License-Identifier: Apache-2.0

package search

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// Op is how the bytes of a candidate must compare with those that were seen last.
type Op uint8

// The comparisons. [OpIncreased] and [OpDecreased] are of a single number: 255 to 0 is a
// decrease by 255 of an unsigned byte, and no wrap is an increase. NaN neither increases
// nor decreases. [OpChanged] and [OpUnchanged] are of the bytes, so a NaN that nobody
// wrote is unchanged.
const (
	OpEqual     Op = iota + 1 // is Value now, whatever it was
	OpChanged                 // is not what it was, or differs by By in either direction
	OpUnchanged               // is what it was
	OpIncreased               // is more than it was, or more by By
	OpDecreased               // is less than it was, or less by By
)

// Compare says which candidates Next keeps.
type Compare struct {
	Op Op
	// Value is what OpEqual wants, of the size and the type of the candidates.
	Value Matcher
	// By is by how much the number must differ; nil for any difference. Its tolerance
	// or range is kept.
	By *Value
}

// NextStats is what became of the candidates.
type NextStats struct {
	Before  uint64 // how many there were
	After   uint64 // how many are left
	Dropped uint64 // of those that are not, how many can't be read any more
}

const (
	// batchBytes and batchRuns are how much is read at a time.
	batchBytes = 1 << 20
	batchRuns  = 1024
	// nearby is what lies between two candidates that are read as one.
	nearby = 64
)

// Next reads the candidates anew, keeps those that compare, with the bytes that they
// have now, and drops those that can't be read. The rest goes to the file path, which may
// be that of c, and are the candidates of c from then on. That file is replaced once it is
// whole: after an error, or if no candidate is left, everything is as it was. Progress may
// be nil; it is told how many of the candidates are done. The error is that of the
// context, of the file, of the memory once the process is gone, or says why the candidates
// can't be so compared.
func (c *Candidates) Next(ctx context.Context, m Memory, how Compare, path string, progress func(done, total uint64)) (NextStats, error) {
	keep, err := c.comparison(how)
	if err != nil {
		return NextStats{}, err
	}
	r, err := openRuns(c.path)
	if err != nil {
		return NextStats{}, err
	}
	defer r.file.Close()
	if r.count != c.count || r.identity != c.identity {
		return NextStats{}, fmt.Errorf("%s: the file was replaced", c.path)
	}
	n := &narrowing{memory: m, header: c.header, keep: keep}
	switch how.Op {
	case OpChanged, OpIncreased, OpDecreased:
		n.needsChange = true
	}
	h, err := replace(path, c.header, func(w *runWriter) error {
		for {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			err := n.fill(r)
			if err != nil && err != io.EOF {
				return err
			}
			last := err == io.EOF
			if err := n.compare(w); err != nil {
				return err
			}
			if progress != nil {
				progress(r.seen, r.count)
			}
			switch {
			case last && w.count+uint64(w.run.count) == 0:
				return errNothingLeft
			case last:
				return nil
			}
		}
	})
	stats := NextStats{Before: c.count, After: h.count, Dropped: n.dropped}
	switch {
	case err == errNothingLeft:
		return stats, nil
	case err != nil:
		return NextStats{}, err
	}
	c.path, c.header = path, h
	return stats, nil
}

var errNothingLeft = errors.New("no candidate is left")

// comparison returns what decides about a candidate, by the bytes that it had and has.
func (c *Candidates) comparison(how Compare) (func(was, is []byte) bool, error) {
	t := c.kind
	single := t.isNumber() && c.size == t.Size()
	if how.By != nil && (!single || how.By.kind != t || how.By.Size() != c.size) {
		return nil, fmt.Errorf("by how much they differ is one %v, for candidates that are single numbers", t)
	}
	by := func(uint64) bool { return true }
	if how.By != nil {
		wanted := how.By.ranges[0]
		by = func(amount uint64) bool { return t.key(amount)-wanted.low <= wanted.high-wanted.low }
	}
	increased := func(was, is []byte) bool { return t.exceeds(t.load(is), t.load(was), how.By != nil, by) }
	switch how.Op {
	case OpEqual:
		if how.Value == nil {
			return nil, errors.New("there is no value to compare with")
		}
		f := how.Value.compiled()
		if f.kind != t || f.size() != c.size {
			return nil, fmt.Errorf("the candidates are %v of %d bytes, and the value is %v of %d", t, c.size, f.kind, f.size())
		}
		return func(_, is []byte) bool { return f.matches(is) }, nil
	case OpUnchanged:
		return bytes.Equal, nil
	case OpChanged:
		if how.By != nil {
			return func(was, is []byte) bool { return increased(was, is) || increased(is, was) }, nil
		}
		return func(was, is []byte) bool { return !bytes.Equal(was, is) }, nil
	case OpIncreased, OpDecreased:
		if !single {
			return nil, errors.New("only single numbers increase and decrease")
		}
		if how.Op == OpDecreased {
			return func(was, is []byte) bool { return increased(is, was) }, nil
		}
		return increased, nil
	}
	return nil, fmt.Errorf("there is no comparison %d", how.Op)
}

// exceeds reports whether one number is more than another, by an amount, given by its
// bits, that counts.
func (t Type) exceeds(high, low uint64, measure bool, counts func(amount uint64) bool) bool {
	if t.isFloat() {
		h, l := t.float(high), t.float(low)
		return h > l && (!measure || counts(t.floatBits(h-l)))
	}
	if t.key(high) <= t.key(low) {
		return false
	}
	amount := (high - low) & t.everything().high
	if t.isSigned() && amount > t.everything().high/2 {
		return !measure // more than the type has numbers for
	}
	return !measure || counts(amount)
}

// narrowing is a Next.
type narrowing struct {
	header
	memory      Memory
	keep        func(was, is []byte) bool
	needsChange bool
	dropped     uint64

	runs     []run
	extents  []pwrite.Extent // of the runs, those nearby as one
	segments []pwrite.Segment
	first    []int // the segment that each run lies in
	now      []byte
}

// fill reads as many runs as are compared at a time; io.EOF comes with the last ones.
func (n *narrowing) fill(r *runReader) error {
	total := 0
	for n.runs = n.runs[:0]; len(n.runs) < batchRuns && total < batchBytes; {
		if len(n.runs) == cap(n.runs) {
			n.runs = append(n.runs, run{})
		} else {
			n.runs = n.runs[:len(n.runs)+1] // with the memory of an earlier run
		}
		one := &n.runs[len(n.runs)-1]
		if err := r.next(one); err != nil {
			n.runs = n.runs[:len(n.runs)-1]
			return err
		}
		total += len(one.data)
	}
	return nil
}

// compare reads what the runs are now and writes the candidates that are kept.
func (n *narrowing) compare(w *runWriter) error {
	n.extents, n.first = n.extents[:0], n.first[:0]
	for i := range n.runs {
		one := &n.runs[i]
		end := one.address + uint64(len(one.data))
		last := len(n.extents) - 1
		if last >= 0 && one.address <= n.extents[last].Address+n.extents[last].Size+nearby {
			e := &n.extents[last]
			e.Size = max(e.Size, end-e.Address)
		} else {
			n.extents = append(n.extents, pwrite.Extent{Address: one.address, Size: end - one.address})
			last++
		}
		n.first = append(n.first, last)
	}
	size := uint64(0)
	for _, e := range n.extents {
		size += e.Size
	}
	if n.now = slices.Grow(n.now[:0], int(size))[:size]; size == 0 {
		return nil
	}
	n.segments = n.segments[:0]
	rest := n.now
	for _, e := range n.extents {
		n.segments = append(n.segments, pwrite.Segment{Address: e.Address, Data: rest[:e.Size]})
		rest = rest[e.Size:]
	}
	whole := n.memory.ReadBatch(n.segments) == nil
	if !whole {
		if err := alive(n.memory); err != nil {
			return err
		}
	}
	for i := range n.runs {
		one, s := &n.runs[i], &n.segments[n.first[i]]
		is := s.Data[one.address-s.Address:][:len(one.data)]
		var unread []bool
		if !whole {
			unread = n.reread(one, is)
		}
		if err := n.compareRun(w, one, is, unread); err != nil {
			return err
		}
	}
	return nil
}

// reread reads a run page by page, and returns which of the pages that it lies in can't
// be read.
func (n *narrowing) reread(one *run, is []byte) (unread []bool) {
	for at := uint64(0); at < uint64(len(is)); {
		address := one.address + at
		to := min(at+pageSize-address%pageSize, uint64(len(is)))
		count, _ := n.memory.ReadAt(is[at:to], int64(address))
		unread = append(unread, uint64(count) < to-at)
		at = to
	}
	return unread
}

func (n *narrowing) compareRun(w *runWriter, one *run, is []byte, unread []bool) error {
	if unread == nil && n.needsChange && bytes.Equal(one.data, is) {
		return nil
	}
	first := one.address / pageSize
	for i := range one.count {
		at := i * int(n.step)
		address := one.address + uint64(at)
		if unread != nil && (unread[address/pageSize-first] || unread[(address+uint64(n.size)-1)/pageSize-first]) {
			n.dropped++
			continue
		}
		b := is[at : at+n.size]
		if n.keep(one.data[at:at+n.size], b) {
			if err := w.add(address, b); err != nil {
				return err
			}
		}
	}
	return nil
}
