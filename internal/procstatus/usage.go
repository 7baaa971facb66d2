// SPDX-License-Identifier: Apache-2.0

package procstatus

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// Usage is what a thread has used, and how it is scheduled: proc_pid_stat(5).
type Usage struct {
	Name         string // as prctl(PR_SET_NAME) sets it, at most 15 bytes
	State        byte   // R, S, D, T, t, Z, X, I
	User, System time.Duration
	Start        uint64 // when it began, in ticks after the boot
	Nice         int
	Policy       int // SCHED_OTHER and so on, of sched(7)
}

// Tick is the unit of times in /proc: USER_HZ is the same on every architecture that Go
// knows.
const Tick = time.Second / 100

// ReadUsage reads the usage of a thread of a process. The error wraps ENOENT or ESRCH when
// there is none.
func ReadUsage(pid, tid int) (Usage, error) {
	text, stat, err := ReadStatText(pid, tid, new([StatSize]byte))
	if err != nil {
		return Usage{}, err
	}
	u := Usage{State: stat.State, Start: stat.Start}
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return Usage{}, errStat
	}
	u.Name = string(text[open+1 : end])
	const userTime, systemTime, nice, policy = 14, 15, 19, 41
	fields := strings.Fields(string(text[end+1:])) // from the third on
	if len(fields) <= policy-3 {
		return Usage{}, errStat
	}
	number := func(n int) int {
		value, numberErr := strconv.Atoi(fields[n-3])
		if numberErr != nil {
			err = errStat
		}
		return value
	}
	u.User, u.System = time.Duration(number(userTime))*Tick, time.Duration(number(systemTime))*Tick
	u.Nice, u.Policy = number(nice), number(policy)
	return u, err
}
