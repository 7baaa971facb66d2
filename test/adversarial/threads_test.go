package adversarial

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// stopping are the calls that stop a target, each of which must leave it as it
// was.
var stopping = []struct {
	name    string
	options []machcompat.Option
	do      func(task *machcompat.Task, page uint64, round int) error
}{
	{"write through procmem", ways[2].options, writeOnce},
	{"atomic write", ways[3].options, writeOnce},
	{"suspend", nil, dooms[2].do},
	{"vm_protect", nil, func(task *machcompat.Task, page uint64, round int) error {
		return task.Protect(page, pageSize, false, machcompat.VM_PROT_READ|machcompat.VMProt(round%2)*machcompat.VM_PROT_WRITE)
	}},
	{"vm_allocate", nil, func(task *machcompat.Task, _ uint64, _ int) error {
		address, err := task.Allocate(0, pageSize, machcompat.VM_FLAGS_ANYWHERE)
		if err != nil {
			return err
		}
		return task.Deallocate(address, pageSize)
	}},
}

// mustBeFree fails the test when a thread of the process is stopped or traced.
func mustBeFree(t *testing.T, pid int) {
	t.Helper()
	if how := harm(pid); how != "" {
		t.Errorf("afterwards %s", how)
	}
}

// Attack 5. 500 threads wait in futex, read, nanosleep and epoll_wait, and check
// what those return; or threads are created and end without pause.
func TestManyThreads(t *testing.T) {
	for _, c := range []struct{ kind, count string }{{"wait", "500"}, {"create", "4"}} {
		for _, call := range stopping {
			t.Run(c.kind+" "+c.count+", "+call.name, func(t *testing.T) {
				t.Parallel()
				target := start(t, exec.Command(testtarget.BuildC(t, "testdata/threads.c"), c.kind, c.count))
				options := append([]machcompat.Option{machcompat.WithStopTimeout(20 * time.Second)}, call.options...)
				task := taskFor(t, target.PID, options...)
				rounds, slowest := 0, time.Duration(0)
				for end := time.Now().Add(stormTime() / 4); time.Now().Before(end) || rounds%2 == 1; rounds++ {
					begin := time.Now()
					if err := call.do(task, target.Address, rounds); err != nil {
						t.Fatalf("round %d: %v", rounds, err)
					}
					slowest = max(slowest, time.Since(begin))
				}
				t.Logf("%d rounds, the slowest took %v", rounds, slowest.Round(time.Microsecond))
				mustBeFree(t, target.PID)
				if err := target.verdict(); err != nil {
					t.Error(err)
				}
			})
		}
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
	for range 2000 {
		if stateOf(t, pid) == want {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("process %d is in state %s; want %s", pid, stateOf(t, pid), want)
}

// Attack 5. What a shell has stopped stays stopped, and goes on when the shell
// says so; what is continued while we hold it goes on afterwards.
func TestStoppedJob(t *testing.T) {
	for _, signal := range []unix.Signal{unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN} {
		for _, call := range stopping {
			t.Run(unix.SignalName(signal)+", "+call.name, func(t *testing.T) {
				target := start(t, exec.Command(testtarget.BuildC(t, "testdata/threads.c"), "wait", "8"))
				task := taskFor(t, target.PID, call.options...)
				unix.Kill(target.PID, signal)
				waitForState(t, target.PID, "T")
				for round := range 4 {
					if err := call.do(task, target.Address, round); err != nil {
						t.Fatalf("round %d: %v", round, err)
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
}

func TestJobIsStoppedAndContinuedWhileItIsSuspended(t *testing.T) {
	target := start(t, exec.Command(testtarget.BuildC(t, "testdata/threads.c"), "wait", "8"))
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
		t.Logf("%v", c.signals)
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
	plain := taskFor(t, target.PID, ways[0].options...)
	if err := plain.Write(base, []byte("plain")); err != nil {
		t.Errorf("a write without the stop: %v", err)
	}
	for _, call := range stopping {
		options := append([]machcompat.Option{machcompat.WithStopTimeout(100 * time.Millisecond)}, call.options...)
		task := taskFor(t, target.PID, options...)
		begin := time.Now()
		err := call.do(task, base, 0)
		if code := machcompat.CodeOf(err); code != machcompat.KERN_FAILURE || time.Since(begin) > 5*time.Second {
			t.Errorf("%s = %v after %v; want KERN_FAILURE in time", call.name, err, time.Since(begin))
		}
		if status := threadsThat(target.PID, func(s string) string { return strings.TrimPrefix(statusField(s, "TracerPid"), "0") }); len(status) > 0 {
			t.Errorf("after %s it is traced: %v", call.name, status)
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

// Attack 5. A process lives on when its first thread ends before the others.
func TestProcessWhoseFirstThreadHasEnded(t *testing.T) {
	for _, when := range []string{"opened before", "opened after"} {
		for _, call := range stopping {
			t.Run(when+", "+call.name, func(t *testing.T) {
				target := testtarget.Start(t)
				base := target.Address("map rw- 1")
				var task *machcompat.Task
				if when == "opened before" {
					task = taskFor(t, target.PID, call.options...)
				}
				target.Do("endfirst")
				waitForState(t, target.PID, "Z")
				if when == "opened after" {
					task = taskFor(t, target.PID, call.options...)
				}
				for round := range 2 {
					if err := call.do(task, base, round); err != nil {
						t.Fatal(err)
					}
				}
				if err := task.Write(base, []byte("reached")); err != nil {
					t.Fatal(err)
				}
				var got [7]byte
				if _, err := task.ReadAt(got[:], int64(base)); err != nil || string(got[:]) != "reached" {
					t.Errorf("it reads %q, %v", got, err)
				}
				if seen := seenByAThread(t, target.PID, base, 7); seen != "reached" {
					t.Errorf("%q is there", seen)
				}
				target.End()
				if err := task.Write(base, []byte("late")); !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
					t.Errorf("after its end: %v; want KERN_INVALID_ARGUMENT", err)
				}
			})
		}
	}
}

// seenByAThread returns memory of a process as one of its living threads has it.
func seenByAThread(t *testing.T, pid int, address uint64, size int) string {
	t.Helper()
	alive := threadsThat(pid, func(s string) string { return strings.Trim(statusField(s, "State"), "Zombie() ") })
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
	_, err := machcompat.TaskForPID(target.PID, ways[0].options...)
	e, ok := errors.AsType[*machcompat.Error](err)
	if !ok || e.Code != machcompat.KERN_FAILURE || !strings.Contains(e.Hint, "first thread") {
		t.Errorf("%v; want KERN_FAILURE and a hint that says why: %+v", err, e)
	}
}

// Attack 5. A process has one tracer. What needs to be it says who is.
func TestTargetOfAnotherDebugger(t *testing.T) {
	target := start(t, exec.Command(testtarget.BuildC(t, "testdata/threads.c"), "wait", "8"))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PtraceSeize(target.PID); err != nil {
		t.Fatal(err)
	}
	for _, call := range stopping {
		err := call.do(taskFor(t, target.PID, call.options...), target.Address, 0)
		e, ok := errors.AsType[*machcompat.Error](err)
		if !ok || e.Code != machcompat.KERN_FAILURE || !strings.Contains(e.Hint, "already traced by") {
			t.Errorf("%s = %v; want KERN_FAILURE and a hint that names the tracer", call.name, err)
		}
	}
	if err := taskFor(t, target.PID).Write(target.Address, []byte("beside")); err != nil {
		t.Errorf("a write that needs no stop: %v", err)
	}
	tracers := threadsThat(target.PID, func(s string) string { return strings.TrimPrefix(statusField(s, "TracerPid"), "0") })
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
