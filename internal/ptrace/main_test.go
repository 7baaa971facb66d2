package ptrace

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// A test that wants the main thread has it run what it sends here.
var onMainThread = make(chan func())

// The main goroutine stays on the main thread, because it is locked in init.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	if asStopper() {
		return
	}
	code := make(chan int)
	go func() { code <- testtarget.Main(m) }()
	for {
		select {
		case f := <-onMainThread:
			f()
		case code := <-code:
			os.Exit(code)
		}
	}
}

// mustStop is Stop for a process that can be stopped, and looks whether it is.
func mustStop(t *testing.T, pid int) *Session {
	t.Helper()
	s, err := Stop(pid, testtarget.Patience)
	if err != nil {
		t.Fatalf("Stop = %v", err)
	}
	t.Cleanup(s.Resume)
	wantStopped(t, pid, os.Getpid())
	return s
}

// task is what /proc tells of a thread.
type task struct {
	tid    int
	state  string // "t" when it is in a stop of its tracer's
	tracer int    // the thread that traces it, 0 when none does
}

// tasksOf lists the threads of a process that are there to be looked at.
func tasksOf(t *testing.T, pid int) (tasks []task) {
	t.Helper()
	directory := fmt.Sprintf("/proc/%d/task/", pid)
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		status, err := os.ReadFile(directory + entry.Name() + "/status")
		if err != nil {
			continue // it ended meanwhile
		}
		tid, _ := strconv.Atoi(entry.Name())
		one := task{tid: tid, tracer: -1}
		for line := range strings.Lines(string(status)) {
			switch key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t"); key {
			case "State":
				one.state = value[:1]
			case "TracerPid":
				one.tracer, _ = strconv.Atoi(value)
			}
		}
		tasks = append(tasks, one)
	}
	return tasks
}

// wantStopped checks that each thread of the process is stopped by a thread of
// the tracer.
func wantStopped(t *testing.T, pid, tracer int) {
	t.Helper()
	for _, task := range tasksOf(t, pid) {
		_, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", tracer, task.tracer))
		if task.state != "t" || err != nil {
			t.Errorf("thread %d is in state %s, traced by %d; want t, by a thread of %d", task.tid, task.state, task.tracer, tracer)
		}
	}
}

// wantFree checks that no thread of the process is traced or in a tracer's stop.
func wantFree(t *testing.T, pid int) {
	t.Helper()
	for _, task := range tasksOf(t, pid) {
		if task.state == "t" || task.tracer != 0 {
			t.Errorf("thread %d is in state %s, traced by %d; want it free", task.tid, task.state, task.tracer)
		}
	}
}

// wantRunning checks that the process is free, answers, and that all its
// counting threads go on.
func wantRunning(t *testing.T, target *testtarget.Target) {
	t.Helper()
	wantFree(t, target.PID)
	if t.Failed() {
		t.FailNow() // what is not free need not be waited for
	}
	before := counts(t, target)
	testtarget.WaitFor(t, "each thread to count on", func() bool {
		return !slices.ContainsFunc(counts(t, target), func(n int) bool { return n == 0 }) &&
			!slices.ContainsFunc(minus(counts(t, target), before), func(n int) bool { return n <= 0 })
	})
}

func counts(t *testing.T, target *testtarget.Target) (all []int) {
	t.Helper()
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

// waitForStates waits until each thread of the process is in the state.
func waitForStates(t *testing.T, pid int, state string) {
	t.Helper()
	testtarget.WaitFor(t, "every thread to be in state "+state, func() bool {
		return !slices.ContainsFunc(tasksOf(t, pid), func(task task) bool { return task.state != state })
	})
}

func send(t *testing.T, pid int, signal unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, signal); err != nil {
		t.Fatal(err)
	}
}

// onThread runs f on a thread of its own, which then ends.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}
