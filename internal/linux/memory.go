// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"math"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// AddressOf returns the address of the first byte of b, which must be memory
// that does not move, such as that of mmap(2); 0 for an empty b.
func AddressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// Hide returns b so that the compiler can't tell where it comes from, for bytes
// that need not move to the heap because of what they are given to. The caller keeps
// them alive for as long, and must be sure that they do not lie on a goroutine's stack,
// which moves, or that the pointer to them lies on the same one and moves with it.
func Hide(b []byte) []byte {
	return unsafe.Slice((*byte)(hidden(unsafe.Pointer(unsafe.SliceData(b)))), len(b))
}

// hidden returns p. No function is called, and so the stack does not move, while only a
// number tells where the bytes are, not even one that checks pointers.
//
//go:nosplit
//go:nocheckptr
func hidden(p unsafe.Pointer) unsafe.Pointer {
	address := uintptr(p)
	return *(*unsafe.Pointer)(unsafe.Pointer(&address))
}

// pointer turns the address of memory that Go knows nothing of into a pointer.
func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

// MadvisePages gives advice on the pages that b lies in: madvise(2), which takes the
// address of a page only. b may lie on a goroutine's stack.
func MadvisePages(b []byte, advice int) error {
	in := uintptr(os.Getpagesize() - 1)
	p := unsafe.Pointer(unsafe.SliceData(b))
	_, _, errno := unix.Syscall(unix.SYS_MADVISE, uintptr(p)&^in, uintptr(p)&in+uintptr(len(b)), uintptr(advice))
	runtime.KeepAlive(b)
	if errno != 0 {
		return errno
	}
	return nil
}

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

// Madvise gives advice on memory of this process: madvise(2).
func Madvise(start, length uint64, advice int) error {
	return onRange(unix.SYS_MADVISE, start, length, uintptr(advice))
}

// Msync writes shared memory of this process to its file: msync(2).
func Msync(start, length uint64, flags int) error {
	return onRange(unix.SYS_MSYNC, start, length, uintptr(flags))
}

// MapAgain maps the shared memory of this process at start once more, at another
// address, in place of what is mapped there: mremap(2) with an old length of 0.
func MapAgain(start, length, at uint64) error { return mremap(start, 0, length, at) }

// Move moves memory of this process, which must be one mapping, to another address,
// in place of what is mapped there: mremap(2).
func Move(start, length, to uint64) error { return mremap(start, length, length, to) }

func mremap(start, oldLength, length, to uint64) error {
	if start > math.MaxUint || length > math.MaxUint || to > math.MaxUint {
		return unix.EOVERFLOW
	}
	const flags = unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED
	_, _, errno := unix.Syscall6(unix.SYS_MREMAP, uintptr(start), uintptr(oldLength), uintptr(length), flags, uintptr(to), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func onRange(number uintptr, start, length uint64, argument uintptr) error {
	if start > math.MaxUint || length > math.MaxUint {
		return unix.EOVERFLOW
	}
	if _, _, errno := unix.Syscall(number, uintptr(start), uintptr(length), argument); errno != 0 {
		return errno
	}
	return nil
}
