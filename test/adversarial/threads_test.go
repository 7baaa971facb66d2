// SPDX-License-Identifier: Apache-2.0

package adversarial

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// tasksFor opens a task for each of the calls.
func tasksFor(t *testing.T, pid int, calls []call) (tasks []*machcompat.Task) {
	t.Helper()
	for _, call := range calls {
		tasks = append(tasks, taskFor(t, pid, call.options...))
	}
	return tasks
}

// Attack 5. Threads wait in futex, read, nanosleep and epoll_wait, and check what
// those return; or threads are created and end without pause.
func TestManyThreads(t *testing.T) {
	for _, c := range []struct{ kind, count string }{{"wait", testtarget.Sized("100", "500")}, {"create", "4"}} {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			target := startC(t, "threads", c.kind, c.count)
			tasks := tasksFor(t, target.PID, stopping)
			slowest := make([]time.Duration, len(stopping))
			rounds := 0
			for round := range testtarget.Rounds(len(stopping)) {
				i, begin := round%len(stopping), time.Now()
				if err := stopping[i].twice(tasks[i], target.Address); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				slowest[i] = max(slowest[i], time.Since(begin))
				rounds++
			}
			t.Logf("%d rounds, the slowest two of each call took %v", rounds, slowest)
			mustBeFree(t, target.PID)
			if err := target.verdict(); err != nil {
				t.Error(err)
			}
		})
	}
}

// stateOf returns the letter of the process's state.
func stateOf(t *testing.T, pid int) string {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	return statusField(string(status), "State")[:1]
}

func waitForState(t *testing.T, pid int, want string) {
	t.Helper()
	testtarget.WaitFor(t, fmt.Sprintf("process %d to be in state %s", pid, want), func() bool { return stateOf(t, pid) == want })
}

