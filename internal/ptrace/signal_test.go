// SPDX-License-Identifier: Apache-2.0

package ptrace

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

func TestASignalDuringTheStopArrivesAfterIt(t *testing.T) {
	target := testtarget.StartCatching(t)
	session := mustStop(t, target.PID)
	testtarget.Send(t, target.PID, unix.SIGUSR1)
	testtarget.WantStopped(t, target.PID, unix.Getpid())
	session.Resume()
	testtarget.WantCaught(t, target, unix.SIGUSR1)
	testtarget.WantRunning(t, target)
}

// seizeInDelivery seizes all threads and has one of them stop where it is about
// to take a signal: between the seizing of a thread and its interruption there
// is such a moment.
func seizeInDelivery(pid int, signal unix.Signal) (*trace, error) {
	session := newTrace(pid)
	tids, err := threadsOf(pid)
	if err != nil {
		return nil, err
	}
	for _, tid := range tids {
		if err := unix.PtraceSeize(tid); err != nil {
			return nil, err
		}
		session.threads[tid] = &thread{}
	}
	// To a thread that is seized: there may be a new one by now.
	if err := unix.Tgkill(pid, pid, signal); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(testtarget.Patience); ; time.Sleep(time.Millisecond) {
		for _, tid := range tids {
			if told, err := linux.PeekChild(tid); err == nil && told.Trapped() {
				if told.Status != int(signal) { // the Go runtime's own
					if err := unix.PtraceCont(tid, told.Status); err != nil {
						return nil, err
					}
					continue
				}
				for _, tid := range tids {
					if err := unix.PtraceInterrupt(tid); err != nil {
						return nil, err
					}
				}
				return session, session.stopAll(context.Background().Err)
			}
		}
		if time.Now().After(deadline) {
			return nil, ErrTimeout
		}
	}
}

func TestASignalThatTheStopHoldsBackArrives(t *testing.T) {
	target := testtarget.StartCatching(t)
	runtime.LockOSThread() // for good, so that the thread ends with the test, and its tracing
	session, err := seizeInDelivery(target.PID, unix.SIGUSR1)
	if err != nil {
		t.Fatal(err)
	}
	testtarget.WantStopped(t, target.PID, unix.Getpid())
	var held []unix.Signal
	for _, thread := range session.threads {
		if thread.signal != 0 {
			held = append(held, thread.signal)
		}
	}
	if !slices.Equal(held, []unix.Signal{unix.SIGUSR1}) {
		t.Errorf("the stops hold back %v; want SIGUSR1", held)
	}
	if !session.release() {
		t.Error("not every thread was let go")
	}
	testtarget.WantCaught(t, target, unix.SIGUSR1)
	testtarget.WantRunning(t, target)
}

func TestAProcessUnderJobControl(t *testing.T) {
	tests := []struct {
		name   string
		before unix.Signal
		during []unix.Signal
		runs   bool // after Resume
	}{
		{name: "stopped before, it stays stopped", before: unix.SIGSTOP},
		{name: "stopped during the stop, it stops after it", during: []unix.Signal{unix.SIGSTOP}},
		{name: "stopped before and continued during the stop, it runs after it", before: unix.SIGSTOP, during: []unix.Signal{unix.SIGCONT}, runs: true},
		{name: "stopped and continued during the stop, it runs after it", during: []unix.Signal{unix.SIGSTOP, unix.SIGCONT}, runs: true},
		{name: "stopped twice, it stays stopped", before: unix.SIGSTOP, during: []unix.Signal{unix.SIGSTOP}},
		{name: "stopped from a terminal, it stays stopped", before: unix.SIGTSTP},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			target := testtarget.Start(t)
			target.Do("threads 10")
			if test.before != 0 {
				testtarget.Send(t, target.PID, test.before)
				testtarget.WaitForStates(t, target.PID, "T")
			}
			session := mustStop(t, target.PID)
			for _, signal := range test.during {
				testtarget.Send(t, target.PID, signal)
			}
			session.Resume()
			testtarget.WantFree(t, target.PID)
			if !test.runs {
				testtarget.WaitForStates(t, target.PID, "T")
				testtarget.Send(t, target.PID, unix.SIGCONT)
			}
			testtarget.WantRunning(t, target)
		})
	}
}
