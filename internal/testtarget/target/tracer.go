package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// churn starts relays of threads: each creates the next one and ends.
func churn(arguments []string) (string, error) {
	count, err := strconv.Atoi(arguments[0])
	if err != nil {
		return "", err
	}
	for range count {
		counter := new(atomic.Uint64)
		counters = append(counters, counter)
		go relay(counter)
	}
	return "", nil
}

func relay(counter *atomic.Uint64) {
	// A goroutine that ends on a locked thread ends the thread.
	runtime.LockOSThread()
	counter.Add(1)
	go relay(counter)
}

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
// nothing but a kill interrupts it.
func startVfork([]string) (string, error) {
	if err := unix.Pipe2(vforkEnd[:], 0); err != nil {
		return "", err
	}
	go func() {
		runtime.LockOSThread()
		vforkAndWait(uintptr(vforkEnd[0]), uintptr(vforkEnd[1]))
	}()
	return "", nil
}

// vforkAndWait makes a child with its own copy of the memory, which may run
// nothing of the Go runtime. The child ends when the pipe is closed.
//
//go:nosplit
//go:norace
func vforkAndWait(readEnd, writeEnd uintptr) {
	child, _, errno := unix.RawSyscall6(unix.SYS_CLONE, unix.CLONE_VFORK|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if child != 0 || errno != 0 {
		return
	}
	unix.RawSyscall(unix.SYS_CLOSE, writeEnd, 0, 0)
	unix.RawSyscall(unix.SYS_READ, readEnd, 0, 0)
	for {
		unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	}
}

func endVfork([]string) (string, error) { return "", unix.Close(vforkEnd[1]) }