// Attack 5. What a shell has stopped stays stopped, and goes on when the shell
// says so.
func TestStoppedJob(t *testing.T) {
	for _, signal := range []unix.Signal{unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN} {
		t.Run(unix.SignalName(signal), func(t *testing.T) {
			target := startC(t, "threads", "wait", "8")
			unix.Kill(target.PID, signal)
			waitForState(t, target.PID, "T")
			for i, task := range tasksFor(t, target.PID, stopping) {
				if err := stopping[i].twice(task, target.Address); err != nil {
					t.Fatal(err)
				}
				waitForState(t, target.PID, "T")
			}
			unix.Kill(target.PID, unix.SIGCONT)
			waitForState(t, target.PID, "S")
			mustBeFree(t, target.PID)
			if err := target.verdict(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Attack 5. What a shell does to a job that we hold, and write into, is seen when we
// let it go.
func TestJobSignalsWhileWeHoldIt(t *testing.T) {
	target := startC(t, "threads", "wait", "8")
	task := taskFor(t, target.PID)
	for _, c := range []struct {
		signals []unix.Signal
		want    string
	}{
		{[]unix.Signal{unix.SIGSTOP}, "T"},
		{[]unix.Signal{unix.SIGCONT}, "S"},
		{[]unix.Signal{unix.SIGSTOP, unix.SIGCONT}, "S"},
	} {
		if err := task.Suspend(); err != nil {
			t.Fatal(err)
		}
		for _, signal := range c.signals {
			unix.Kill(target.PID, signal)
		}
		if err := task.Write(target.Address, []byte("meanwhile")); err != nil {
			t.Error(err)
		}
		if err := task.Resume(); err != nil {
			t.Fatal(err)
		}
		waitForState(t, target.PID, c.want)
	}
	mustBeFree(t, target.PID)
	if err := target.verdict(); err != nil {
		t.Error(err)
	}
}

// Attack 5. Nothing but a kill interrupts a thread that waits for the child of a
// vfork: what needs a stop fails in time, the rest works.
func TestParentOfAVforkIsNotStopped(t *testing.T) {
	target := testtarget.Start(t)
	base := target.Address("map rw- 1")
	target.Do("vfork")
	if err := taskFor(t, target.PID, modes[0].options...).Write(base, []byte("plain")); err != nil {
		t.Errorf("a write without the stop: %v", err)
	}
	for _, call := range stopping {
		task := taskFor(t, target.PID, append([]machcompat.Option{machcompat.WithStopTimeout(100 * time.Millisecond)}, call.options...)...)
		want := machcompat.KERN_SUCCESS
		if call.stops() {
			want = machcompat.KERN_FAILURE
		}
		if err := call.do(task, base, 0); machcompat.CodeOf(err) != want {
			t.Errorf("%s = %v; want %v", call.name, err, want)
		}
		if tracers := tracersOf(target.PID); len(tracers) > 0 {
			t.Errorf("after %s it is traced: %v", call.name, tracers)
		}
	}
	target.Do("endvfork")
	for _, call := range stopping {
		if err := call.do(taskFor(t, target.PID, call.options...), base, 0); err != nil {
			t.Errorf("%s, once the child has ended: %v", call.name, err)
		}
	}
	if got := target.Bytes(base, 5); string(got[1:]) != "lain" {
		t.Errorf("%q is there", got)
	}
}

// Attack 5. A process lives on when its first thread ends before the others. The
// kernel gives its files in /proc to root then.
func TestProcessWhoseFirstThreadHasEnded(t *testing.T) {
	testtarget.Need(t, "root")
	for _, opened := range []string{"before", "after"} {
		t.Run("the task was opened "+opened, func(t *testing.T) {
			target := testtarget.Start(t)
			base := target.Address("map rw- 1")
			var tasks []*machcompat.Task
			if opened == "before" {
				tasks = tasksFor(t, target.PID, stopping)
			}
			target.Do("endfirst")
			waitForState(t, target.PID, "Z")
			if opened == "after" {
				tasks = tasksFor(t, target.PID, stopping)
			}
			for i, task := range tasks {
				name := stopping[i].name
				if err := stopping[i].twice(task, base); err != nil {
					t.Fatal(err)
				}
				want := fmt.Sprint("reached ", i)
				if err := task.Write(base, []byte(want)); err != nil {
					t.Fatalf("a write after %s: %v", name, err)
				}
				got := make([]byte, len(want))
				if _, err := task.ReadAt(got, int64(base)); err != nil || string(got) != want {
					t.Errorf("after %s it reads %q, %v; want %q", name, got, err, want)
				}
				if seen := seenByAThread(t, target.PID, base, len(want)); seen != want {
					t.Errorf("after %s %q is there; want %q", name, seen, want)
				}
			}
			target.End()
			for i, task := range tasks {
				if err := task.Write(base, []byte("late")); !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
					t.Errorf("after its end, task of %s: %v; want KERN_INVALID_ARGUMENT", stopping[i].name, err)
				}
			}
		})
	}
}

// seenByAThread returns memory of a process as one of its living threads has it.
func seenByAThread(t *testing.T, pid int, address uint64, size int) string {
	t.Helper()
	// Older kernels open the memory of a zombie, which has no byte.
	alive := threadsThat(pid, func(s string) string { return strings.TrimPrefix(statusField(s, "State"), "Z (zombie)") })
	for tid := range alive {
		if file, err := os.Open("/proc/" + strconv.Itoa(tid) + "/mem"); err == nil {
			defer file.Close()
			data := make([]byte, size)
			n, _ := file.ReadAt(data, int64(address))
			return string(data[:n])
		}
	}
	t.Fatal("no thread is alive")
	return ""
}

func TestForcedProcessVMWithoutTheFirstThread(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("endfirst")
	waitForState(t, target.PID, "Z")
	_, err := machcompat.TaskForPID(target.PID, modes[0].options...)
	e, ok := errors.AsType[*machcompat.Error](err)
	if !ok || e.Code != machcompat.KERN_FAILURE || !strings.Contains(e.Hint, "first thread") {
		t.Errorf("%v; want KERN_FAILURE and a hint that says why: %+v", err, e)
	}
}

// Attack 5. A process has one tracer. What needs to be it says who is.
func TestTargetOfAnotherDebugger(t *testing.T) {
	target := startC(t, "threads", "wait", "8")
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PtraceSeize(target.PID); err != nil {
		t.Fatal(err)
	}
	for i, task := range tasksFor(t, target.PID, stopping) {
		err := stopping[i].do(task, target.Address, 0)
		e, ok := errors.AsType[*machcompat.Error](err)
		if !ok || e.Code != machcompat.KERN_FAILURE || !strings.Contains(e.Hint, "already traced by") {
			t.Errorf("%s = %v; want KERN_FAILURE and a hint that names the tracer", stopping[i].name, err)
		}
	}
	if err := taskFor(t, target.PID).Write(target.Address, []byte("beside")); err != nil {
		t.Errorf("a write that needs no stop: %v", err)
	}
	tracers := tracersOf(target.PID)
	if want := fmt.Sprint(unix.Gettid()); len(tracers) != 1 || tracers[target.PID] != want {
		t.Errorf("its tracers are %v; want %s for its first thread", tracers, want)
	}
	if err := unix.PtraceInterrupt(target.PID); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Wait4(target.PID, nil, unix.WALL, nil); err != nil {
		t.Fatal(err)
	}
	if err := unix.PtraceDetach(target.PID); err != nil {
		t.Fatal(err)
	}
	if err := target.verdict(); err != nil {
		t.Error(err)
	}
}
