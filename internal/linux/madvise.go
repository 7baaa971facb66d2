package linux

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

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
