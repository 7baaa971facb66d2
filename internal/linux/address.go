package linux

import "unsafe"

// AddressOf returns the address of the first byte of b, which must be memory
// that does not move, such as that of mmap(2); 0 for an empty b.
func AddressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// pointer turns the address of memory that Go knows nothing of into a pointer.
func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }
