// SPDX-License-Identifier: Apache-2.0

// Package hold keeps values in the memory of a process: it looks at them many times
// a second, and writes those back that the process has changed.
//
// A tick is one batch that reads and, if some values do not hold, one that writes
// them. No byte but a value's own is written, and a value that holds is not written.
// Where a value lies may be found anew each time (see [Place]), as that of an object
// which the process moves.
//
// It holds no process: open one with [machcompat.TaskForPID]. A tick stops no thread
// of the process if that is opened with [machcompat.WithStop] and
// [machcompat.StopNever]. Otherwise it does where bytes must go through
// /proc/PID/mem, and some programs, as games in Proton, are known to hang when they
// are stopped many times a second.
package hold

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// MaxEntries is how many values one [Holder] keeps.
const MaxEntries = 100_000

// Memory is that of the process: a [*machcompat.Task].
type Memory interface {
	ReadBatch(segments []machcompat.Segment) error
	WriteBatch(segments []machcompat.Segment) error
	Regions() iter.Seq2[procmaps.Mapping, error]
}

// Entry is one value to be kept.
type Entry struct {
	Name  string // for events; it may be empty
	Place Place
	Type  Type
	Mode  Mode
	// Value is the bytes of the value in the byte order of this machine: what is to
	// be there, or the limit. For [OnlyUp] and [OnlyDown] it is where to begin from,
	// or nil for what is there at first.
	Value []byte
}

// EntryError says which entry [New] refuses, and why.
type EntryError struct {
	Entry int // its index
	Name  string
	Err   error
}

// Error returns the number, the name and the reason.
func (e *EntryError) Error() string { return fmt.Sprintf("entry %d (%q): %v", e.Entry, e.Name, e.Err) }

// Unwrap returns the reason.
func (e *EntryError) Unwrap() error { return e.Err }

// Event says that an entry vanished, or came back: each once, however often it is
// tried meanwhile. An entry has vanished when its place can't be found, or its value
// can't be read or written.
type Event struct {
	Entry   int // its index
	Name    string
	Back    bool
	Address uint64 // where it is now; of one that has vanished 0
	Err     error  // why it vanished; nil when it is back
}

// Option changes how [New] makes a [Holder].
type Option func(*Holder)

// OnEvent has f called for each event, in the tick in which it is found, which waits
// for f.
func OnEvent(f func(Event)) Option { return func(h *Holder) { h.event = f } }

// Summary counts what was done.
type Summary struct {
	Ticks    uint64
	Late     uint64 // ticks of the schedule that were left out, because it was too late for them
	Writes   uint64 // values that were written
	Changed  uint64 // how often a value held, and then no longer did
	Moved    uint64 // how often a place was found anew because a pointer had changed
	Vanished uint64 // events of each kind
	Back     uint64
}

// Holder keeps values. It is not safe for concurrent use.
type Holder struct {
	memory  Memory
	event   func(Event)
	entries []Entry
	held    []held
	summary Summary

	// What a tick reads: the pointers of an entry, then its value. owners tells the
	// entry of each segment. They are made anew when an entry comes, goes or moves.
	reads  segments
	dirty  bool
	writes segments // filled in each tick

	// Entries that are not read: those that wait for the next round of attempts to
	// find them, those of the round that is under way, and those that were found in
	// this tick.
	waiting, trying, found []int32
	nextRound              time.Time
	spans                  []procmaps.Span // what was mapped at the begin of the round
	swept                  bool            // in this tick
	nextRecheck            time.Time
}

// segments are runs of bytes, and the entry that each is of.
type segments struct {
	runs   []machcompat.Segment
	owners []int32
}

func (s *segments) clear() { s.runs, s.owners = s.runs[:0], s.owners[:0] }

func (s *segments) add(owner int32, run machcompat.Segment) {
	s.runs, s.owners = append(s.runs, run), append(s.owners, owner)
}

// from returns the segments from the i-th on.
func (s segments) from(i int) segments { return segments{s.runs[i:], s.owners[i:]} }

// held is an entry, as it is now.
type held struct {
	place    Place
	address  uint64
	links    []Link
	want     []byte // what is written when the value does not hold
	kind     Type
	mode     Mode
	begun    bool // want is set: always, but for OnlyUp and OnlyDown at first
	out      bool // it is not read
	settled  bool // it held when it was last looked at, or was written
	vanished bool // which was said
}

