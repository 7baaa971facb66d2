// SPDX-License-Identifier: Apache-2.0

package ptrace

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"golang.org/x/sys/unix"
)

// stopAll seizes and stops threads until those that are stopped are all that there
// are. A thread that still runs may create one that no list shows yet; a stopped one
// can't.
func (tr *trace) stopAll(expired func() error) error {
	var r reaper
	defer r.stop()
	for {
		changed, err := tr.seizeNew(&r)
		if err != nil {
			return err
		}
		gone, err := tr.awaitStops(expired)
		if err != nil {
			return err
		}
		if tr.isWhole() || !changed && !gone {
			break
		}
		if err := expired(); err != nil {
			return timeout(err, tr.pid, ErrTimeout)
		}
	}
	if len(tr.threads) == 0 {
		return &StopError{TID: tr.pid, Err: unix.ESRCH}
	}
	tr.whole = true
	return nil
}

// stopOne seizes, stops and holds one thread.
func (tr *trace) stopOne(tid int, expired func() error) (*thread, error) {
	var r reaper
	defer r.stop()
	if len(tr.threads) > 0 {
		r.start(tr.pid)
	}
	fail := func(err error) error { return &StopError{TID: tid, Err: err} }
	one := tr.threads[tid]
	if one != nil {
		switch gone, err := one.look(tr.pid, tid, true); {
		case err != nil:
			return nil, fail(err)
		case gone: // the number may be that of another one now
			delete(tr.threads, tid)
			one, tr.lost = nil, true
		}
	}
	if one == nil {
		if unix.Tgkill(tr.pid, tid, 0) != nil || isKernelWorker(tr.pid, tid) {
			return nil, fail(unix.ESRCH)
		}
		switch err := seize(tr.pid, tid); err {
		case nil:
			one = &thread{}
			tr.threads[tid] = one
		case errEnded:
			return nil, fail(unix.ESRCH)
		default:
			return nil, fail(err)
		}
	}
	var w waiter
	for !one.stopped {
		switch gone, err := one.look(tr.pid, tid, w.long()); {
		case err != nil:
			return nil, fail(err)
		case gone:
			delete(tr.threads, tid)
			tr.lost = true
			return nil, fail(unix.ESRCH)
		case one.stopped:
			continue
		}
		if err := expired(); err != nil {
			return nil, timeout(err, tid, ErrTimeout)
		}
		w.wait()
	}
	// It may have ended before it was seized, and its number gone to another process.
	if unix.Tgkill(tr.pid, tid, 0) != nil {
		return nil, fail(unix.ESRCH)
	}
	one.holds++
	return one, nil
}

// isWhole reports whether the threads that were all seen stopped are all that the
// process has: it has as many, and they are still among them, because what ends one
// stopped thread, an exec, an exit or a kill of the process, ends all others with it.
// So one tells for all that none has ended by the time of the count. Where the process
// has threads that don't stop, a list of them must tell.
func (tr *trace) isWhole() bool {
	if countThreads(tr.pid) != len(tr.threads) {
		return false
	}
	for tid, t := range tr.threads {
		gone, err := t.look(tr.pid, tid, false)
		return err == nil && !gone && t.stopped
	}
	return false
}

// timeout is the error of a wait that was ended for a cause, mostly that of a context.
func timeout(cause error, tid int, err error) error {
	return &StopError{TID: tid, Err: fmt.Errorf("%w: %w", err, cause)}
}

// seizeNew seizes and interrupts the threads that are not seized yet. The list
// must be looked at again when it changed meanwhile.
func (tr *trace) seizeNew(r *reaper) (changed bool, err error) {
	tids, err := threadsOf(tr.pid)
	if err != nil {
		return false, err
	}
	listed := len(tids)
	// All are asked for what they are before the first one stops.
	tids = slices.DeleteFunc(tids, func(tid int) bool { return tr.threads[tid] != nil || isKernelWorker(tr.pid, tid) })
	if len(tr.threads)+len(tids) > 1 {
		r.start(tr.pid)
	}
	for _, tid := range tids {
		switch err := seize(tr.pid, tid); err {
		case nil:
			tr.threads[tid] = &thread{}
			changed = true
		case unix.ESRCH:
			changed = true
		case errEnded:
			// Before it ended it may have created one that is not in this list.
			if !slices.Contains(tr.ended, tid) {
				tr.ended = append(tr.ended, tid)
				changed = true
			}
		default:
			return false, &StopError{TID: tid, Err: err}
		}
	}
	// The kernel breaks the list off where a thread ends while it is read.
	return changed || listed != countThreads(tr.pid), nil
}

