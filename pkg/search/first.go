// SPDX-License-Identifier: Apache-2.0

package search

import (
	"context"
	"iter"
	"runtime"
	"sync"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// Options say where and how is searched. The zero value searches all that can be read,
// with as many threads as Go runs at a time.
type Options struct {
	// Want are the permissions that a mapping must have, beside that to read; and
	// Without those that it must not have.
	Want, Without procmaps.Perms
	// Within are the ranges that a match must lie in, each with its neighbours if
	// they touch; nil for everywhere.
	Within []Range
	// Align is what the address of a match is a multiple of. 0 is the size of a
	// number for numbers, and 1 for text and patterns.
	Align int
	// Limit is how many matches are enough; 0 for no limit.
	Limit int
	// Threads is how many read and compare; 0 is GOMAXPROCS. Go's scheduler takes the
	// processor of a thread that is in a long system call, unless one is to spare: a
	// search by all of them is a fifth faster while GOMAXPROCS is one more.
	Threads int
	// Progress is told from time to time how many of the bytes are done, by one
	// goroutine at a time. It must be quick and not call the Search.
	Progress func(done, total uint64)
}

// Match is a place that matches.
type Match struct {
	Address uint64 // the result: that of | or $ of a pattern, else At
	At      uint64 // of the first byte of the match
	Bytes   []byte // as they were read; valid until the next match
}

// Stats is what became of the bytes that were to be searched.
type Stats struct {
	Total     uint64 // bytes of the mappings that were chosen
	Read      uint64 // of them that were read
	Untouched uint64 // that were not read because the process never touched them: they are zeros
	Skipped   uint64 // that can't be read, or are a device's memory
	Matches   uint64 // that were yielded
}

// Search is a first search. It can be made once.
type Search struct {
	ctx     context.Context
	memory  Memory
	form    *form
	options Options

	mutex    sync.Mutex
	consumer *sync.Cond // waits for the first job with a match, or the end
	workers  *sync.Cond // wait for a free slot, or for the consumer
	spans    []span
	cursor   uint64 // in spans[0]: where the next job begins
	slots    []job  // a ring
	held     int    // bytes of matches that the consumer has not had yet
	head     int    // the job that is the consumer's next; slots[head%len] is it
	next     int    // the job that is taken next
	stopped  bool
	err      error
	stats    Stats
	shown    uint64 // of the progress
	done     uint64
}

// First prepares a search of memory for what is looked for. It begins with All.
func First(ctx context.Context, m Memory, what Matcher, o Options) *Search {
	f := *what.compiled()
	if o.Align > 0 {
		f.align = uint64(o.Align)
	}
	s := &Search{ctx: ctx, memory: m, form: &f, options: o}
	s.consumer, s.workers = sync.NewCond(&s.mutex), sync.NewCond(&s.mutex)
	return s
}

// Stats returns what was done so far.
func (s *Search) Stats() Stats {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.stats
}

const (
	// jobSize is how many places a worker takes at a time: long against what that
	// and the question for its pages takes, short against a search.
	jobSize = 2 << 20
	// blockSize is what is read at a time: it stays in the processor's cache until it
	// is compared, and is long against the cost of a call.
	blockSize = 256 << 10
	// ringSize is how many jobs may be ahead of the first that is not done, as one is
	// whose thread has to wait for a core. Those without a match hold no memory.
	ringSize = 128
	// maxHeld is from how many bytes of matches on no further job is taken.
	maxHeld = 32 << 20
	// progressStep is between two calls of Progress.
	progressStep = 16 << 20
)

// All yields the matches in the order of their addresses, and stops after an error:
// that of the context, or of the memory once the process is gone. What can't be read is
// no error; Stats counts it. When the loop is left, the workers end with the read that
// they are at.
func (s *Search) All() iter.Seq2[Match, error] {
	return func(yield func(Match, error) bool) {
		pages := openPagemap(s.memory.PID()) // before the mappings, which say whether it is still of the same process
		spans, left, err := plan(s.memory, s.options)
		if err != nil {
			pages.close()
			yield(Match{}, err)
			return
		}
		s.begin(spans, left)
		defer s.stop(nil)
		defer context.AfterFunc(s.ctx, func() { s.stop(context.Cause(s.ctx)) })()
		s.startWorkers(pages)
		for j := s.await(); j != nil; j = s.await() {
			for i := range j.at {
				enough := s.options.Limit > 0 && s.stats.Matches+uint64(i)+1 >= uint64(s.options.Limit)
				if !yield(j.match(i, s.form), nil) || enough {
					s.leave(i + 1)
					return
				}
			}
			s.release(j)
		}
		if err := s.outcome(); err != nil {
			yield(Match{}, err)
		}
	}
}

func (s *Search) begin(spans []span, left uint64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.spans, s.stats = spans, Stats{Skipped: left, Total: left}
	for _, span := range spans {
		s.stats.Total += span.end - span.start
	}
	s.done = left
	if len(spans) > 0 {
		s.cursor = spans[0].start
	}
}

func (s *Search) startWorkers(pages pagemap) {
	threads := s.options.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	threads = int(min(uint64(threads), s.stats.Total/jobSize+1))
	s.slots = make([]job, max(ringSize, 2*threads))
	var group sync.WaitGroup
	for range threads {
		w := &worker{memory: s.memory, form: s.form, pages: pages, scanner: newScanner(s.form), zeros: s.form.matchesZeros()}
		if pid := s.memory.PID(); pid > 0 {
			w.direct = &pwrite.ProcessVM{PID: pid}
		}
		group.Go(func() {
			for j := s.take(); j != nil; j = s.take() {
				s.finish(j, w.work(j))
			}
		})
	}
	go func() {
		group.Wait()
		pages.close()
	}()
}

// take returns the next job, or nil if there is none.
func (s *Search) take() *job {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for !s.stopped && len(s.spans) > 0 && (s.next-s.head == len(s.slots) || s.held > maxHeld) {
		s.workers.Wait()
	}
	if s.stopped || len(s.spans) == 0 {
		return nil
	}
	j := &s.slots[s.next%len(s.slots)]
	j.reset(s.cursor, min(s.cursor+jobSize, s.spans[0].runEnd), s.spans)
	s.next++
	for s.cursor = j.end; len(s.spans) > 0 && s.spans[0].end <= s.cursor; {
		if s.spans = s.spans[1:]; len(s.spans) > 0 {
			s.cursor = max(s.cursor, s.spans[0].start)
		}
	}
	return j
}

// finish takes a job that was worked on back.
func (s *Search) finish(j *job, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.stopped {
		return
	}
	if err != nil {
		s.end(err)
		return
	}
	j.done = true
	s.held += j.held()
	s.stats.Read += j.stats.Read
	s.stats.Untouched += j.stats.Untouched
	s.stats.Skipped += j.stats.Skipped
	s.done += j.end - j.start
	if s.options.Progress != nil && (s.done-s.shown >= progressStep || s.done == s.stats.Total) {
		s.shown = s.done
		s.options.Progress(s.done, s.stats.Total)
	}
	s.advance()
}

// advance leaves jobs without a match behind, so that the consumer sleeps through them.
func (s *Search) advance() {
	before := s.head
	for s.head < s.next {
		j := &s.slots[s.head%len(s.slots)]
		if !j.done || len(j.at) > 0 {
			break
		}
		s.head++
	}
	if s.head > before {
		s.workers.Broadcast()
	}
	if s.isReady() || s.isOver() {
		s.consumer.Signal() // else it would only wake up to sleep again
	}
}

// isReady reports whether the next job of the consumer is done.
func (s *Search) isReady() bool { return s.head < s.next && s.slots[s.head%len(s.slots)].done }

// isOver reports whether all was searched and taken by the consumer.
func (s *Search) isOver() bool { return s.head == s.next && len(s.spans) == 0 }

// await returns the next job with a match, or nil at the end.
func (s *Search) await() *job {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for !s.stopped && !s.isReady() && !s.isOver() {
		s.consumer.Wait()
	}
	if s.stopped || !s.isReady() {
		return nil
	}
	return &s.slots[s.head%len(s.slots)]
}

// release gives the slot of a job whose matches were yielded to the next one.
func (s *Search) release(j *job) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.stats.Matches += uint64(len(j.at))
	s.held -= j.held()
	j.at, j.bytes, j.data = nil, nil, nil
	s.advance()
}

// leave counts the matches of the last job.
func (s *Search) leave(matches int) {
	s.mutex.Lock()
	s.stats.Matches += uint64(matches)
	s.mutex.Unlock()
}

// stop ends the workers.
func (s *Search) stop(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.stopped {
		s.end(err)
	}
}

func (s *Search) end(err error) {
	s.stopped, s.err = true, err
	s.workers.Broadcast()
	s.consumer.Broadcast()
}

// outcome returns the error of a search that has come to its end.
func (s *Search) outcome() error {
	s.mutex.Lock()
	err, doubt := s.err, s.stats.Skipped+s.stats.Untouched > 0
	s.mutex.Unlock()
	if err == nil && doubt {
		err = alive(s.memory) // else nothing tells that all was skipped because it is gone
	}
	return err
}

// alive returns an error if the process is gone.
func alive(m Memory) error {
	for _, err := range m.Regions() {
		return err
	}
	return nil
}
