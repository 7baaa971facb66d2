// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// threadTarget is testdata/threads.c, which says what it can be asked.
type threadTarget struct {
	*testtarget.Process
	t        *testing.T
	task     *machcompat.Task
	counting []machcompat.ThreadID
}

func startThreads(t *testing.T) *threadTarget {
	t.Helper()
	target := &threadTarget{Process: testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/threads.c"))), t: t}
	if line := target.Line(); line != "ready" {
		t.Fatalf("the target says %q", line)
	}
	target.task = taskFor(t, target.PID)
	for text := range strings.FieldsSeq(target.ask("counting")) {
		target.counting = append(target.counting, target.thread(text))
	}
	return target
}

func (target *threadTarget) ask(format string, args ...any) string {
	target.t.Helper()
	answer, err := target.Ask(format, args...)
	if err != nil {
		target.t.Fatal(err)
	}
	return answer
}

func (target *threadTarget) number(question string) uint64 {
	target.t.Helper()
	n, err := strconv.ParseUint(target.ask("%s", question), 10, 64)
	if err != nil {
		target.t.Fatal(err)
	}
	return n
}

func (target *threadTarget) thread(tid string) machcompat.ThreadID {
	target.t.Helper()
	n, err := strconv.Atoi(tid)
	if err != nil {
		target.t.Fatal(err)
	}
	id, err := target.task.Thread(n)
	if err != nil {
		target.t.Fatal(err)
	}
	return id
}

// waiting starts a thread that waits in a system call, and returns when it does.
func (target *threadTarget) waiting(command, name string) machcompat.ThreadID {
	target.t.Helper()
	id := target.thread(target.ask("%s %s", command, name))
	testtarget.WaitFor(target.t, "the thread to sleep in the kernel", func() bool {
		info, err := target.task.ThreadInfo(id)
		return err == nil && info.State == 'S'
	})
	return id
}

func (target *threadTarget) must(err error) {
	target.t.Helper()
	if err != nil {
		target.t.Fatal(err)
	}
}

func (target *threadTarget) counts() (counts []uint64) {
	target.t.Helper()
	for text := range strings.FieldsSeq(target.ask("counts")) {
		n, _ := strconv.ParseUint(text, 10, 64)
		counts = append(counts, n)
	}
	return counts
}

// wantCounting checks which of the counting threads go on.
func (target *threadTarget) wantCounting(want ...bool) {
	target.t.Helper()
	before := target.counts()
	testtarget.WaitFor(target.t, fmt.Sprintf("the threads to count: %v", want), func() bool {
		for i, n := range target.counts() {
			switch {
			case !want[i] && n != before[i]:
				target.t.Fatalf("thread %d of the counting ones goes on", i)
			case want[i] && n <= before[i]+3:
				return false
			}
		}
		return true
	})
}

func TestThreads(t *testing.T) {
	target := startThreads(t)
	ids, err := target.task.Threads()
	if err != nil || len(ids) != 4 || ids[0].TID != target.PID {
		t.Fatalf("Threads = %v, %v; want 4, the first one first", ids, err)
	}
	for _, id := range target.counting {
		if !slices.Contains(ids, id) {
			t.Errorf("%v is not in %v", id, ids)
		}
		if info, err := target.task.ThreadInfo(id); err != nil || info.Name == "" || info.State == 0 || info.Usage > 1 {
			t.Errorf("ThreadInfo = %+v, %v", info, err)
		}
	}
	own, err := taskFor(t, os.Getpid()).Threads()
	if err != nil || len(own) < 2 {
		t.Errorf("of this program: %v, %v", own, err)
	}
	target.End()
	if ids, err := target.task.Threads(); len(ids) != 0 || !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
		t.Errorf("of a task that has ended: %v, %v", ids, err)
	}
	if _, err := target.task.ThreadInfo(ids[0]); !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
		t.Errorf("ThreadInfo of a task that has ended: %v", err)
	}
}

