package ptrace

import (
	"github.com/prometheus/procfs"
)

// isDead reports whether a thread has ended, though it may still be listed: a
// process whose first thread ended before the others lists it until the end.
func isDead(pid, tid int) bool {
	stat, err := procfs.NewFS("/proc")
	if err != nil {
		return false
	}
	thread, err := stat.Thread(pid, tid)
	if err != nil {
		return true
	}
	status, err := thread.Stat()
	return err != nil || status.State == "Z" || status.State == "X"
}
