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

// statusNumber returns a number of /proc/PID/task/TID/status (proc_pid_status(5))
// that procfs leaves out.
func statusNumber(pid, tid int, name string) (int, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, nil
}
