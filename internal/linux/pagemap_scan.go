// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Categories of pages, from the uapi header linux/fs.h.
const (
	PAGE_IS_PRESENT = 1 << 3
	PAGE_IS_SWAPPED = 1 << 4
)

// PAGEMAP_SCAN is the request number of the ioctl on /proc/PID/pagemap:
// _IOWR('f', 16, struct pm_scan_arg) in the uapi header linux/fs.h.
const PAGEMAP_SCAN = 0xc0606610

// PageRegion is struct page_region of linux/fs.h: pages side by side of the same
// categories, and End is the address behind them.
type PageRegion struct {
	Start, End uint64
	Categories uint64
}

// pmScanArg is struct pm_scan_arg of linux/fs.h.
type pmScanArg struct {
	size, flags, start, end, walkEnd      uint64
	vec, vecLen, maxPages                 uint64
	inverted, mask, anyOfMask, returnMask uint64
}

// ScanPagemap makes the PAGEMAP_SCAN ioctl (Linux 6.7) on fd, an open
// /proc/PID/pagemap. It fills regions with those pages from start to end that are of
// any of the categories, and returns how many it has filled. The walk ends before end
// where regions is full.
//
// Errors: ENOTTY when the kernel has no such ioctl, EINVAL for addresses that are not
// of pages, EFAULT for those that no process has.
func ScanPagemap(fd int, start, end, categories uint64, regions []PageRegion) (int, error) {
	arg := pmScanArg{start: start, end: end, anyOfMask: categories, returnMask: categories, vecLen: uint64(len(regions))}
	arg.size = uint64(unsafe.Sizeof(arg))
	// The kernel reads the address of regions from a field, where neither the compiler
	// nor the collector sees a pointer.
	var pinner runtime.Pinner
	defer pinner.Unpin()
	if len(regions) > 0 {
		pinner.Pin(&regions[0])
		arg.vec = uint64(uintptr(unsafe.Pointer(&regions[0])))
	}
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), PAGEMAP_SCAN, uintptr(unsafe.Pointer(&arg)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
