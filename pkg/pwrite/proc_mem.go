// SPDX-License-Identifier: Apache-2.0

package pwrite

import (
	"math"
	"os"
	"runtime"
	"strconv"

	"github.com/vmwrite/vmwrite/internal/poller"
	"golang.org/x/sys/unix"
)

// ProcMem moves bytes through an open /proc/PID/mem (proc_pid_mem(5)). It stays
// with the address space that it was opened on. It IGNORES the protection of
// the pages: it writes read-only, executable and even PROT_NONE memory, unless
// the kernel was started with proc_mem.force_override=never. Safe for
// concurrent use, but for Close.
type ProcMem struct {
	file *os.File
	fd   int
}

var _ Backend = (*ProcMem)(nil)

// OpenProcMem opens /proc/PID/mem for reading and writing, for which the kernel
// asks for the right to trace the process (PTRACE_MODE_ATTACH_FSCREDS in
// ptrace(2)). The error wraps the errno: ENOENT when there is no such process,
// EACCES or EPERM without the right.
func OpenProcMem(pid int) (*ProcMem, error) {
	file, err := poller.Open("/proc/"+strconv.Itoa(pid)+"/mem", unix.O_RDWR)
	if err != nil {
		return nil, err
	}
	return &ProcMem{file: file, fd: int(file.Fd())}, nil
}

// Close closes the file. No other call may be under way.
func (b *ProcMem) Close() error { return b.file.Close() }

// Write writes the segments. The error wraps an errno of write(2) (EIO for
// pages that cannot be faulted in), [ErrGone] or [ErrLocalFault].
func (b *ProcMem) Write(segments []Segment) (Position, error) {
	if p, err := checkSources("pwrite", segments); err != nil {
		return p, err
	}
	return transfer("pwrite", segments, func(p Position) (int, error) {
		return b.move(writing, segments, p)
	})
}

// Read fills the segments. The error wraps an errno of read(2) (EIO for pages
// that cannot be faulted in), [ErrGone] or [ErrLocalFault]. The kernel does not
// count the bytes, less than a page, that it moved last before a local fault.
func (b *ProcMem) Read(segments []Segment) (Position, error) {
	return transfer("pread", segments, func(p Position) (int, error) {
		return b.move(reading, segments, p)
	})
}

func (b *ProcMem) move(d direction, segments []Segment, p Position) (n int, err error) {
	address, data := p.next(segments)
	if len(data) > maxBytes {
		data = data[:maxBytes]
	}
	if address > math.MaxInt64 {
		return 0, unix.EIO // no file offset reaches there, and no memory of a process is there
	}
	for {
		if d == writing {
			n, err = unix.Pwrite(b.fd, data, int64(address))
		} else {
			n, err = unix.Pread(b.fd, data, int64(address))
		}
		if err != unix.EFAULT || len(data) <= os.Getpagesize() {
			break
		}
		// The kernel moves a page at a time, and forgets how many it has moved.
		data = data[:len(data)/2]
	}
	runtime.KeepAlive(b)
	switch {
	case err == nil && n == 0:
		err = ErrGone
	case err == unix.EFAULT: // of a page of the process it is EIO
		err = ErrLocalFault
	}
	return n, err
}