// errEnded means that a thread is listed only because its process has others.
var errEnded = errors.New("the thread has ended")

// seize makes a thread stop under our trace as soon as it can.
func seize(pid, tid int) error {
	for range 2 {
		err := unix.PtraceSeize(tid)
		switch {
		case err == nil:
			_ = unix.PtraceInterrupt(tid) // if it is gone by now, look will find that
			return nil
		case err != unix.EPERM:
			return err
		case isDead(pid, tid):
			return errEnded
		case unix.PtraceInterrupt(tid) == nil:
			// It is ours already: a thread that runs another program takes the
			// process's number, and our trace with it.
			return nil
		}
		// That may have happened between the first question and the second.
	}
	return unix.EPERM
}

// awaitStops looks at each seized thread, waits until all are stopped, and forgets
// those that are gone.
func (tr *trace) awaitStops(expired func() error) (gone bool, err error) {
	var w waiter
	for again := true; ; again = w.long() {
		running := 0
		for tid, t := range tr.threads {
			if t.stopped && !again {
				continue
			}
			switch isGone, err := t.look(tr.pid, tid, w.long()); {
			case err != nil:
				return gone, &StopError{TID: tid, Err: err}
			case isGone:
				delete(tr.threads, tid)
				gone, tr.lost = true, true
			case !t.stopped:
				running = tid
			}
		}
		if running == 0 {
			return gone, nil
		}
		if err := expired(); err != nil {
			return gone, timeout(err, running, ErrTimeout)
		}
		w.wait()
	}
}

// waiter spaces the looks of a wait: without a pause at first, because a
// stop takes microseconds, then further and further apart. It sleeps in the
// kernel, because the runtime's timers are as coarse as a millisecond and begin
// with a hand-over of the thread. A stop mostly ends the sleep at once, by its
// SIGCHLD, and on the same processor it needs the sleep to come about.
type waiter struct {
	start time.Time
	pause time.Duration
}

const (
	looking      = 5 * time.Microsecond // how long a wait only looks
	longestPause = time.Millisecond
)

func (w *waiter) wait() {
	if w.start.IsZero() {
		w.start = time.Now()
	}
	if w.pause == 0 && time.Since(w.start) < looking {
		return
	}
	w.pause = min(w.pause+w.pause/4+10*time.Microsecond, longestPause)
	pause := unix.NsecToTimespec(w.pause.Nanoseconds())
	_ = unix.Nanosleep(&pause, nil) // a signal may end it early
}

// long reports whether the wait is so long that something may be wrong.
func (w *waiter) long() bool { return w.pause == longestPause }

// look notes whether the thread is stopped. It is gone when it has ended, or is no
// longer traced by us under this number. With closely set look also finds what the
// kernel does not tell a tracer that waits.
func (t *thread) look(pid, tid int, closely bool) (gone bool, err error) {
	told, err := linux.PeekChild(tid)
	switch {
	case err == unix.ECHILD:
		return true, nil
	case err != nil:
		return false, err
	case told.Ended():
		reap(pid, tid)
		return true, nil
	case told.Trapped():
		t.stopped, t.signal = true, 0
		if event := told.Status >> 8; event == 0 {
			t.signal = unix.Signal(told.Status & 0x7f)
		}
		return false, nil
	}
	if !t.stopped && !closely {
		return false, nil
	}
	t.stopped = false
	if _, err := unix.PtraceGetEventMsg(tid); err == nil {
		// It is stopped. Unless it stopped this moment, another wait of this
		// program has consumed that, and its signal.
		told, err := linux.PeekChild(tid)
		t.stopped = err == nil && told.TID == 0
		return false, nil
	}
	// Another thread has taken the process's number by running another program, or
	// the first thread ended before the others, which the kernel tells only when
	// they have ended too.
	return unix.PtraceInterrupt(tid) == unix.ESRCH || isDead(pid, tid), nil
}

// reaper reaps, from time to time, the threads of a process that ended while we
// traced them. A thread that runs another program waits for that, holding a lock that
// PTRACE_SEIZE waits for: so whoever seizes more than one needs another one to reap.
type reaper struct {
	sync.Mutex
	timer *time.Timer // nil before and after
}

const reapInterval = 10 * time.Millisecond

func (r *reaper) start(pid int) {
	r.Lock()
	defer r.Unlock()
	if r.timer != nil {
		return
	}
	r.timer = time.AfterFunc(reapInterval, func() {
		reapThreads(pid)
		r.Lock()
		defer r.Unlock()
		if r.timer != nil {
			r.timer.Reset(reapInterval)
		}
	})
}

func (r *reaper) stop() {
	r.Lock()
	defer r.Unlock()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

func reapThreads(pid int) {
	tids, _ := threadsOf(pid)
	for _, tid := range tids {
		if told, err := linux.PeekChild(tid); err == nil && told.Ended() {
			reap(pid, tid)
		}
	}
}

// reap consumes the end of a traced thread, unless it is the process's first:
// its end is for the process's parent, which this program may be.
func reap(pid, tid int) {
	if tid != pid {
		_, _ = unix.Wait4(tid, nil, unix.WNOHANG|unix.WALL, nil)
	}
}

// List lists the threads of a process that runs on, but for the kernel's own workers. Some
// may have ended. The error is a [StopError], ESRCH when there is no such process.
func List(pid int) ([]int, error) {
	const lists = 100 // that of a process whose threads come and go may never be whole
	for i := 1; ; i++ {
		tids, err := threadsOf(pid)
		if err != nil {
			return nil, err
		}
		if len(tids) == countThreads(pid) || i == lists {
			return slices.DeleteFunc(tids, func(tid int) bool { return isKernelWorker(pid, tid) }), nil
		}
	}
}

// threadsOf lists the threads of a process, dead ones too. Of one that ends
// meanwhile it lists some.
func threadsOf(pid int) ([]int, error) {
	if countThreads(pid) == 1 { // the first one, which stays to the end
		return []int{pid}, nil
	}
	tids, err := procstatus.Threads(pid)
	gone := errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH)
	switch {
	case err == nil, gone && tids != nil:
		return tids, nil
	case gone:
		err = unix.ESRCH
	}
	return nil, &StopError{TID: pid, Err: err}
}

// countThreads returns how many threads there are to be listed, by the links of
// the directory that lists them; less than 0 when the process is gone.
func countThreads(pid int) int {
	var directory unix.Stat_t
	_ = unix.Stat("/proc/"+strconv.Itoa(pid)+"/task", &directory)
	return int(directory.Nlink) - 2 // itself and the one above it
}

// isKernelWorker reports whether the kernel made the thread, to work for io_uring or
// vhost. It runs no code of the process and may not answer for seconds.
func isKernelWorker(pid, tid int) bool {
	if tid == pid {
		return false
	}
	// Each thread begins without such a list, and only its own code registers one:
	// the C libraries do so for most threads. That saves three calls.
	if list, err := linux.RobustList(tid); err == nil && list != 0 {
		return false
	}
	stat, err := procstatus.ReadStat(pid, tid)
	if err != nil || stat.Flags&procstatus.PF_USER_WORKER != 0 {
		return err == nil
	}
	if stat.Flags&procstatus.PF_IO_WORKER == 0 {
		return false
	}
	// Before Linux 5.12 that flag is one of a virtual machine's processors.
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/comm", pid, tid))
	return err == nil && strings.HasPrefix(string(name), "iou-")
}

// isDead reports whether a thread has ended, though it may still be listed: a
// process whose first thread ended before the others lists it until the end.
func isDead(pid, tid int) bool {
	stat, err := procstatus.ReadStat(pid, tid)
	if err != nil { // of another error nothing follows: there may be no room for the file
		return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH)
	}
	return stat.State == 'Z' || stat.State == 'X'
}
