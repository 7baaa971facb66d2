// SPDX-License-Identifier: Apache-2.0

package ptrace

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// wantOnlyTheZombie waits until of the process nothing is left but what its
// parent has to wait for, and checks that we do not hold that.
func wantOnlyTheZombie(t *testing.T, target *testtarget.Target) {
	t.Helper()
	testtarget.WaitFor(t, "the process to end", func() bool {
		tasks := testtarget.Tasks(t, target.PID)
		return len(tasks) == 1 && tasks[0].State == "Z"
	})
	testtarget.WantFree(t, target.PID)
	target.End()
	if _, err := os.Stat("/proc/" + strconv.Itoa(target.PID)); !errors.Is(err, unix.ENOENT) {
		t.Errorf("after the parent's wait the process is still there: %v", err)
	}
}

func TestKillDuringTheStopLeavesNothing(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 20")
	session := mustStop(t, target.PID)
	target.Kill()
	session.Resume()
	wantOnlyTheZombie(t, target)
}

func TestKillBeforeTheStopLeavesNothing(t *testing.T) {
	for i := range testtarget.Rounds(15) {
		target := testtarget.Start(t)
		target.Do("threads 20")
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			time.Sleep(time.Duration(i%40) * 50 * time.Microsecond)
			unix.Kill(target.PID, unix.SIGKILL)
		}()
		for {
			session, err := stop(target.PID, testtarget.Patience)
			if errors.Is(err, unix.ESRCH) {
				break
			}
			if err != nil {
				t.Fatalf("Stop = %v; want ESRCH at last", err)
			}
			session.Resume()
		}
		<-ended
		wantOnlyTheZombie(t, target)
	}
}

// A thread that runs another program ends the others and waits for their tracer
// to notice, under a lock that the tracer needs for the next one.
func TestStopOfAProcessThatRunsAnotherProgram(t *testing.T) {
	target := testtarget.Start(t)
	for range testtarget.Rounds(10) {
		target.Do("threads 20")
		ready := make(chan string)
		go func() { ready <- target.Try("execself") }()
		for running := true; running; {
			session := mustStop(t, target.PID)
			session.Resume()
			testtarget.WantFree(t, target.PID)
			select {
			case line := <-ready:
				running = false
				if line != "ready" {
					t.Fatalf("after exec the target says %q; want ready", line)
				}
			default:
			}
		}
	}
	target.Do("threads 5")
	testtarget.WantRunning(t, target)
}

func TestStopOfAProcessWithoutItsFirstThread(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("endfirst")
	target.Do("threads 5")
	first := func() string {
		tasks := testtarget.Tasks(t, target.PID)
		i := slices.IndexFunc(tasks, func(task testtarget.Task) bool { return task.TID == target.PID })
		return tasks[i].State
	}
	testtarget.WaitFor(t, "the first thread to end", func() bool { return first() == "Z" })
	session, err := stop(target.PID, testtarget.Patience)
	if err != nil {
		t.Fatalf("Stop = %v", err)
	}
	for _, task := range testtarget.Tasks(t, target.PID) {
		if task.TID != target.PID && task.State != "t" {
			t.Errorf("thread %d is in state %s; want t", task.TID, task.State)
		}
	}
	session.Resume()
	testtarget.WantRunning(t, target)
}

