// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/vmwrite/vmwrite/internal/testtarget/seccomp"
	"golang.org/x/sys/unix"
)

var counters []*atomic.Uint64

func threads(arguments []string) (string, error) {
	count, err := strconv.Atoi(arguments[0])
	if err != nil {
		return "", err
	}
	started := make(chan struct{})
	for range count {
		counter := new(atomic.Uint64)
		counters = append(counters, counter)
		go func() {
			runtime.LockOSThread()
			started <- struct{}{}
			for {
				counter.Add(1)
				unix.Nanosleep(&unix.Timespec{Nsec: 1000}, nil)
			}
		}()
		<-started
	}
	return "", nil
}

func counts([]string) (string, error) {
	var texts []string
	for _, counter := range counters {
		texts = append(texts, strconv.FormatUint(counter.Load(), 10))
	}
	return strings.Join(texts, ","), nil
}

func execSelf([]string) (string, error) {
	return "", unix.Exec("/proc/self/exe", os.Args, os.Environ())
}

func setDumpable(arguments []string) (string, error) {
	value, err := strconv.Atoi(arguments[0])
	if err != nil {
		return "", err
	}
	return "", unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(value), 0, 0, 0)
}

func underFilter(arguments []string) (string, error) {
	number, ok := map[string]uintptr{"mprotect": unix.SYS_MPROTECT, "msync": unix.SYS_MSYNC, "reboot": unix.SYS_REBOOT}[arguments[1]]
	if !ok {
		return "", fmt.Errorf("no system call %q here", arguments[1])
	}
	switch arguments[0] {
	case "kill":
		return "", seccomp.Kill(number)
	case "readonly":
		return "", seccomp.RefuseWithout(unix.PROT_WRITE, unix.EPERM, number)
	}
	return "", seccomp.Refuse(unix.EPERM, number)
}
