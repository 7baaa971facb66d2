// SPDX-License-Identifier: Apache-2.0

package ptrace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

func TestStopAndResumeOfEveryThread(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 50")
	session := mustStop(t, target.PID)
	if tasks := testtarget.Tasks(t, target.PID); len(tasks) < 51 {
		t.Errorf("%d threads; want 51 and more", len(tasks))
	}
	session.Resume()
	testtarget.WantRunning(t, target)
	session.Resume() // does nothing
	for range testtarget.Rounds(30) {
		session := mustStop(t, target.PID)
		session.Resume()
		testtarget.WantFree(t, target.PID)
	}
	testtarget.WantRunning(t, target)
}

func TestWhileTheProcessIsStopped(t *testing.T) {
	target := testtarget.Start(t)
	while := func(f func()) error {
		return While(target.PID, testtarget.Patience, f)
	}
	for _, threads := range []int{1, 20} {
		target.Do("threads %d", threads)
		for range testtarget.Rounds(10) {
			stopped := false
			if err := while(func() {
				testtarget.WantStopped(t, target.PID, os.Getpid())
				stopped = true
			}); err != nil || !stopped {
				t.Fatalf("While = %v, f was run: %v", err, stopped)
			}
			testtarget.WantFree(t, target.PID)
		}
		testtarget.WantRunning(t, target)
	}
	session := mustStop(t, target.PID)
	if err := while(func() { t.Error("f is run in another's session") }); !errors.Is(err, ErrBusy) {
		t.Errorf("While another session is on the process = %v; want ErrBusy", err)
	}
	session.Resume()
	if err := while(target.Kill); err != nil {
		t.Errorf("While = %v for a process that is killed in it", err)
	}
	wantOnlyTheZombie(t, target)
	if err := while(func() { t.Error("f is run without a process") }); !errors.Is(err, unix.ESRCH) {
		t.Errorf("While there is no process = %v; want ESRCH", err)
	}
}

func TestStopOfThreadsThatCreateThreads(t *testing.T) {
	relay := testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/relay.c")))
	created := func() int {
		answer, err := relay.Ask("how many?")
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(answer)
		return n
	}
	for range testtarget.Rounds(30) {
		session := mustStop(t, relay.PID)
		first := testtarget.Tasks(t, relay.PID)
		if second := testtarget.Tasks(t, relay.PID); fmt.Sprint(first) != fmt.Sprint(second) {
			t.Fatalf("the threads of a stopped process change from %v to %v", first, second)
		}
		session.Resume()
		testtarget.WantFree(t, relay.PID)
	}
	before := created()
	testtarget.WaitFor(t, "more threads to be created", func() bool { return created() > before+100 })
}

// A thread that the kernel made in the process runs none of its code, and returns
// to none: io_uring's poll for requests.
func TestThreadsOfTheKernelsMakingAreLeftAlone(t *testing.T) {
	process := testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/sqpoll.c")))
	if line := process.Line(); line != "ready" {
		t.Fatalf("the process says %q", line)
	}
	tasks := testtarget.Tasks(t, process.PID)
	if len(tasks) < 2 {
		testtarget.Lack(t, "io_uring", errors.New("the kernel made no thread"))
	}
	// Before Linux 6.4 its name alone tells it from the others, and it takes that when it first runs.
	testtarget.WaitFor(t, "the kernel's thread to take its name", func() bool {
		return !slices.ContainsFunc(tasks, func(task testtarget.Task) bool {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/comm", process.PID, task.TID))
			return task.TID != process.PID && !strings.HasPrefix(string(name), "iou-")
		})
	})
	session, err := stop(process.PID, testtarget.Patience)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Resume()
	for _, task := range testtarget.Tasks(t, process.PID) {
		if own := task.TID == process.PID; own != (task.Tracer != 0) || own != (task.State == "t") {
			t.Errorf("thread %d is in state %s, traced by %d", task.TID, task.State, task.Tracer)
		}
	}
	if tids := session.TIDs(); !slices.Equal(tids, []int{process.PID}) {
		t.Errorf("the session has threads %v; want %d alone", tids, process.PID)
	}
}

