package linux

import "unsafe"

// AddressOf returns the address of the first byte of b, which must be memory
// that does not move, such as that of mmap(2); 0 for an empty b.
func AddressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// Hide returns b so that the compiler can't tell where it comes from, for bytes
// that other goroutines are given and that need not move to the heap for that.
// The caller keeps them alive until those are done, and must be sure that they do
// not lie on a goroutine's stack, which moves.
func Hide(b []byte) []byte { return unsafe.Slice((*byte)(pointer(AddressOf(b))), len(b)) }

// pointer turns the address of memory that Go knows nothing of into a pointer.
func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }
