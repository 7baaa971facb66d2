// SPDX-License-Identifier: Apache-2.0

package pwrite

import (
	"fmt"
	"math"
	"os"
	"sync"

	"github.com/vmwrite/vmwrite/internal/linux"
	"golang.org/x/sys/unix"
)

// ProcessVM moves bytes with process_vm_writev(2) and process_vm_readv(2). The
// kernel checks each page's protection as for the process itself, and answers
// EFAULT both for a page that is not mapped and for one that is protected.
// Safe for concurrent use.
//
// Several threads move a segment of 16 MiB or more, as many as Go runs at a time
// (GOMAXPROCS), up to 8. When some byte of it can't be moved, others behind that
// may have been: [TransferError] names them.
type ProcessVM struct {
	// PID is the process. The kernel looks it up at each call: after exec it is
	// another program, and after exit it may be another process.
	PID int
}

var _ Backend = ProcessVM{}

// Write writes the segments, in as many calls as that takes. The error wraps an errno
// of process_vm_writev(2), also [ErrRefused], [ErrNotFound] or [ErrLocalFault] where
// that is the reason, or EOVERFLOW for a segment whose end this machine's word can't
// hold.
func (b ProcessVM) Write(segments []Segment) (Position, error) {
	if p, err := checkSources("process_vm_writev", segments); err != nil {
		return p, err
	}
	return b.transfer(writing, segments)
}

// Read fills the segments. Its errors are those of Write, of process_vm_readv(2).
func (b ProcessVM) Read(segments []Segment) (Position, error) {
	return b.transfer(reading, segments)
}

func (b ProcessVM) transfer(d direction, segments []Segment) (Position, error) {
	call := "process_vm_readv"
	if d == writing {
		call = "process_vm_writev"
	}
	return transfer(call, segments, func(p Position) (int, error) { return b.move(d, segments, p) })
}

// WriteOnce makes one call for one run of bytes, and returns how many of them it
// moved and why no more. Of bytes that lie in one page, of ours and of the process, it
// moves all or none.
func (b ProcessVM) WriteOnce(address uint64, data []byte) (int, error) {
	if len(data) == 0 {
		return 0, nil
	}
	if address > math.MaxUint-uint64(len(data)) {
		return 0, unix.EOVERFLOW
	}
	return b.once(writing, address, data)
}

// once makes one call for bytes that there are, at addresses that a word holds.
func (b ProcessVM) once(d direction, address uint64, data []byte) (int, error) {
	data = data[:min(len(data), maxBytes)]
	local := [1]unix.Iovec{{Base: &data[0]}}
	local[0].SetLen(len(data))
	remote := [1]unix.RemoteIovec{{Base: uintptr(address), Len: len(data)}}
	return b.call(d, local[:], remote[:])
}

// direction is a value and not a function, because what is passed to a function
// value is moved to the heap: the callers' bytes with it.
type direction bool

const (
	reading direction = false
	writing direction = true
)

// move makes one call for the segments from p on.
func (b ProcessVM) move(d direction, segments []Segment, p Position) (int, error) {
	if left := len(segments) - p.Segment; left > 1 && threadsFor(len(segments[p.Segment].Data)-p.Offset) == 1 {
		if left <= few {
			return b.moveFew(d, segments, p)
		}
		return b.moveMany(d, segments, p)
	}
	address, data, err := nextInWord(segments, p, math.MaxInt)
	if err != nil {
		return 0, err
	}
	if threads := threadsFor(len(data)); threads > 1 {
		return b.moveParallel(d, address, data, threads)
	}
	return b.once(d, address, data)
}

// few is how many segments are described in little memory: that of MaxSegments takes
// as long to be cleared as a call or two.
const few = 32

// moveFew and moveMany are apart so that a call needs, and clears, no more of the
// stack than its segments take.
//
//go:noinline
func (b ProcessVM) moveFew(d direction, segments []Segment, p Position) (int, error) {
	var local [few]unix.Iovec
	var remote [few]unix.RemoteIovec
	n, err := describe(segments, p, local[:], remote[:])
	if err != nil {
		return 0, err
	}
	return b.call(d, local[:n], remote[:n])
}

