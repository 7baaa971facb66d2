package linux

import (
	"math"

	"golang.org/x/sys/unix"
)

// Mmap maps anonymous memory of this process at an address that is not Go's:
// mmap(2). It returns where.
func Mmap(start, length uint64, prot, flags int) (uint64, error) {
	if start > math.MaxUint || length > math.MaxUint {
		return 0, unix.EOVERFLOW
	}
	// MmapPtr makes the call of each architecture: some have mmap2 only.
	p, err := unix.MmapPtr(-1, 0, pointer(uintptr(start)), uintptr(length), prot, flags)
	return uint64(uintptr(p)), err
}

// Mprotect changes the protection of memory of this process: mprotect(2).
func Mprotect(start, length uint64, prot int) error {
	return onRange(unix.SYS_MPROTECT, start, length, uintptr(prot))
}

// Munmap unmaps memory of this process: munmap(2).
func Munmap(start, length uint64) error { return onRange(unix.SYS_MUNMAP, start, length, 0) }

func onRange(number uintptr, start, length uint64, argument uintptr) error {
	if start > math.MaxUint || length > math.MaxUint {
		return unix.EOVERFLOW
	}
	if _, _, errno := unix.Syscall(number, uintptr(start), uintptr(length), argument); errno != 0 {
		return errno
	}
	return nil
}
