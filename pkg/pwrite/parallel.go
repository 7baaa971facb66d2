// SPDX-License-Identifier: Apache-2.0

package pwrite

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/vmwrite/vmwrite/internal/linux"
)

const (
	// parallelFrom is from how many bytes on several threads move a segment. It
	// is also more than any that the compiler puts on a goroutine's stack, which
	// may move under the other goroutines.
	parallelFrom = 16 << 20
	// parallelChunk is what a thread takes at a time: long against the cost of
	// taking it, short against the whole. The kernel takes hold of as much at a
	// time, so that no call ends with a rest. Of 1, 2, 4 and 8 MiB it is the
	// fastest, by a little.
	parallelChunk = 4 << 20
	// maxThreads is how many threads move a segment at most: what a few of them
	// leave of a memory's bandwidth is not worth the others.
	maxThreads = 8
)

// Extent is a run of bytes of another process.
type Extent struct {
	Address uint64
	Size    uint64
}

// afterFaultError is the errno of a transfer by several threads, some of which had
// moved bytes that lie behind the first one that could not be moved.
type afterFaultError struct {
	extents []Extent
	errno   error
}

func (e *afterFaultError) Error() string { return e.errno.Error() }
func (e *afterFaultError) Unwrap() error { return e.errno }

// parallel is one run of bytes that several threads move, chunk by chunk.
type parallel struct {
	backend   ProcessVM
	direction direction
	address   uint64
	data      []byte

	next   atomic.Int64 // the next chunk to be taken
	failed atomic.Bool  // no further chunk is taken
	chunks []chunk      // each written by the thread that took it
}

// chunk is how far the transfer of a chunk came.
type chunk struct {
	moved int
	err   error
}

// threadsFor returns how many threads are to move so many bytes.
func threadsFor(size int) int {
	if size < parallelFrom {
		return 1
	}
	return min(runtime.GOMAXPROCS(0), maxThreads)
}

// moveParallel moves the bytes and returns how many of them, from the first on,
// were moved, and the errno of the next one.
func (b ProcessVM) moveParallel(d direction, address uint64, data []byte, threads int) (int, error) {
	p := &parallel{
		backend: b, direction: d, address: address, data: linux.Hide(data),
		chunks: make([]chunk, (len(data)+parallelChunk-1)/parallelChunk),
	}
	var group sync.WaitGroup
	for range threads - 1 {
		group.Go(p.work)
	}
	p.work()
	group.Wait()
	runtime.KeepAlive(data)
	return p.result()
}

// work moves chunks until there are no more, or one could not be moved.
func (p *parallel) work() {
	for !p.failed.Load() {
		i := int(p.next.Add(1)) - 1
		if i >= len(p.chunks) {
			return
		}
		if p.chunks[i] = p.move(i); p.chunks[i].err != nil {
			p.failed.Store(true)
		}
	}
}

// bounds returns where a chunk lies in the run.
func (p *parallel) bounds(i int) (start, end int) {
	start = i * parallelChunk
	return start, min(start+parallelChunk, len(p.data))
}

// move moves the bytes of a chunk, as far as it can be: they are too few to be
// moved by several threads again.
func (p *parallel) move(i int) chunk {
	start, end := p.bounds(i)
	segments := []Segment{{Address: p.address + uint64(start), Data: p.data[start:end]}}
	place, err := p.backend.transfer(p.direction, segments)
	if e, ok := errors.AsType[*TransferError](err); ok {
		err = e.Err
	}
	return chunk{moved: int(place.Moved(segments)), err: err}
}

// result says how far the bytes were moved without a gap, and names what lies
// behind the first gap.
func (p *parallel) result() (moved int, err error) {
	var after []Extent
	for i, c := range p.chunks {
		start, end := p.bounds(i)
		switch {
		case err == nil && c.err == nil && c.moved == end-start:
			moved += c.moved
		case err == nil:
			moved, err = moved+c.moved, c.err
		case c.moved > 0:
			after = appendExtent(after, Extent{p.address + uint64(start), uint64(c.moved)})
		}
	}
	if len(after) > 0 && p.direction == writing {
		err = &afterFaultError{after, err}
	}
	return moved, err
}

// appendExtent appends an extent, to the last one where they meet.
func appendExtent(extents []Extent, e Extent) []Extent {
	if last := len(extents) - 1; last >= 0 && extents[last].Address+extents[last].Size == e.Address {
		extents[last].Size += e.Size
		return extents
	}
	return append(extents, e)
}
