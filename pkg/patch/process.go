// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/search"
	"golang.org/x/sys/unix"
)

// Process is what a patch is for. [Of] makes one of a task.
type Process interface {
	search.Memory // ReadAt, ReadBatch, Regions, PID
	// Stopped runs f while nothing of the process runs, and lets it go on.
	Stopped(ctx context.Context, f func(Stopped) error) error
}

// Stopped is a process that stands still. A *[machcompat.Stopped] is one.
type Stopped interface {
	// ReadBatch fills all segments, or returns an error.
	ReadBatch(segments []machcompat.Segment) error
	// CompareAndWrite makes all changes or none.
	CompareAndWrite(changes []machcompat.Change) error
	// Protect sets what the pages of a range allow.
	Protect(address, size uint64, setMaximum bool, prot machcompat.VMProt) error
	// Threads returns all threads; none for memory that nobody runs.
	Threads() ([]machcompat.Thread, error)
	ThreadState(tid int) (machcompat.ThreadState, error)
	// RunThread lets one thread run for a moment.
	RunThread(tid int, moment time.Duration) error
}

// Of returns a task as what a patch is for.
func Of(t *machcompat.Task) Process { return task{t} }

type task struct{ *machcompat.Task }

func (t task) Stopped(ctx context.Context, f func(Stopped) error) error {
	return t.Task.Stopped(ctx, func(s *machcompat.Stopped) error { return f(s) })
}

// sharers returns the processes that have the memory of a process without being it, as the
// child of a vfork has until it runs a program: of those that may be asked.
func sharers(pid int) (pids []int, err error) {
	if pid == 0 { // memory of no process
		return nil, nil
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	for _, name := range names {
		other, notANumber := strconv.Atoi(name)
		if notANumber != nil || other == pid {
			continue
		}
		if shares, err := linux.SharesMemory(pid, other); shares && err == nil {
			pids = append(pids, other)
		}
	}
	return pids, err
}

// identity is a process, as a journal notes it.
type identity struct {
	Boot   string `json:"boot"`   // the kernel's random/boot_id
	Space  string `json:"space"`  // the pid namespace in which it has the pid: pid_namespaces(7)
	PID    int    `json:"pid"`    // 0 for memory that is no process's
	Start  uint64 `json:"start"`  // of its first thread, in ticks after the boot: starttime of proc_pid_stat(5)
	Layout string `json:"layout"` // another one for each program that it runs
}

// ErrGone means that a process has ended, or runs another program. It wraps
// machcompat.KERN_INVALID_ARGUMENT.
var ErrGone = fmt.Errorf("the process has ended or runs another program: %w", machcompat.KERN_INVALID_ARGUMENT)

// errElsewhere means that nobody can tell from here whether the process is still there.
var errElsewhere = errors.New("the process is one of another pid namespace, such as a container: recover there")

// identityOf returns the identity that a pid has now. The error wraps ErrGone if there is
// no such process, and the identity has Boot and Space alone then.
func identityOf(pid int) (i identity, err error) {
	if pid == 0 {
		return identity{}, nil
	}
	if i.Boot, err = bootID(); err != nil {
		return i, err
	}
	if i.Space, err = os.Readlink("/proc/self/ns/pid"); err != nil {
		return i, err
	}
	buffer := new([procstatus.StatSize]byte)
	text, stat, err := procstatus.ReadStatText(pid, pid, buffer)
	start := stat.Start
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		if unix.Kill(pid, 0) != unix.ESRCH { // hidepid of proc(5)
			return i, fmt.Errorf("/proc hides the process: %w", unix.EPERM)
		}
		return i, fmt.Errorf("%w: %w", ErrGone, err)
	}
	if err == nil && stat.StartCode == 0 { // the first thread may have ended before the others
		text, stat, err = statOfOther(pid, buffer)
	}
	if err == nil && stat.StartCode == 1 {
		err = fmt.Errorf("the process does not show which program it runs: %w", unix.EPERM)
	}
	if err != nil {
		return i, err
	}
	i.PID, i.Start, i.Layout = pid, start, stat.Layout(text)
	return i, nil
}

// statOfOther is ReadStatText of a thread that has not ended. The error wraps ErrGone if there
// is none.
func statOfOther(pid int, buffer *[procstatus.StatSize]byte) ([]byte, procstatus.Stat, error) {
	tids, _ := procstatus.Threads(pid)
	for _, tid := range tids {
		if text, stat, err := procstatus.ReadStatText(pid, tid, buffer); err == nil && stat.StartCode != 0 {
			return text, stat, nil
		}
	}
	return nil, procstatus.Stat{}, ErrGone
}
