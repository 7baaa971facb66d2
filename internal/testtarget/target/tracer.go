// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var caught = map[syscall.Signal]*atomic.Uint64{}

func catchSignal(arguments []string) (string, error) {
	number, err := strconv.Atoi(arguments[0])
	if err != nil {
		return "", err
	}
	count := new(atomic.Uint64)
	caught[syscall.Signal(number)] = count
	signals := make(chan os.Signal, 1000)
	signal.Notify(signals, syscall.Signal(number))
	go func() {
		for range signals {
			count.Add(1)
		}
	}()
	return "", nil
}

func caughtSignals(arguments []string) (string, error) {
	number, err := strconv.Atoi(arguments[0])
	if err != nil {
		return "", err
	}
	count, ok := caught[syscall.Signal(number)]
	if !ok {
		return "", fmt.Errorf("signal %d is not caught", number)
	}
	return strconv.FormatUint(count.Load(), 10), nil
}

// vforkEnd is what the child of a vfork waits to be closed.
var vforkEnd [2]int

// startVfork puts a thread into the wait for the child of a vfork, in which
// nothing but a kill interrupts it. It returns once the child runs: from then on the
// thread does not come out of the kernel.
func startVfork([]string) (string, error) {
	var runs [2]int
	if err := errors.Join(unix.Pipe2(vforkEnd[:], 0), unix.Pipe2(runs[:], 0)); err != nil {
		return "", err
	}
	// The runtime does not know that the thread waits: it would wait for it before
	// each collection, and run nothing else in its place.
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	go func() {
		runtime.LockOSThread()
		vforkAndWait(uintptr(vforkEnd[0]), uintptr(vforkEnd[1]), uintptr(runs[1]))
	}()
	_, err := unix.Read(runs[0], make([]byte, 1))
	return "", err
}

// vforkAndWait makes a child with its own copy of the memory, which may run
// nothing of the Go runtime. The child writes a byte to say that it runs, and ends when
// the other pipe is closed.
//
//go:nosplit
//go:norace
func vforkAndWait(readEnd, writeEnd, runs uintptr) {
	child, _, errno := unix.RawSyscall6(unix.SYS_CLONE, unix.CLONE_VFORK|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if child != 0 || errno != 0 {
		return
	}
	var b byte
	unix.RawSyscall(unix.SYS_CLOSE, writeEnd, 0, 0)
	unix.RawSyscall(unix.SYS_WRITE, runs, uintptr(unsafe.Pointer(&b)), 1)
	unix.RawSyscall(unix.SYS_READ, readEnd, uintptr(unsafe.Pointer(&b)), 1)
	for {
		unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	}
}

func endVfork([]string) (string, error) { return "", unix.Close(vforkEnd[1]) }

// endFirstThread ends the thread whose number is the process's, alone.
func endFirstThread([]string) (string, error) {
	settled := make(chan struct{})
	defer close(settled)
	for range 1000 {
		isFirst := make(chan bool)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			isFirst <- unix.Gettid() == os.Getpid()
			if unix.Gettid() == os.Getpid() {
				unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
			}
			<-settled // so that the next one runs on another thread
		}()
		if <-isFirst {
			return "", nil
		}
	}
	return "", fmt.Errorf("nothing runs on the first thread")
}