func TestSessionsOnOneProcessTakeTurns(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 5")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				session, err := stop(target.PID, testtarget.Patience)
				if err != nil {
					t.Errorf("Stop = %v", err)
					return
				}
				testtarget.WantStopped(t, target.PID, os.Getpid())
				session.Resume()
			}
		})
	}
	all.Wait()
	testtarget.WantRunning(t, target)
}

func TestASessionThatLastsIsErrBusyToTheNextOne(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 3")
	session := mustStop(t, target.PID)
	for _, timeout := range []time.Duration{0, 20 * time.Millisecond} {
		if second, err := stop(target.PID, timeout); second != nil || !errors.Is(err, ErrBusy) {
			t.Errorf("Stop = %v, %v; want ErrBusy", second, err)
		}
		testtarget.WantStopped(t, target.PID, os.Getpid())
	}
	session.Resume()
	testtarget.WantRunning(t, target)
	if len(turns.waiting) != 0 {
		t.Errorf("%d processes are still waited for", len(turns.waiting))
	}
}

// The main thread of a program can't end before the others, and the last way to
// let go is to end the thread that traces.
func TestTheMainThreadDoesNotTraceItself(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 3")
	session := &Session{trace: newTrace(target.PID), endTurn: func() {}}
	stopped := make(chan struct{})
	isMain := make(chan bool, 1)
	onMainThread <- func() {
		isMain <- unix.Gettid() == os.Getpid()
		go func() {
			<-stopped
			testtarget.WantStopped(t, target.PID, os.Getpid())
			for _, task := range testtarget.Tasks(t, target.PID) {
				if task.Tracer == os.Getpid() {
					t.Errorf("thread %d is traced by the main thread", task.TID)
				}
			}
			session.Resume()
		}()
		session.run(func(t *trace) error { return t.stopAll(context.Background().Err) }, func() {
			close(stopped)
			session.serve()
		})
	}
	if !<-isMain {
		t.Error("the test does not run on the main thread")
	}
	<-session.done
	testtarget.WantRunning(t, target)
}

func TestStopOfWhatCannotBeStopped(t *testing.T) {
	gone, zombie := testtarget.StartBystander(t, testtarget.Build(t, "")), testtarget.StartBystander(t, testtarget.Build(t, ""))
	gone.End()
	zombie.Kill()
	testtarget.WaitForStates(t, zombie.PID, "Z")
	const kthreadd = 2
	tests := []struct {
		name string
		pid  int
		want error
	}{
		{"a process that is no more", gone.PID, unix.ESRCH},
		{"a zombie", zombie.PID, unix.ESRCH},
		{"no process", -1, unix.ESRCH},
		{"this program itself", os.Getpid(), unix.EPERM},
		{"a kernel thread", kthreadd, unix.EPERM},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.pid == kthreadd {
				testtarget.Need(t, "kthreadd")
			}
			session, err := stop(test.pid, testtarget.Patience)
			stopError, ok := errors.AsType[*StopError](err)
			if session != nil || !ok || !errors.Is(err, test.want) {
				t.Fatalf("Stop = %v, %v; want a StopError of: %v", session, err, test.want)
			}
			if want := fmt.Sprintf("stopping thread %d: %v", stopError.TID, test.want); err.Error() != want {
				t.Errorf("Error() = %q; want %q", err, want)
			}
		})
	}
}

func BenchmarkStopAndResume(b *testing.B) {
	for _, threads := range []int{0, 50} {
		b.Run(fmt.Sprintf("%d more threads", threads), func(b *testing.B) {
			target := testtarget.Start(b)
			target.Do("threads %d", threads)
			for b.Loop() {
				session, err := stop(target.PID, testtarget.Patience)
				if err != nil {
					b.Fatal(err)
				}
				session.Resume()
			}
		})
	}
}
