// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"runtime/debug"

	"golang.org/x/sys/unix"
)

func syncCode(start, end uintptr)

// SyncCode makes what was written to memory of this process what its threads execute.
// The error is EFAULT for memory that can't be read.
func SyncCode(start, length uint64) (err error) {
	if length == 0 {
		return nil
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = unix.EFAULT
		}
	}()
	syncCode(uintptr(start), uintptr(start+length))
	return nil
}
