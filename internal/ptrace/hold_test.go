// SPDX-License-Identifier: Apache-2.0

package ptrace

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// holdThread stops one thread and keeps it so.
func holdThread(pid, tid int) (*Hold, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testtarget.Patience)
	defer cancel()
	session, err := StopThread(ctx, pid, tid)
	if err != nil {
		return nil, err
	}
	defer session.Resume()
	return session.Hold(tid)
}

func mustHoldThread(t *testing.T, pid, tid int) *Hold {
	t.Helper()
	hold, err := holdThread(pid, tid)
	if err != nil {
		t.Fatalf("holdThread = %v", err)
	}
	return hold
}

// startIdle starts a process none of whose threads needs another one: testdata/idle.c.
func startIdle(t *testing.T) *testtarget.Process {
	t.Helper()
	process := testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/idle.c")))
	if line := process.Line(); line != "ready" {
		t.Fatalf("the process says %q", line)
	}
	return process
}

func tidsOf(t *testing.T, pid int) []int {
	t.Helper()
	tids, err := List(pid)
	if err != nil || len(tids) != 6 || tids[0] != pid {
		t.Fatalf("List = %v, %v; want 6, the first one first", tids, err)
	}
	return tids
}

// wantHeld checks that the threads alone are stopped and traced.
func wantHeld(t *testing.T, pid int, held ...int) {
	t.Helper()
	for _, task := range testtarget.Tasks(t, pid) {
		want := false
		for _, tid := range held {
			want = want || tid == task.TID
		}
		if stopped := task.State == "t"; stopped != want || (task.Tracer != 0) != want {
			t.Errorf("thread %d is in state %s, traced by %d; want it held: %v", task.TID, task.State, task.Tracer, want)
		}
	}
}

func TestHolds(t *testing.T) {
	process := startIdle(t)
	tids := tidsOf(t, process.PID)
	first, second := mustHoldThread(t, process.PID, tids[0]), mustHoldThread(t, process.PID, tids[1])
	wantHeld(t, process.PID, tids[0], tids[1])
	again := mustHoldThread(t, process.PID, tids[1])
	if err := While(process.PID, testtarget.Patience, func() { t.Error("f is run") }); !errors.Is(err, ErrBusy) {
		t.Errorf("While a thread is held = %v; want ErrBusy", err)
	}
	for range testtarget.Rounds(20) {
		session := mustStop(t, process.PID)
		if n := len(session.TIDs()); n != len(tids) {
			t.Errorf("%d threads are stopped; want %d", n, len(tids))
		}
		if err := session.RunThread(context.Background(), tids[1], 0); !errors.Is(err, ErrHeld) {
			t.Errorf("RunThread = %v; want ErrHeld", err)
		}
		session.Resume()
		wantHeld(t, process.PID, tids[0], tids[1])
	}
	// In the middle of a session they can end, and begin.
	session := mustStop(t, process.PID)
	second.Release()
	first.Release()
	third, err := session.Hold(tids[2])
	if err != nil {
		t.Fatal(err)
	}
	testtarget.WantStopped(t, process.PID, os.Getpid())
	session.Resume()
	wantHeld(t, process.PID, tids[1], tids[2])
	again.Release()
	third.Release()
	testtarget.WantFree(t, process.PID)
	if err := While(process.PID, testtarget.Patience, func() {}); err != nil {
		t.Errorf("While nothing is held = %v", err)
	}
	if len(turns.lasting) != 0 {
		t.Errorf("%d traces last on", len(turns.lasting))
	}
	if _, err := session.Hold(tids[2]); !errors.Is(err, unix.ESRCH) {
		t.Errorf("Hold after the session = %v; want ESRCH", err)
	}
}

func TestStopThreadOfNone(t *testing.T) {
	process := startIdle(t)
	hold := mustHoldThread(t, process.PID, process.PID)
	for _, tid := range []int{0, -1, os.Getpid(), os.Getppid(), 1 << 30} {
		if _, err := StopThread(context.Background(), process.PID, tid); !errors.Is(err, unix.ESRCH) {
			t.Errorf("StopThread(%d) = %v; want ESRCH", tid, err)
		}
	}
	hold.Release()
	testtarget.WantFree(t, process.PID)
	process.End()
	if _, err := StopThread(context.Background(), process.PID, process.PID); !errors.Is(err, unix.ESRCH) {
		t.Errorf("StopThread of no process = %v; want ESRCH", err)
	}
}

