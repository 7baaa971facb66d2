// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// mostProbes is how many pages process_vm_readv looks at in one call: IOV_MAX.
const mostProbes = 1024

var (
	// ownPID stays true: after a fork no Go function is called (see process.c).
	ownPID = os.Getpid()
	// probed takes what the kernel reads. Nobody looks at it.
	probed [mostProbes]byte
)

// ownReadable reports whether this process can read its own memory there. One
// byte of each page is read by the kernel, for a signal would end the program.
func ownReadable(address, size uint64) bool {
	page := uint64(os.Getpagesize())
	last := address + size - 1
	if last < address || last > math.MaxUint {
		return false
	}
	var one [1]unix.RemoteIovec
	probes := one[:0]
	for at := address; ; at = (at | (page - 1)) + 1 {
		probes = append(probes, unix.RemoteIovec{Base: uintptr(at), Len: 1})
		end := at|(page-1) >= last
		if (end || len(probes) == mostProbes) && !canRead(probes) {
			return false
		}
		if end {
			return true
		}
		if len(probes) == mostProbes {
			probes = probes[:0]
		}
	}
}

func canRead(probes []unix.RemoteIovec) bool {
	local := [1]unix.Iovec{{Base: &probed[0]}}
	local[0].SetLen(len(probes))
	n, err := unix.ProcessVMReadv(ownPID, local[:], probes, 0)
	if err == unix.EFAULT || (err == nil && n < len(probes)) {
		return false
	}
	if err == nil {
		return true
	}
	// A sandbox refuses that call: go through the task, a page at a time.
	us, err := ownTask()
	if err != nil {
		return false
	}
	for _, probe := range probes {
		if err := us.ReadOverwrite(uint64(probe.Base), make([]byte, 1)); err != nil {
			return false
		}
	}
	return true
}
