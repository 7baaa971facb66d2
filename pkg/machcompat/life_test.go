// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// itoa keeps the tests short.
func itoa(n int) string { return strconv.Itoa(n) }

func parseUint(t *testing.T, text string) uint64 {
	t.Helper()
	value, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// ends are the ways in which a task comes to its end while it is held.
var ends = []struct {
	name string
	end  func(*testing.T, *testtarget.Target)
}{
	{"it exited", func(_ *testing.T, target *testtarget.Target) { target.End() }},
	{"it is a zombie", func(_ *testing.T, target *testtarget.Target) { target.Kill() }},
	{"it runs another program", func(t *testing.T, target *testtarget.Target) {
		if answer := target.Try("execself"); answer != "ready" {
			t.Fatalf("exec: %s", answer)
		}
	}},
}

func TestUseOfATaskThatHasEndedIsKERN_INVALID_ARGUMENT(t *testing.T) {
	eachRun(t, func(t *testing.T, options ...machcompat.Option) {
		for _, end := range ends {
			for _, used := range []bool{false, true} {
				t.Run(end.name+", used before: "+strconv.FormatBool(used), func(t *testing.T) {
					target := testtarget.Start(t)
					task := taskFor(t, target.PID, options...)
					base := target.Address("map rw- 1")
					if used {
						if err := task.Write(base, []byte("before")); err != nil {
							t.Fatal(err)
						}
					}
					end.end(t, target)
					mustBeGone(t, task, base)
				})
			}
		}
	})
}

func mustBeGone(t *testing.T, task *machcompat.Task, base uint64) {
	t.Helper()
	_, readErr := task.ReadAt(make([]byte, 8), int64(base))
	_, writeAtErr := task.WriteAt([]byte("x"), int64(base))
	var regionsErr error
	for _, err := range task.Regions() {
		regionsErr = err
	}
	for name, err := range map[string]error{
		"Write":         task.Write(base, []byte("after")),
		"Write nothing": task.Write(base, nil),
		"WriteBatch":    task.WriteBatch([]machcompat.Segment{{Address: base, Data: []byte("a")}, {Address: base + 8, Data: []byte("b")}}),
		"WriteAt":       writeAtErr,
		"ReadAt":        readErr,
		"Check":         task.Check(base, 1),
		"Regions":       regionsErr,
	} {
		if !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) || !errors.Is(err, unix.ESRCH) {
			t.Errorf("%s = %v; want KERN_INVALID_ARGUMENT and ESRCH", name, err)
		}
	}
	if code := machcompat.VMWrite(task, machcompat.VMAddress(base), []byte("x")); code != machcompat.KERN_INVALID_ARGUMENT {
		t.Errorf("VMWrite = %s; want KERN_INVALID_ARGUMENT", code.String())
	}
}

func TestTaskForPIDOfWhatIsNoTaskIsKERN_FAILURE(t *testing.T) {
	zombie := testtarget.StartBystander(t, testtarget.Build(t, ""))
	zombie.Kill()
	testtarget.WaitFor(t, "a zombie", func() bool { return strings.Contains(statusOf(t, zombie.PID), "State:\tZ") })
	ended := testtarget.StartBystander(t, testtarget.Build(t, ""))
	ended.End()
	target := testtarget.StartBystander(t, testtarget.Build(t, ""))
	target.Do("threads 1")
	const kthreadd = 2
	cases := []struct {
		name  string
		pid   int
		errno error
		hint  string
	}{
		{"no such process", ended.PID, unix.ESRCH, ""},
		{"pid 0", 0, unix.ESRCH, ""},
		{"a negative pid", -1, unix.ESRCH, ""},
		{"a zombie", zombie.PID, unix.ESRCH, "has ended and is a zombie"},
		{"a thread", otherThread(t, target.PID), nil, ""},
		{"a kernel thread", kthreadd, unix.ESRCH, "is the kernel thread"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.pid == kthreadd {
				testtarget.Need(t, "kthreadd")
			}
			for _, source := range []procmaps.Source{procmaps.Auto, procmaps.Text} {
				_, err := machcompat.TaskForPID(c.pid, machcompat.WithMapSource(source))
				e := wantError(t, err, machcompat.KERN_FAILURE)
				if c.errno != nil && !errors.Is(err, c.errno) {
					t.Errorf("TaskForPID(%d) = %v; want %v", c.pid, err, c.errno)
				}
				if !strings.Contains(e.Hint, c.hint) {
					t.Errorf("the hint is %q; want %q in it", e.Hint, c.hint)
				}
			}
		})
	}
}

// otherThread returns a thread of the process that is not its first.
func otherThread(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if tid, err := strconv.Atoi(entry.Name()); err == nil && tid != pid {
			return tid
		}
	}
	t.Fatal("the target has one thread only")
	return 0
}

func TestOptionsThatContradictEachOther(t *testing.T) {
	_, err := machcompat.TaskForPID(os.Getpid(), machcompat.Atomic(), machcompat.WithStop(machcompat.StopNever))
	wantError(t, err, machcompat.KERN_INVALID_ARGUMENT)
}

func TestClosedTask(t *testing.T) {
	task := taskFor(t, os.Getpid())
	if err := task.Close(); err != nil {
		t.Fatal(err)
	}
	_, readErr := task.ReadAt(make([]byte, 1), 0)
	var regionsErr error
	for _, err := range task.Regions() {
		regionsErr = err
	}
	for name, err := range map[string]error{
		"Close": task.Close(), "Write": task.Write(0, nil), "Check": task.Check(0, 1), "ReadAt": readErr, "Regions": regionsErr,
	} {
		if !errors.Is(err, machcompat.ErrClosed) {
			t.Errorf("%s of a closed task = %v; want ErrClosed", name, err)
		}
	}
}

func TestTaskOfThisProcess(t *testing.T) {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page)
	address := addressOf(page)
	if err := taskFor(t, os.Getpid()).Write(address, []byte("self")); err != nil || string(page[:4]) != "self" {
		t.Errorf("a write into this process = %v, and %q is there", err, page[:4])
	}
	// It can't stop itself, so what needs the stop is refused.
	want := "stop"
	if testtarget.Missing("forced writes") == nil {
		want = "self"
	}
	err = taskFor(t, os.Getpid(), machcompat.WithBackend(machcompat.ProcMem)).Write(address, []byte("stop"))
	if (err == nil) != (want == "stop") || string(page[:4]) != want {
		t.Errorf("a write through /proc/PID/mem into this process = %v, and %q is there; want %q", err, page[:4], want)
	}
	err = taskFor(t, os.Getpid(), machcompat.WithStop(machcompat.StopAlways)).Write(address, []byte("halt"))
	if err == nil || string(page[:4]) != want {
		t.Errorf("a write that must stop this process = %v, and %q is there", err, page[:4])
	}
	err = taskFor(t, os.Getpid(), machcompat.WithBackend(machcompat.ProcMem), machcompat.WithStop(machcompat.StopNever)).Write(address, []byte("wave"))
	if err != nil || string(page[:4]) != "wave" {
		t.Errorf("a write without the stop = %v, and %q is there", err, page[:4])
	}
}

// isTraced reports whether a process has a tracer.
func isTraced(t *testing.T, pid int) bool {
	t.Helper()
	return !strings.Contains(statusOf(t, pid), "TracerPid:\t0\n")
}

func statusOf(t *testing.T, pid int) string {
	t.Helper()
	status, err := os.ReadFile("/proc/" + itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	return string(status)
}
