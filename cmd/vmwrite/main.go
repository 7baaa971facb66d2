// SPDX-License-Identifier: Apache-2.0

//go:build !share

// Command vmwrite writes into the memory of a running process with the meaning
// of Mach's vm_write: only where the process itself may write, all of it or
// nothing, and with the exact kern_return_t as its exit status.
package main

import (
	"os"
	"runtime"
)

// The kernel gives a signal to the main thread if that takes signals at all, even
// while it waits where no signal is looked at. So the main thread is kept out of
// the calls that may wait so, which are made in goroutines of their own (see
// caller), and signals always get through.
func init() { runtime.LockOSThread() }

func main() {
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}