func TestSuspendThread(t *testing.T) {
	target := startThreads(t)
	task, counting := target.task, target.counting
	target.wantCounting(true, true, true)
	target.must(task.SuspendThread(counting[1]))
	target.wantCounting(true, false, true)
	target.must(task.SuspendThread(counting[1]))
	target.must(task.SuspendThread(counting[0]))
	target.wantCounting(false, false, true)
	target.must(task.ResumeThread(counting[1]))
	target.wantCounting(false, false, true)
	target.must(task.ResumeThread(counting[1]))
	target.wantCounting(false, true, true)
	if err := task.ResumeThread(counting[1]); !errors.Is(err, machcompat.KERN_FAILURE) {
		t.Errorf("ResumeThread once more = %v", err)
	}
	if info, err := task.ThreadInfo(counting[0]); err != nil || info.Suspended != 1 || info.State != 't' {
		t.Errorf("ThreadInfo = %+v, %v", info, err)
	}

	// Whatever stops all leaves it as it is.
	change := func(task *machcompat.Task) {
		t.Helper()
		page, err := task.Allocate(0, pageSize, machcompat.VM_FLAGS_ANYWHERE)
		target.must(err)
		target.must(task.Protect(page, pageSize, false, machcompat.VM_PROT_READ))
		target.must(task.Deallocate(page, pageSize))
		target.wantCounting(false, true, true)
	}
	change(task)
	change(taskFor(t, target.PID, machcompat.Atomic()))
	target.must(task.Suspend())
	target.must(task.SuspendThread(counting[2]))
	target.must(task.ResumeThread(counting[0]))
	testtarget.WantStopped(t, target.PID, os.Getpid())
	target.must(task.Resume())
	target.wantCounting(true, true, false)

	// Another Task counts for itself, and waits for none.
	other := taskFor(t, target.PID)
	target.must(other.SuspendThread(counting[2]))
	target.must(task.ResumeThread(counting[2]))
	target.wantCounting(true, true, false)
	target.must(task.SuspendThread(counting[0]))
	other.Close()
	target.wantCounting(false, true, true)
	task.Close()
	target.wantCounting(true, true, true)
	testtarget.WantFree(t, target.PID)
}

// A thread that is suspended is the only one that there is to make the task's calls.
func TestSuspendThreadThatMakesCalls(t *testing.T) {
	target := startThreads(t)
	ids, err := target.task.Threads()
	target.must(err)
	before := map[machcompat.ThreadID]machcompat.ThreadState{}
	for _, id := range ids {
		target.must(target.task.SuspendThread(id))
		before[id] = must(target.task.ThreadState(id))
	}
	for range 5 {
		page, err := target.task.Allocate(0, pageSize, machcompat.VM_FLAGS_ANYWHERE)
		target.must(err)
		target.must(target.task.Deallocate(page, pageSize))
	}
	for _, id := range ids {
		if state := must(target.task.ThreadState(id)); !reflect.DeepEqual(state, before[id]) {
			t.Errorf("a thread goes from %+v to %+v", before[id], state)
		}
		target.must(target.task.ResumeThread(id))
	}
	target.wantCounting(true, true, true)
	testtarget.WantFree(t, target.PID)
}

func TestSuspendThreadOfNone(t *testing.T) {
	target := startThreads(t)
	stale := target.counting[0]
	stale.Start++
	self := machcompat.ThreadID{TID: os.Getpid()}
	for name, test := range map[string]struct {
		id   machcompat.ThreadID
		task *machcompat.Task
		want machcompat.KernReturn
	}{
		"its number is another's now": {stale, target.task, machcompat.KERN_TERMINATED},
		"another process's":           {self, target.task, machcompat.KERN_TERMINATED},
		"this program's own":          {self, taskFor(t, os.Getpid()), machcompat.KERN_NOT_SUPPORTED},
	} {
		t.Run(name, func(t *testing.T) {
			_, stateErr := test.task.ThreadState(test.id)
			for _, err := range []error{test.task.SuspendThread(test.id), test.task.ResumeThread(test.id), stateErr, test.task.SetThreadState(test.id, machcompat.ThreadState{})} {
				if !errors.Is(err, test.want) {
					t.Errorf("%v; want %v", err, test.want)
				}
			}
		})
	}
	target.wantCounting(true, true, true)
	testtarget.WantFree(t, target.PID)
}

// What ends a process, or the thread, ends a suspension too, and nobody waits for us.
func TestSuspendThreadThatIsEnded(t *testing.T) {
	for _, which := range []string{"a thread", "the first thread"} {
		suspend := func(t *testing.T) (*threadTarget, machcompat.ThreadID) {
			t.Helper()
			target := startThreads(t)
			id := target.counting[1]
			if which == "the first thread" {
				id = target.thread(strconv.Itoa(target.PID))
			}
			target.must(target.task.SuspendThread(id))
			return target, id
		}
		wantGone := func(target *threadTarget, id machcompat.ThreadID) {
			target.t.Helper()
			if err := target.task.ResumeThread(id); !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
				target.t.Errorf("ResumeThread = %v", err)
			}
		}
		t.Run(which+" by a kill", func(t *testing.T) {
			target, id := suspend(t)
			testtarget.Send(t, target.PID, unix.SIGKILL)
			target.End() // waits for it
			wantGone(target, id)
		})
		t.Run(which+" by the end of the Task", func(t *testing.T) {
			target, id := suspend(t)
			target.task.Close()
			target.wantCounting(true, true, true)
			testtarget.WantFree(t, target.PID)
			wantGone(target, id)
		})
	}
	t.Run("by an exec", func(t *testing.T) {
		target := startThreads(t)
		for range testtarget.Rounds(10) {
			target.must(target.task.SuspendThread(target.counting[1]))
			target.must(target.task.SuspendThread(target.counting[2]))
			if line := target.ask("exec"); line != "ready" {
				t.Fatalf("after exec the target says %q", line)
			}
			testtarget.WantFree(t, target.PID)
			if err := target.task.ResumeThread(target.counting[1]); !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
				t.Errorf("ResumeThread = %v", err)
			}
			target.task, target.counting = taskFor(t, target.PID), nil
			for text := range strings.FieldsSeq(target.ask("counting")) {
				target.counting = append(target.counting, target.thread(text))
			}
			target.wantCounting(true, true, true)
		}
	})
}

// Another thread runs a program, and with that ends a first thread that is suspended, or is
// being so.
func TestSuspendFirstThreadOfAProcessThatRunsAnotherProgram(t *testing.T) {
	for _, when := range []string{"told", "held"} {
		t.Run("when "+when, func(t *testing.T) {
			target := startThreads(t)
			for range testtarget.Rounds(10) {
				first := target.thread(strconv.Itoa(target.PID))
				target.ask("exec when %s", when)
				err := target.task.SuspendThread(first)
				if when == "told" {
					target.must(err)
					fmt.Fprintln(target.Stdin, "now")
				} else if err != nil && !errors.Is(err, unix.ESRCH) {
					t.Errorf("SuspendThread = %v", err)
				}
				if line := target.Line(); line != "ready" {
					t.Fatalf("after exec the target says %q", line)
				}
				testtarget.WantFree(t, target.PID)
				if err := target.task.SuspendThread(first); !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
					t.Errorf("SuspendThread = %v", err)
				}
				target.task = taskFor(t, target.PID)
			}
		})
	}
}

// Job control stops and continues the other threads, and a suspended one with them.
func TestSuspendThreadUnderJobControl(t *testing.T) {
	target := startThreads(t)
	id := target.counting[0]
	target.must(target.task.SuspendThread(id))
	testtarget.Send(t, target.PID, unix.SIGSTOP)
	testtarget.WaitFor(t, "the others to stop", func() bool {
		return !slices.ContainsFunc(testtarget.Tasks(t, target.PID), func(one testtarget.Task) bool { return one.TID != id.TID && one.State != "T" })
	})
	target.must(target.task.ResumeThread(id))
	waitForStates(t, target.PID, "T")
	testtarget.WantFree(t, target.PID)
	target.must(target.task.SuspendThread(id))
	testtarget.Send(t, target.PID, unix.SIGCONT)
	target.wantCounting(false, true, true)
	target.must(target.task.ResumeThread(id))
	target.wantCounting(true, true, true)
}

// What is set as it was read changes nothing, wherever the thread is.
func TestSetThreadStateUnchanged(t *testing.T) {
	for _, name := range []string{"read", "futex", "epoll", "nanosleep"} {
		t.Run(name, func(t *testing.T) {
			target := startThreads(t)
			id := target.waiting("waiting", name)
			for range 20 {
				target.must(target.task.SuspendThread(id))
				state := must(target.task.ThreadState(id))
				for _, same := range []machcompat.ThreadState{state, state.AtSystemCall()} {
					target.must(target.task.SetThreadState(id, same))
					if now := must(target.task.ThreadState(id)); !reflect.DeepEqual(now, state) {
						t.Fatalf("it goes from %+v to %+v", state, now)
					}
				}
				target.must(target.task.ResumeThread(id))
			}
			switch name {
			case "epoll": // which any stop ends
				testtarget.WaitFor(t, "EINTR", func() bool { return target.ask("result epoll") == "EINTR" })
			case "nanosleep":
				if result := target.ask("result nanosleep"); result != "-" {
					t.Errorf("it sleeps no longer: %s", result)
				}
			default:
				want := map[string]string{"read": "1", "futex": "0"}[name]
				if result := target.ask("result %s", name); result != "-" {
					t.Errorf("it waits no longer: %s", result)
				}
				target.ask("end %s", name)
				testtarget.WaitFor(t, "the end of the wait", func() bool { return target.ask("result %s", name) == want })
			}
		})
	}
}

