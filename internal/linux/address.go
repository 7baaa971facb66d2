package linux

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// AddressOf returns the address of the first byte of b, which must be memory
// that does not move, such as that of mmap(2); 0 for an empty b.
func AddressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// Unmap unmaps the pages of b: munmap(2), for a part of a mapping, which
// unix.Munmap refuses.
func Unmap(b []byte) error {
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
}

// pointer turns the address of memory that Go knows nothing of into a pointer.
func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }
