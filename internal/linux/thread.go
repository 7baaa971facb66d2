// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// RobustList returns where the thread tid has its list of robust futexes, 0 when it
// has registered none: get_robust_list(2). A thread of 32 bits shows none to one of
// 64.
func RobustList(tid int) (uintptr, error) {
	var head, length uintptr
	_, _, errno := unix.Syscall(unix.SYS_GET_ROBUST_LIST, uintptr(tid), uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&length)))
	if errno != 0 {
		return 0, errno
	}
	return head, nil
}

// SharesMemory reports whether two processes have one memory, as after a clone with
// CLONE_VM: kcmp(2) with KCMP_VM. The caller must be allowed to trace both. The error is
// ENOSYS from a kernel without CONFIG_KCMP, and EPERM from many sandboxes.
func SharesMemory(pid, other int) (bool, error) {
	const kcmpVM = 1 // of the uapi header linux/kcmp.h
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(pid), uintptr(other), kcmpVM, 0, 0, 0)
	if errno != 0 {
		return false, errno
	}
	return order == 0, nil
}
