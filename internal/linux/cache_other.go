// SPDX-License-Identifier: Apache-2.0

//go:build !arm64

package linux

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// SyncCode makes what was written to memory of this process what its threads execute. On
// x86 the processor does that. The error is ENOSYS where it is not known how to.
func SyncCode(start, length uint64) error {
	if runtime.GOARCH == "amd64" || runtime.GOARCH == "386" {
		return nil
	}
	return unix.ENOSYS
}
