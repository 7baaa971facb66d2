// SPDX-License-Identifier: Apache-2.0

package search

import (
	"errors"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// job is a stretch of a run of spans, and what was found in it.
type job struct {
	start, end uint64 // of the places where a match may begin
	runEnd     uint64 // of the run: a match may reach so far
	spans      []span // from the one that start lies in

	done  bool
	at    []uint32 // places of matches, from start
	bytes []uint32 // where in data the bytes of each are
	data  []byte   // the bytes of all matches; those that overlap share them
	stats Stats
}

func (j *job) reset(start, end uint64, spans []span) {
	*j = job{start: start, end: end, runEnd: spans[0].runEnd, spans: spans}
}

// held returns how many bytes the matches take.
func (j *job) held() int { return 8*len(j.at) + len(j.data) }

// add notes the matches found in memory that lies at an address.
func (j *job) add(found []uint32, memory []byte, address uint64, size int) {
	first := uint32(address - j.start)
	known := 0 // where the match before ends, whose bytes are the last ones of data
	for _, at := range found {
		from, to := int(at), int(at)+size
		known = max(known, from)
		j.at = append(j.at, first+at)
		j.bytes = append(j.bytes, uint32(len(j.data)-(known-from)))
		j.data = append(j.data, memory[known:to]...)
		known = to
	}
}

func (j *job) match(i int, f *form) Match {
	at := j.start + uint64(j.at[i])
	b := j.data[j.bytes[i]:][:f.size():f.size()]
	return Match{Address: f.place.of(at, b), At: at, Bytes: b}
}

// worker reads and compares. It belongs to one goroutine.
//
// It reads by process_vm_readv(2) itself where it can. A Task makes sure after each read
// that it was of the same program, which takes a tenth as long as a block; here one look
// behind each job is enough, because its matches are not seen before.
type worker struct {
	memory  Memory
	direct  *pwrite.ProcessVM // nil where there is no process, or it is refused
	form    *form
	scanner *scanner
	pages   pagemap
	zeros   bool // a match may be all zeros

	buffer    []byte
	entries   []byte // of the pagemap
	regions   []linux.PageRegion
	untouched []bool // pages of the job
	found     []uint32
	segment   [1]pwrite.Segment
	last      uint64 // an address that direct has read in this job
	failures  int
}

// work does a job. The error is that the process is gone.
func (w *worker) work(j *job) error {
	if w.buffer == nil {
		w.buffer = make([]byte, blockSize+maxSize)
	}
	w.look(j)
	w.last = 0
	for start := j.start; start < j.end; {
		end := min(start+blockSize, j.end)
		if err := w.block(j, start, end); err != nil {
			return err
		}
		start = end
	}
	if w.direct != nil && w.last != 0 {
		if _, err := w.memory.ReadAt(w.buffer[:1], int64(w.last)); err != nil {
			return alive(w.memory)
		}
	}
	return nil
}

// read is ReadAt of the memory.
func (w *worker) read(b []byte, address uint64) int {
	if w.direct != nil {
		w.segment[0] = pwrite.Segment{Address: address, Data: b}
		_, err := w.direct.Read(w.segment[:])
		if err == nil {
			w.last = address
			return len(b)
		}
		if errors.Is(err, pwrite.ErrRefused) {
			w.direct = nil
		}
	}
	n, _ := w.memory.ReadAt(b, int64(address)) // which says how far, by the rules of the memory
	return max(0, min(n, len(b)))
}

// reach is where memory ends in which a match may lie that begins before end.
func (w *worker) reach(j *job, end uint64) uint64 {
	return min(end+uint64(w.form.size())-1, j.runEnd)
}

// look finds out which pages of a job were never touched.
func (w *worker) look(j *job) {
	first, end := j.start/pageSize*pageSize, w.reach(j, j.end)
	count := int((end - first + pageSize - 1) / pageSize)
	if len(w.untouched) < count {
		w.untouched, w.entries, w.regions = make([]bool, count), make([]byte, count*8), make([]linux.PageRegion, count/2+1)
	}
	pages := w.untouched[:count]
	clear(w.untouched)
	for _, s := range j.spans {
		if s.start >= end {
			break
		}
		if s.fresh {
			// A page is of one span, but where a range was cut out of it.
			from, to := (max(s.start, first)-first)/pageSize, (min(s.end, end)-first+pageSize-1)/pageSize
			w.pages.untouched(pages[from:to], w.entries, w.regions, first+from*pageSize)
		}
	}
}

// block looks for matches that begin from start on and before end.
func (w *worker) block(j *job, start, end uint64) error {
	reach := w.reach(j, end)
	if to, zero := w.stretch(j, start, reach); zero && to == reach && !w.zeros {
		j.stats.Untouched += end - start
		return nil
	}
	memory := w.buffer[:reach-start]
	good := start // what was read, or is known to be zeros, from here on is not compared yet
	compare := func(to uint64) {
		if good < min(to, end) {
			b := memory[good-start : to-start]
			w.found = w.scanner.scan(w.found[:0], b, good, int(min(to, end)-good))
			j.add(w.found, b, good, w.form.size())
		}
	}
	// within is how many of the bytes up to an address count for this block.
	within := func(from, to uint64) uint64 { return max(min(to, end), from) - from }
	anyRead := false
	for at := start; at < reach; {
		to, zero := w.stretch(j, at, reach)
		if zero {
			clear(memory[at-start : to-start])
			if from := min(at, end); from < end {
				j.stats.Untouched += within(from, to)
			}
			at = to
			continue
		}
		anyRead = true
		n := w.read(memory[at-start:to-start], at)
		if from := min(at, end); from < end {
			j.stats.Read += within(from, at+uint64(n))
		}
		at += uint64(n)
		if at == to {
			continue
		}
		if err := w.failed(); err != nil {
			return err
		}
		compare(at)
		beyond := min(at/pageSize*pageSize+pageSize, to)
		if at < end {
			j.stats.Skipped += within(at, beyond)
		}
		at, good = beyond, beyond
	}
	if anyRead || w.zeros {
		compare(reach)
	}
	return nil
}

// stretch returns where the pages end that are like the one of an address: never
// touched, or not.
func (w *worker) stretch(j *job, at, reach uint64) (end uint64, untouched bool) {
	first := j.start / pageSize
	page := at/pageSize - first
	untouched = w.untouched[page]
	for end = at; end < reach && w.untouched[page] == untouched; page++ {
		end = min((first+page+1)*pageSize, reach)
	}
	return end, untouched
}

// failed returns an error if a read failed because the process is gone. That is asked
// for at the first failure, and seldom then: it takes as long as many reads.
func (w *worker) failed() error {
	w.failures++
	if w.failures%1024 != 1 {
		return nil
	}
	return alive(w.memory)
}