//go:noinline
func (b ProcessVM) moveMany(d direction, segments []Segment, p Position) (int, error) {
	var local [MaxSegments]unix.Iovec
	var remote [MaxSegments]unix.RemoteIovec
	n, err := describe(segments, p, local[:], remote[:])
	if err != nil {
		return 0, err
	}
	return b.call(d, local[:n], remote[:n])
}

// describe describes to the kernel what one call moves of the segments from p on,
// and returns how many of the descriptions it has filled. They must lie on the stack,
// for which the callers' bytes need not move to the heap.
func describe(segments []Segment, p Position, local []unix.Iovec, remote []unix.RemoteIovec) (n int, err error) {
	budget := maxBytes
	for ; p.Segment < len(segments) && n < len(local) && budget > 0; p = (Position{Segment: p.Segment + 1}) {
		address, data, err := nextInWord(segments, p, budget)
		switch {
		case err != nil && n == 0:
			return 0, err
		case err != nil, n > 0 && threadsFor(len(segments[p.Segment].Data)) > 1:
			return n, nil // what precedes it goes alone: it can't be moved, or has a call to itself
		case len(data) == 0:
			continue
		}
		local[n].Base = &linux.Hide(data)[0]
		local[n].SetLen(len(data))
		remote[n] = unix.RemoteIovec{Base: uintptr(address), Len: len(data)}
		budget -= len(data)
		n++
	}
	return n, nil
}

// nextInWord is [Position.next], of at most limit bytes, for addresses that a
// word holds: the whole address space but on 32-bit machines.
func nextInWord(segments []Segment, p Position, limit int) (uint64, []byte, error) {
	address, data := p.next(segments)
	if len(data) > limit {
		data = data[:limit]
	}
	if address > math.MaxUint-uint64(len(data)) {
		return 0, nil, unix.EOVERFLOW
	}
	return address, data, nil
}

func (b ProcessVM) call(d direction, local []unix.Iovec, remote []unix.RemoteIovec) (int, error) {
	n, err := call(b.PID, d, local, remote)
	if err != nil {
		err = reason(d, local[0], err)
	}
	return n, err
}

// reason returns what an errno of a call means.
func reason(d direction, first unix.Iovec, errno error) error {
	switch errno {
	case unix.ESRCH:
		return ErrNotFound
	case unix.EFAULT:
		if localFault(d, first) {
			return ErrLocalFault
		}
	case unix.ENOSYS:
		return refusal(unix.ENOSYS)
	case unix.EPERM:
		// The kernel always allows a transfer of nothing, which says nothing of the
		// process. A filter can't tell it from another: it sees no segments.
		if _, err := call(os.Getpid(), d, nil, nil); err != nil {
			return refusal(unix.EPERM)
		}
	}
	return errno
}

func refusal(errno unix.Errno) error { return fmt.Errorf("%w: %w", ErrRefused, errno) }

// aByte is what localFault moves, at an address that stays.
var aByte struct {
	sync.Mutex
	value [1]byte
}

// localFault reports whether the first byte of ours is the one that faulted: the
// kernel answers EFAULT to that as to a byte of the process, and has moved none. The
// byte is moved out and, to be read into, back in, without the process.
func localFault(d direction, local unix.Iovec) bool {
	aByte.Lock()
	defer aByte.Unlock()
	local.SetLen(1)
	ours := [1]unix.Iovec{local}
	here := [1]unix.RemoteIovec{{Base: linux.AddressOf(aByte.value[:]), Len: 1}}
	_, err := call(os.Getpid(), writing, ours[:], here[:])
	if err == nil && d == reading {
		_, err = call(os.Getpid(), reading, ours[:], here[:])
	}
	return err == unix.EFAULT
}

func call(pid int, d direction, local []unix.Iovec, remote []unix.RemoteIovec) (int, error) {
	if d == writing {
		return unix.ProcessVMWritev(pid, local, remote, 0)
	}
	return unix.ProcessVMReadv(pid, local, remote, 0)
}
