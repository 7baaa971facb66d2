// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Flags of [ProcmapQuery], from enum procmap_query_flags in the uapi header
// linux/fs.h. The first four stand in VMAFlags of an answer; the others ask.
const (
	PROCMAP_QUERY_VMA_READABLE         = 0x01
	PROCMAP_QUERY_VMA_WRITABLE         = 0x02
	PROCMAP_QUERY_VMA_EXECUTABLE       = 0x04
	PROCMAP_QUERY_VMA_SHARED           = 0x08
	PROCMAP_QUERY_COVERING_OR_NEXT_VMA = 0x10
	PROCMAP_QUERY_FILE_BACKED_VMA      = 0x20
)

// PROCMAP_QUERY is the request number of the ioctl on /proc/PID/maps:
// _IOWR('f', 17, struct procmap_query) in the uapi header linux/fs.h. Every
// architecture that Go supports on Linux but mips and ppc64 encodes it so.
const PROCMAP_QUERY = 0xc0686611

// ProcmapQuery is struct procmap_query of the uapi header linux/fs.h, with the
// same layout on 32-bit and 64-bit machines: every field is naturally aligned
// in its place.
type ProcmapQuery struct {
	Size        uint64
	QueryFlags  uint64
	QueryAddr   uint64
	VMAStart    uint64
	VMAEnd      uint64
	VMAFlags    uint64
	VMAPageSize uint64
	VMAOffset   uint64
	Inode       uint64
	DevMajor    uint32
	DevMinor    uint32
	VMANameSize uint32
	BuildIDSize uint32
	vmaNameAddr uint64
	buildIDAddr uint64
}

// QueryProcmap makes the PROCMAP_QUERY ioctl (Linux 6.11) on fd, an open
// /proc/PID/maps. It sets q.Size itself. With an empty name no name is asked
// for; otherwise up to len(name) bytes of it, with a final NUL that
// q.VMANameSize counts, are stored there.
//
// Errors: ENOENT when nothing matches, ESRCH when the address space is gone,
// ENAMETOOLONG when the name does not fit in name or in the kernel's page,
// ENOTTY when the kernel has no such ioctl.
func QueryProcmap(fd int, q *ProcmapQuery, name []byte) error {
	q.Size = uint64(unsafe.Sizeof(*q))
	q.VMANameSize = uint32(len(name))
	q.vmaNameAddr = 0
	q.BuildIDSize, q.buildIDAddr = 0, 0
	// The kernel reads the address of name from a field, where neither the compiler
	// nor the collector sees a pointer.
	var pinner runtime.Pinner
	defer pinner.Unpin()
	if len(name) > 0 {
		pinner.Pin(&name[0])
		q.vmaNameAddr = uint64(AddressOf(name))
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), PROCMAP_QUERY, uintptr(unsafe.Pointer(q)))
	if errno != 0 {
		return errno
	}
	return nil
}
