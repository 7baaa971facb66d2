// SPDX-License-Identifier: Apache-2.0

package testtarget

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Task is what /proc tells of a thread.
type Task struct {
	TID    int
	State  string // "t" when it is in a stop of its tracer's
	Tracer int    // the thread that traces it, 0 when none does
}

// Tasks lists the threads of a process that are there to be looked at.
func Tasks(tb testing.TB, pid int) (tasks []Task) {
	tb.Helper()
	directory := fmt.Sprintf("/proc/%d/task/", pid)
	entries, err := os.ReadDir(directory)
	if err != nil {
		tb.Fatal(err)
	}
	for _, entry := range entries {
		status, err := os.ReadFile(directory + entry.Name() + "/status")
		if err != nil {
			continue // it ended meanwhile
		}
		tid, _ := strconv.Atoi(entry.Name())
		one := Task{TID: tid, Tracer: -1}
		for line := range strings.Lines(string(status)) {
			switch key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t"); key {
			case "State":
				one.State = value[:1]
			case "TracerPid":
				one.Tracer, _ = strconv.Atoi(value)
			}
		}
		tasks = append(tasks, one)
	}
	return tasks
}

// WantStopped checks that each thread of the process is stopped by a thread of
// the tracer.
func WantStopped(tb testing.TB, pid, tracer int) {
	tb.Helper()
	for _, task := range Tasks(tb, pid) {
		_, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", tracer, task.Tracer))
		if task.State != "t" || err != nil {
			tb.Errorf("thread %d is in state %s, traced by %d; want t, by a thread of %d", task.TID, task.State, task.Tracer, tracer)
		}
	}
}

// WantFree checks that no thread of the process is traced or in a tracer's stop.
func WantFree(tb testing.TB, pid int) {
	tb.Helper()
	for _, task := range Tasks(tb, pid) {
		if task.State == "t" || task.Tracer != 0 {
			tb.Errorf("thread %d is in state %s, traced by %d; want it free", task.TID, task.State, task.Tracer)
		}
	}
}

// WantRunning checks that the process is free, answers, and that all its
// counting threads go on.
func WantRunning(tb testing.TB, target *Target) {
	tb.Helper()
	WantFree(tb, target.PID)
	if tb.Failed() {
		tb.FailNow() // what is not free need not be waited for
	}
	before := counts(tb, target)
	WaitFor(tb, "each thread to count on", func() bool {
		return !slices.ContainsFunc(counts(tb, target), func(n int) bool { return n == 0 }) &&
			!slices.ContainsFunc(minus(counts(tb, target), before), func(n int) bool { return n <= 0 })
	})
}

func counts(tb testing.TB, target *Target) (all []int) {
	tb.Helper()
	for text := range strings.SplitSeq(target.Do("counts"), ",") {
		if n, err := strconv.Atoi(text); err == nil {
			all = append(all, n)
		}
	}
	return all
}

func minus(a, b []int) []int {
	for i := range a {
		a[i] -= b[i]
	}
	return a
}

// WaitForStates waits until each thread of the process is in the state.
func WaitForStates(tb testing.TB, pid int, state string) {
	tb.Helper()
	WaitFor(tb, "every thread to be in state "+state, func() bool {
		return !slices.ContainsFunc(Tasks(tb, pid), func(task Task) bool { return task.State != state })
	})
}

// Send sends a signal to a process.
func Send(tb testing.TB, pid int, signal unix.Signal) {
	tb.Helper()
	if err := unix.Kill(pid, signal); err != nil {
		tb.Fatal(err)
	}
}

// WantCaught waits until the target has caught one signal, and makes sure that
// it does not catch it twice.
func WantCaught(tb testing.TB, target *Target, signal unix.Signal) {
	tb.Helper()
	WaitFor(tb, "the signal to arrive", func() bool { return target.Do("caught %d", signal) != "0" })
	// What is sent now arrives behind a second one.
	before := target.Do("caught %d", unix.SIGUSR2)
	Send(tb, target.PID, unix.SIGUSR2)
	WaitFor(tb, "the second signal to arrive", func() bool { return target.Do("caught %d", unix.SIGUSR2) != before })
	if got := target.Do("caught %d", signal); got != "1" {
		tb.Errorf("%v came %s times; want 1", signal, got)
	}
}

// StartCatching starts a target that catches two signals.
func StartCatching(tb testing.TB) *Target {
	tb.Helper()
	target := Start(tb)
	target.Do("threads 10")
	target.Do("catch %d", unix.SIGUSR1)
	target.Do("catch %d", unix.SIGUSR2)
	return target
}