// Sessions of all threads, of one, and holds that begin and end in any order.
func TestHoldsAtOnce(t *testing.T) {
	process := startIdle(t)
	tids := tidsOf(t, process.PID)
	var all sync.WaitGroup
	for i := range tids {
		all.Go(func() {
			for range testtarget.Rounds(20) {
				hold, err := holdThread(process.PID, tids[i])
				if err != nil {
					t.Errorf("holdThread = %v", err)
					return
				}
				for _, task := range testtarget.Tasks(t, process.PID) {
					if task.TID == tids[i] && task.State != "t" {
						t.Errorf("a held thread is in state %s", task.State)
					}
				}
				hold.Release()
			}
		})
		all.Go(func() {
			for range testtarget.Rounds(20) {
				session, err := stop(process.PID, testtarget.Patience)
				if err != nil {
					t.Errorf("Stop = %v", err)
					return
				}
				testtarget.WantStopped(t, process.PID, os.Getpid())
				session.Resume()
			}
		})
	}
	all.Wait()
	testtarget.WantFree(t, process.PID)
	if answer, err := process.Ask("?"); err != nil || answer != "!" {
		t.Errorf("the process says %q, %v", answer, err)
	}
}

func TestKillOfTheTracerLetsAHeldThreadGo(t *testing.T) {
	process := startIdle(t)
	stopper, kill := startStopper(t, process.PID, "hold")
	if tracer := tracerOf(t, process.PID); tracer == 0 || stopper == 0 {
		t.Fatalf("it is traced by %d", tracer)
	}
	wantHeld(t, process.PID, process.PID)
	kill()
	testtarget.WaitFor(t, "the thread to go on", func() bool { return tracerOf(t, process.PID) == 0 })
	if answer, err := process.Ask("?"); err != nil || answer != "!" {
		t.Errorf("the process says %q, %v", answer, err)
	}
}

// A signal for a thread that is held comes when it goes on.
func TestASignalForAHeldThread(t *testing.T) {
	process := startIdle(t)
	hold := mustHoldThread(t, process.PID, process.PID)
	if err := unix.Tgkill(process.PID, process.PID, unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	session := mustStop(t, process.PID)
	session.Resume()
	wantHeld(t, process.PID, process.PID)
	hold.Release()
	testtarget.WaitFor(t, "the signal", func() bool {
		answer, err := process.Ask("caught")
		return err == nil && answer == "1"
	})
}

// Threads are stopped one by one while the process runs another program, which must come
// to that, and go on in it.
func TestHoldsInAProcessThatRunsAnotherProgram(t *testing.T) {
	target := testtarget.Start(t)
	for range testtarget.Rounds(10) {
		target.Do("threads 10")
		ready := make(chan string)
		go func() { ready <- target.Try("execself") }()
		for running := true; running; {
			tids, err := List(target.PID)
			if err != nil {
				t.Fatal(err)
			}
			for _, tid := range tids[1:] { // the first one may be the one that is to say so
				ctx, cancel := context.WithTimeout(context.Background(), testtarget.Patience)
				session, err := StopThread(ctx, target.PID, tid)
				cancel()
				if err == nil {
					session.Resume()
				} else if !errors.Is(err, unix.ESRCH) {
					t.Fatalf("StopThread(%d) = %v", tid, err)
				}
			}
			select {
			case line := <-ready:
				running = false
				if line != "ready" {
					t.Fatalf("after exec the target says %q; want ready", line)
				}
			default:
			}
		}
		testtarget.WantFree(t, target.PID)
	}
	target.Do("threads 5")
	testtarget.WantRunning(t, target)
}

// A thread that can't be stopped is an error, and whatever was held stays so.
func TestStopOfAVforkParentWithAHold(t *testing.T) {
	process := startIdle(t)
	tids := tidsOf(t, process.PID)
	hold := mustHoldThread(t, process.PID, tids[0])
	child, err := process.Ask("vfork") // of another thread
	if err != nil {
		t.Fatal(err)
	}
	testtarget.WaitFor(t, "the stop to time out at the thread", func() bool {
		session, err := stop(process.PID, 20*time.Millisecond)
		if session != nil {
			session.Resume()
			return false
		}
		return errors.Is(err, ErrTimeout)
	})
	pid, _ := strconv.Atoi(child)
	testtarget.Send(t, pid, unix.SIGKILL)
	testtarget.WaitFor(t, "all others to go on", func() bool {
		for _, task := range testtarget.Tasks(t, process.PID) {
			if held := task.TID == tids[0]; held != (task.Tracer != 0) {
				return false
			}
		}
		return true
	})
	wantHeld(t, process.PID, tids[0])
	hold.Release()
	testtarget.WantFree(t, process.PID)
}

func tracerOf(t *testing.T, tid int) int {
	t.Helper()
	for _, task := range testtarget.Tasks(t, tid) {
		if task.TID == tid {
			return task.Tracer
		}
	}
	return 0
}