// A thread that waits is sent to a function, and back.
func TestSetThreadStateElsewhere(t *testing.T) {
	for _, test := range []struct {
		command, name string
		stops         int // before
		want          string
	}{
		{"waiting", "read", 0, "1"},
		{"waiting", "read", 3, "1"},
		{"waiting", "futex", 0, "0"},
		{"waiting", "epoll", 0, "EINTR"},
		{"short", "nanosleep", 0, "0"},
		{"waiting", "nanosleep", 3, "EINTR"},
	} {
		for _, view := range []string{"as read", "at the system call"} {
			t.Run(fmt.Sprintf("%s after %d stops, %s", test.name, test.stops, view), func(t *testing.T) {
				target := startThreads(t)
				id := target.waiting(test.command, test.name)
				for range test.stops {
					must(target.task.ThreadState(id))
					target.waiting(test.command, test.name)
				}
				target.must(target.task.SuspendThread(id))
				state := must(target.task.ThreadState(id))
				if view == "at the system call" {
					state = state.AtSystemCall()
				}
				away := state
				away.PC = target.number("land")
				away.Numbered = slices.Clone(state.Numbered)
				stack, push := stackPlace()
				away.Numbered[stack] = (state.Numbered[stack]-4096)&^15 - push
				target.must(target.task.SetThreadState(id, away))
				if now := must(target.task.ThreadState(id)); now.PC != away.PC || now.Again != 0 {
					t.Errorf("it is at %#x, and then at %#x; want %#x", now.PC, now.Again, away.PC)
				}
				target.must(target.task.ResumeThread(id))
				testtarget.WaitFor(t, "it to land", func() bool { return target.number("landed") > 3 })
				target.must(target.task.SuspendThread(id))
				landed := target.number("landed")
				target.must(target.task.SetThreadState(id, state))
				target.must(target.task.ResumeThread(id))
				if test.want != "EINTR" {
					target.waiting(test.command, test.name)
					target.ask("end %s", test.name)
				}
				testtarget.WaitFor(t, "the end of the wait", func() bool { return target.ask("result %s", test.name) != "-" })
				if result := target.ask("result %s", test.name); result != test.want {
					t.Errorf("the wait returns %s; want %s", result, test.want)
				}
				if now := target.number("landed"); now != landed {
					t.Errorf("it went on where it had been sent: %d, then %d", landed, now)
				}
				testtarget.WantFree(t, target.PID)
			})
		}
	}
}

// stackPlace returns where the stack pointer stands in a state, and how many bytes below it
// a function finds it that is called.
func stackPlace() (place int, push uint64) {
	switch runtime.GOARCH {
	case "amd64":
		return 7, 8
	case "386":
		return 4, 4
	}
	return 31, 0
}

// Registers of another machine, or too few, are refused, and nothing is changed.
func TestSetThreadStateOfNone(t *testing.T) {
	target := startThreads(t)
	id := target.counting[0]
	state := must(target.task.ThreadState(id))
	short, foreign := state, state
	short.Numbered = short.Numbered[1:]
	foreign.Machine++
	for _, bad := range []machcompat.ThreadState{short, foreign, {}} {
		if err := target.task.SetThreadState(id, bad); !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
			t.Errorf("SetThreadState = %v", err)
		}
	}
	target.wantCounting(true, true, true)
}

// A thread that is suspended is not run for a moment either.
func TestRunThreadThatIsSuspended(t *testing.T) {
	target := startThreads(t)
	id := target.counting[0]
	target.must(target.task.SuspendThread(id))
	err := target.task.Stopped(t.Context(), func(s *machcompat.Stopped) error { return s.RunThread(id.TID, 0) })
	if !errors.Is(err, machcompat.KERN_FAILURE) {
		t.Errorf("RunThread = %v", err)
	}
	target.wantCounting(false, true, true)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