// The first thread can end between its seizing and its stop, and the kernel
// does not tell the tracer before all others have ended.
func TestTheFirstThreadMayEndOnceItIsSeized(t *testing.T) {
	t.Setenv("GODEBUG", "asyncpreemptoff=1") // a signal would stop the thread before it ends
	target := testtarget.Start(t)
	seized, end := make(chan error), make(chan error)
	released := make(chan bool)
	go func() {
		session := newTrace(target.PID)
		session.threads[target.PID] = &thread{}
		onThread(func() {
			seized <- unix.PtraceSeize(target.PID)
			<-end
			end <- session.stopAll(context.Background().Err)
			<-end
			released <- session.release()
		})
	}()
	if err := <-seized; err != nil {
		t.Fatal(err)
	}
	target.Do("endfirst")
	target.Do("threads 5")
	testtarget.WaitFor(t, "the first thread to end", func() bool {
		return slices.ContainsFunc(testtarget.Tasks(t, target.PID), func(task testtarget.Task) bool { return task.TID == target.PID && task.State == "Z" })
	})
	end <- nil
	if err := <-end; err != nil {
		t.Errorf("stopAll = %v", err)
	}
	for _, task := range testtarget.Tasks(t, target.PID) {
		if task.TID != target.PID && task.State != "t" {
			t.Errorf("thread %d is in state %s; want t", task.TID, task.State)
		}
	}
	end <- nil
	if <-released {
		t.Error("release claims that all are let go, but the first thread could not be")
	}
	testtarget.WaitFor(t, "the tracer to end", func() bool {
		return !slices.ContainsFunc(testtarget.Tasks(t, target.PID), func(task testtarget.Task) bool { return task.Tracer != 0 })
	})
	testtarget.WantRunning(t, target)
}

func TestStopOfAVforkParentTimesOut(t *testing.T) {
	target := testtarget.Start(t) // whose runtime has threads enough
	target.Do("vfork")
	timeout := time.Duration(0)
	testtarget.WaitFor(t, "the error to name the thread, when all others have stopped in time", func() bool {
		session, err := stop(target.PID, timeout)
		stopError, ok := errors.AsType[*StopError](err)
		if session != nil || !ok || !errors.Is(err, ErrTimeout) {
			t.Fatalf("Stop = %v, %v; want ErrTimeout", session, err)
		}
		testtarget.WantRunning(t, target)
		timeout = 2*timeout + 50*time.Millisecond
		return slices.ContainsFunc(testtarget.Tasks(t, target.PID), func(task testtarget.Task) bool {
			return task.TID == stopError.TID && task.State == "D"
		})
	})
	target.Do("endvfork")
	mustStop(t, target.PID).Resume()
	testtarget.WantRunning(t, target)
}

// A process that is killed while it is stopped is its parent's to wait for, at once.
func TestKillDuringTheStopIsSeenByTheParent(t *testing.T) {
	within := func(t *testing.T, what string, f func()) {
		t.Helper()
		done := make(chan struct{})
		go func() {
			defer close(done)
			f()
		}()
		select {
		case <-done:
		case <-time.After(testtarget.Patience):
			t.Fatalf("waited %v for %s", testtarget.Patience, what)
		}
	}
	kill := func(t *testing.T, session *Session, waited func()) {
		t.Helper()
		testtarget.Send(t, session.PID(), unix.SIGKILL)
		within(t, "the parent's wait to return", waited)
		testtarget.WaitFor(t, "the session to end", func() bool { return errors.Is(session.Do(func() {}), unix.ESRCH) })
		session.Resume()
	}
	t.Run("this program is the parent", func(t *testing.T) {
		target := testtarget.Start(t)
		target.Do("threads 5")
		kill(t, mustStop(t, target.PID), target.End)
	})
	t.Run("this program is the parent of one thread", func(t *testing.T) {
		cat := testtarget.StartProcess(t, exec.Command("cat"))
		kill(t, mustStop(t, cat.PID), cat.End)
	})
	t.Run("another process is the parent", func(t *testing.T) {
		testtarget.Need(t, "tracing")
		const parent = `exec 3<&0 2>/dev/null; "$0" <&3 >/dev/null & echo $!; wait $!; echo $?`
		shell := testtarget.StartProcess(t, exec.Command("sh", "-c", parent, testtarget.Build(t, "")))
		pid, err := strconv.Atoi(shell.Line())
		if err != nil {
			t.Fatal(err)
		}
		testtarget.WaitFor(t, "the target's own threads", func() bool { return len(testtarget.Tasks(t, pid)) > 2 })
		var status string
		kill(t, mustStop(t, pid), func() { status, _ = shell.ReadLine() })
		if status != "137" { // 128 and SIGKILL
			t.Errorf("the parent waits for status %q; want 137", status)
		}
	})
}
