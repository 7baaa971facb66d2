// SPDX-License-Identifier: Apache-2.0

// Package procstatus reads what /proc says of a thread, and procfs does not
// (proc_pid_status(5), proc_pid_stat(5)). Anything that procfs reads, outside of a
// write and of a stop, does not belong here.
package procstatus

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/vmwrite/vmwrite/internal/poller"
	"golang.org/x/sys/unix"
)

// Status is what /proc/PID/task/TID/status says. What the kernel leaves out is
// zero.
type Status struct {
	Tracer      int    // the thread that traces it
	Seccomp     int    // mode of seccomp(2)
	X86Features string // such as "shstk", a shadow stack
}

// ReadThread reads the status of a thread of a process.
func ReadThread(pid, tid int) (Status, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(tid) + "/status"
	text, err := poller.ReadFile(path)
	if err != nil {
		return Status{}, err
	}
	s, err := parse(string(text))
	if err != nil {
		return Status{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// parse reads the lines that it knows.
func parse(text string) (s Status, err error) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "TracerPid":
			s.Tracer, err = strconv.Atoi(value)
		case "Seccomp":
			s.Seccomp, err = strconv.Atoi(value)
		case "x86_Thread_features":
			s.X86Features = value
		}
		if err != nil {
			return Status{}, fmt.Errorf("line %q: %w", line, err)
		}
	}
	return s, nil
}

// TracerOf returns the thread that traces the first thread of a process, 0 when
// none does or it can't be told.
func TracerOf(pid int) int {
	status, _ := ReadThread(pid, pid)
	return status.Tracer
}

// IsOwnThread reports whether tid is a thread of this program.
func IsOwnThread(tid int) bool { return unix.Tgkill(os.Getpid(), tid, 0) == nil }

// Threads lists the threads of a process, dead ones too. The error is ENOENT or
// ESRCH when there is no such process, or, with those that were found by then and
// not nil, when it ends meanwhile.
func Threads(pid int) ([]int, error) {
	directory, err := poller.Open("/proc/"+strconv.Itoa(pid)+"/task", unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer directory.Close()
	names, err := directory.Readdirnames(-1)
	tids := make([]int, 0, len(names))
	for _, name := range names {
		if tid, err := strconv.Atoi(name); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids, err
}
