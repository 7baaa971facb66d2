// SPDX-License-Identifier: Apache-2.0

// Package pwrite moves bytes into and out of another process, by
// process_vm_writev(2) or through /proc/PID/mem (proc_pid_mem(5)).
//
// It holds no policy. It does not look at what is mapped, does not choose
// between the two and does not fall back from one to the other: they differ in
// what they may write, and only the caller knows what was promised.
package pwrite

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/vmwrite/vmwrite/internal/linux"
	"golang.org/x/sys/unix"
)

// Segment is one run of bytes at one address of another process.
type Segment struct {
	Address uint64 // where the first byte of Data goes, or comes from
	Data    []byte
}

// Position is a place in a list of segments: a byte of one of them. After a
// whole transfer it is {len(segments), 0}.
type Position struct {
	Segment int // index of the segment
	Offset  int // bytes of that segment that were moved
}

// Backend moves the bytes of segments, in their order, until all are moved or
// one can't be. Nothing is written (from Linux 5.14 on) when the Data of a segment
// is longer than a page and its last page cannot be read, as that of a mapped file
// that has become shorter. Both methods return the place of the first byte that was
// not moved, and nil exactly when there is none: a *[TransferError] otherwise.
type Backend interface {
	Write(segments []Segment) (Position, error)
	Read(segments []Segment) (Position, error)
}

// Most that one call moves: MAX_RW_COUNT and UIO_MAXIOV of the kernel.
const (
	MaxBytes    = 0x7ffff000
	MaxSegments = 1024
)

// maxBytes is MaxBytes, but in a test that has no gigabytes to move.
var maxBytes = MaxBytes

// ErrGone means that the file no longer has an address space behind it: a
// /proc/PID/mem whose process exited or ran another program moves 0 bytes. It
// wraps ESRCH.
var ErrGone = fmt.Errorf("the address space is gone: %w", unix.ESRCH)

// ErrNotFound means that process_vm_writev or process_vm_readv found no memory by
// the pid: there is no such process, or its first thread has ended. It wraps ESRCH.
var ErrNotFound = fmt.Errorf("no memory is found by the pid: %w", unix.ESRCH)

// ErrRefused means that the call itself is refused, whatever the process is.
var ErrRefused = errors.New("the kernel lacks the call, or a seccomp filter forbids it")

// ErrLocalFault means that the Data of a segment could not be read, or written: that
// of a file mapping that has become shorter, say. It wraps EFAULT.
var ErrLocalFault = fmt.Errorf("the caller's own memory cannot be faulted in: %w", unix.EFAULT)

// TransferError says which call ended a transfer, and at which address. It
// wraps the errno, and where that is the reason [ErrGone], [ErrNotFound],
// [ErrRefused] or [ErrLocalFault].
type TransferError struct {
	Call              string   // as "process_vm_writev"
	Address           uint64   // of the first byte that was not moved
	WrittenAfterFault []Extent // what was written after it all the same
	Err               error
}

// Error returns the call, the address and the reason.
func (e *TransferError) Error() string {
	return fmt.Sprintf("%s at %#x: %v", e.Call, e.Address, e.Err)
}

// Unwrap returns the reason.
func (e *TransferError) Unwrap() error { return e.Err }

// Moved returns how many bytes of segments lie before p.
func (p Position) Moved(segments []Segment) uint64 {
	n := uint64(p.Offset)
	for _, s := range segments[:p.Segment] {
		n += uint64(len(s.Data))
	}
	return n
}

// skipEmpty moves p over segments of which nothing is left.
func (p Position) skipEmpty(segments []Segment) Position {
	for p.Segment < len(segments) && p.Offset == len(segments[p.Segment].Data) {
		p = Position{Segment: p.Segment + 1}
	}
	return p
}

// advance returns the place n bytes behind p.
func (p Position) advance(segments []Segment, n int) Position {
	for n > 0 {
		left := len(segments[p.Segment].Data) - p.Offset
		if n < left {
			return Position{p.Segment, p.Offset + n}
		}
		n -= left
		p = Position{Segment: p.Segment + 1}
	}
	return p
}

// next returns the address of the byte at p, and the bytes from there to the
// end of its segment.
func (p Position) next(segments []Segment) (address uint64, rest []byte) {
	s := &segments[p.Segment]
	return s.Address + uint64(p.Offset), s.Data[p.Offset:]
}

// checkSources returns an error when the data of a segment cannot be read to its end,
// because it is the mapping of a file that has become shorter. Its last page tells: to
// look at all of them would make a long write half as long again. Data inside one page
// alone is left to the write itself, which moves all or none of it.
func checkSources(call string, segments []Segment) (Position, error) {
	page, checked := uintptr(os.Getpagesize()), uintptr(0)
	for i := range segments {
		data := segments[i].Data
		first := linux.AddressOf(data)
		last := (first + uintptr(len(data)) - 1) &^ (page - 1)
		if len(data) == 0 || last == checked || (len(segments) == 1 && first >= last) {
			continue
		}
		checked = last
		switch linux.MadvisePages(data[len(data)-1:], unix.MADV_POPULATE_READ) {
		case unix.EFAULT, unix.ENOMEM, unix.EHWPOISON:
			p := Position{}.skipEmpty(segments)
			return p, newTransferError(call, segments, p, ErrLocalFault)
		}
	}
	return Position{}, nil
}

// transfer calls move until every byte is moved. A short count without an error
// says nothing of the reason, so it goes on at the first byte that is missing,
// and that byte's own call either moves it or names its errno.
func transfer(call string, segments []Segment, move func(Position) (int, error)) (Position, error) {
	p := Position{}.skipEmpty(segments)
	for p.Segment < len(segments) {
		n, err := move(p)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n <= 0 {
			err = io.ErrNoProgress
		}
		if err != nil {
			p = p.advance(segments, n)
			return p, newTransferError(call, segments, p, err)
		}
		p = p.advance(segments, n).skipEmpty(segments)
	}
	return p, nil
}

func newTransferError(call string, segments []Segment, p Position, err error) *TransferError {
	address, _ := p.next(segments)
	e := &TransferError{Call: call, Address: address, Err: err}
	if after, ok := errors.AsType[*afterFaultError](err); ok {
		e.WrittenAfterFault, e.Err = after.extents, after.errno
	}
	return e
}
