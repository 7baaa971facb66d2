// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"errors"
	"time"

	"github.com/vmwrite/vmwrite/internal/procstatus"
	"golang.org/x/sys/unix"
)

// ThreadInfo is what is known of a thread without stopping it: thread_info.
type ThreadInfo struct {
	Name         string
	User, System time.Duration // that the thread alone has used
	Usage        float64       // which part of the time since it began it has run
	State        byte          // as /proc shows it: R, S, D, T, t, I
	Policy       int           // SCHED_OTHER and so on, of sched(7)
	Nice         int
	Suspended    int // by SuspendThread of this Task
}

// ThreadInfo returns what is known of a thread. Nothing is stopped for it. The error is an
// [*Error]: KERN_TERMINATED when the thread has ended, KERN_INVALID_ARGUMENT when the task
// has.
func (t *Task) ThreadInfo(id ThreadID) (info ThreadInfo, err error) {
	err = t.withThreads(opThreadInfo, func() error {
		usage, err := procstatus.ReadUsage(t.pid, id.TID)
		switch {
		case errors.Is(err, unix.ENOENT):
			return errNoThread(id.TID)
		case err != nil:
			return err
		case usage.Start != id.Start || usage.State == 'Z' || usage.State == 'X':
			return errNoThread(id.TID)
		}
		info = ThreadInfo{
			Name: usage.Name, User: usage.User, System: usage.System, State: usage.State,
			Policy: usage.Policy, Nice: usage.Nice, Suspended: t.suspendCount(id),
		}
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err == nil {
			if age := time.Duration(now.Nano()) - time.Duration(usage.Start)*procstatus.Tick; age > 0 {
				info.Usage = min(1, float64(usage.User+usage.System)/float64(age))
			}
		}
		return nil
	})
	return info, err
}
