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