// New makes a Holder for entries in m. It reads and writes nothing; the first tick
// looks for all of them. The error is an [*EntryError], or one of too many entries.
func New(m Memory, entries []Entry, options ...Option) (*Holder, error) {
	if len(entries) > MaxEntries {
		return nil, fmt.Errorf("%d values are more than the %d that can be held", len(entries), MaxEntries)
	}
	size := 0
	for i := range entries {
		if err := entries[i].confirm(); err != nil {
			return nil, &EntryError{Entry: i, Name: entries[i].Name, Err: err}
		}
		size += entries[i].size()
	}
	if err := confirmApart(entries); err != nil {
		return nil, err
	}
	h := &Holder{memory: m, event: func(Event) {}, entries: slices.Clone(entries), held: make([]held, len(entries))}
	for _, option := range options {
		option(h)
	}
	// Values that lie side by side are made sure of at once before they are written.
	values := make([]byte, size)
	for i := range entries {
		e := &entries[i]
		want := values[:e.size():e.size()]
		values = values[e.size():]
		copy(want, e.Value)
		h.held[i] = held{place: e.Place, want: want, kind: e.Type, mode: e.Mode, begun: e.Value != nil, out: true}
		h.waiting = append(h.waiting, int32(i))
	}
	return h, nil
}

// confirmApart refuses values at addresses that stay and overlap: they would take turns.
func confirmApart(entries []Entry) error {
	var order []int
	for i := range entries {
		if _, ok := entries[i].Place.(fixed); ok {
			order = append(order, i)
		}
	}
	at := func(i int) uint64 { return uint64(entries[i].Place.(fixed)) }
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(at(a), at(b)), a-b) })
	for n := 1; n < len(order); n++ {
		before, next := order[n-1], order[n]
		if at(next)-at(before) < uint64(entries[before].size()) {
			later, other := max(before, next), min(before, next)
			return &EntryError{Entry: later, Name: entries[later].Name, Err: fmt.Errorf("it overlaps entry %d (%q)", other, entries[other].Name)}
		}
	}
	return nil
}

// size returns the bytes of the value.
func (e *Entry) size() int {
	if e.Type == Bytes {
		return len(e.Value)
	}
	return e.Type.Size()
}

func (e *Entry) confirm() error {
	switch {
	case e.Place == nil:
		return errors.New("it has no place")
	case e.Mode > OnlyDown:
		return fmt.Errorf("there is no %v", e.Mode)
	case e.Type == 0 || e.Type > Bytes:
		return fmt.Errorf("there is no %v", e.Type)
	case e.Type == Bytes && (e.Mode != Constant || len(e.Value) == 0):
		return errors.New("bytes have no order, so they can only be constant, and must be there")
	case e.Value == nil && e.Mode != OnlyUp && e.Mode != OnlyDown:
		return fmt.Errorf("a value that is to be %v is missing", e.Mode)
	case e.Value != nil && len(e.Value) != e.size():
		return fmt.Errorf("%v has %d bytes, not %d", e.Type, e.size(), len(e.Value))
	case e.Value != nil && e.Mode != Constant && e.Type.isNaN(e.Value):
		return errors.New("nothing is more or less than a NaN")
	}
	return nil
}

// Summary returns the counts up to now.
func (h *Holder) Summary() Summary { return h.summary }

// Fixed is a place whose address stays.
func Fixed(address uint64) Place { return fixed(address) }

type fixed uint64

func (f fixed) Resolve() (uint64, []Link, error) { return uint64(f), nil, nil }

// Place is where a value lies.
type Place interface {
	// Resolve finds the address, and returns the pointers that it has read on the
	// way. Until one of them changes the address is taken to stay. It is called in
	// a tick: at first, when a pointer has changed, and about once a second while
	// the entry has vanished.
	Resolve() (address uint64, links []Link, err error)
}

// Mover is a [Place] that may move though no pointer has changed, as one in a library that
// is unloaded.
type Mover interface {
	// Moved reports whether the place should be found anew. It is asked about once a
	// second, in a tick.
	Moved() bool
}

// Link is a pointer in the process by which a place was found.
type Link struct {
	Address uint64 // where it is
	Value   uint64 // the address that it held
	Size    int    // its bytes: 4 or 8
}

// maxLinks bounds the pointers of one place.
const maxLinks = 1024

var errLinks = errors.New("the place has pointers that are not of 4 or 8 bytes, or too many")

func confirmLinks(links []Link) error {
	if len(links) > maxLinks {
		return errLinks
	}
	for i := range links {
		if links[i].Size != 4 && links[i].Size != 8 || links[i].Address > math.MaxUint64-8 {
			return errLinks
		}
	}
	return nil
}
