package ptrace

import (
	"os"
	"strconv"
	"strings"
)

// TracerOf returns the thread that traces the process pid, 0 when none does or
// it can't be told.
func TracerOf(pid int) int {
	tracer, _ := statusNumber(pid, pid, "TracerPid")
	return tracer
}

// statusNumber is statusLine for a number, 0 where there is none.
func statusNumber(pid, tid int, name string) (int, error) {
	value, err := statusLine(pid, tid, name)
	if err != nil || value == "" {
		return 0, err
	}
	return strconv.Atoi(value)
}

// statusLine returns what /proc/PID/task/TID/status (proc_pid_status(5)) says
// of something that procfs leaves out.
func statusLine(pid, tid int, name string) (string, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", nil
}
