// SPDX-License-Identifier: Apache-2.0

//go:build !share

// A command ends long before a container is given other processors.
//go:debug updatemaxprocs=0

// Command vmwrite writes into the memory of a running process with the meaning
// of Mach's vm_write: only where the process itself may write, all of it or
// nothing, and with the exact kern_return_t as its exit status.
package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// The kernel gives a signal to the main thread if that takes it at all, even while it
// waits for a page, where no signal is looked at. So the main thread, on which Go runs
// this, takes none of those that end a program. The kernel then asks the other threads
// from the oldest on. That is the monitor of Go's runtime, which makes no calls on a
// process, and so signals always get through.
func init() { maskSignals(unix.SIG_BLOCK) }

func main() {
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}
