// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// countingThreads starts a target with counting threads, and returns how far each has
// come and those threads, in the same order.
func countingThreads(t *testing.T, n int) (target *testtarget.Target, task *machcompat.Task, counting []machcompat.ThreadID) {
	t.Helper()
	target = testtarget.Start(t)
	task = taskFor(t, target.PID)
	for range n {
		target.Do("threads 1")
		// Which one it is, the numbers of the kernel tell: it is the one that sleeps again and again.
		tid, err := strconv.Atoi(target.Do("counter %d", len(counting)))
		if err != nil {
			t.Fatal(err)
		}
		id, err := task.Thread(tid)
		if err != nil {
			t.Fatal(err)
		}
		counting = append(counting, id)
	}
	return target, task, counting
}

func countsOf(t *testing.T, target *testtarget.Target) (counts []uint64) {
	t.Helper()
	for text := range strings.SplitSeq(target.Do("counts"), ",") {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		counts = append(counts, n)
	}
	return counts
}

// wantCounting checks which of the counting threads go on.
func wantCounting(t *testing.T, target *testtarget.Target, want ...bool) {
	t.Helper()
	before := countsOf(t, target)
	testtarget.WaitFor(t, fmt.Sprintf("the threads to count: %v", want), func() bool {
		for i, n := range countsOf(t, target) {
			switch {
			case !want[i] && n != before[i]:
				t.Fatalf("thread %d of the counting ones goes on", i)
			case want[i] && n <= before[i]+3:
				return false
			}
		}
		return true
	})
}

func TestThreads(t *testing.T) {
	target, task, counting := countingThreads(t, 3)
	ids, err := task.Threads()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range counting {
		if !slices.Contains(ids, id) {
			t.Errorf("%v is not in %v", id, ids)
		}
	}
	for _, one := range testtarget.Tasks(t, target.PID) {
		if !slices.ContainsFunc(ids, func(id machcompat.ThreadID) bool { return id.TID == one.TID }) {
			t.Errorf("thread %d is not in %v", one.TID, ids)
		}
	}
	if ids[0].TID != target.PID {
		t.Errorf("the first one is %v; want %d", ids[0], target.PID)
	}
	own, err := taskFor(t, os.Getpid()).Threads()
	if err != nil || len(own) < 2 {
		t.Errorf("of this program: %v, %v", own, err)
	}
	target.Kill()
	if ids, err := task.Threads(); len(ids) != 0 || !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
		t.Errorf("of a task that has ended: %v, %v", ids, err)
	}
}

func TestSuspendThread(t *testing.T) {
	target, task, counting := countingThreads(t, 3)
	suspend := func(id machcompat.ThreadID) {
		t.Helper()
		if err := task.SuspendThread(id); err != nil {
			t.Fatal(err)
		}
	}
	resume := func(id machcompat.ThreadID) {
		t.Helper()
		if err := task.ResumeThread(id); err != nil {
			t.Fatal(err)
		}
	}
	wantCounting(t, target, true, true, true)
	suspend(counting[1])
	wantCounting(t, target, true, false, true)
	suspend(counting[1])
	suspend(counting[0])
	wantCounting(t, target, false, false, true)
	resume(counting[1])
	wantCounting(t, target, false, false, true)
	resume(counting[1])
	wantCounting(t, target, false, true, true)
	if err := task.ResumeThread(counting[1]); !errors.Is(err, machcompat.KERN_FAILURE) {
		t.Errorf("ResumeThread once more = %v", err)
	}

	// Whatever stops all leaves it as it is.
	page := target.Address("map rw- 1")
	for range 5 {
		if err := task.Protect(page, pageSize, false, machcompat.VM_PROT_READ); err != nil {
			t.Fatal(err)
		}
		if err := task.Protect(page, pageSize, false, machcompat.VM_PROT_DEFAULT); err != nil {
			t.Fatal(err)
		}
	}
	wantCounting(t, target, false, true, true)
	if err := task.Suspend(); err != nil {
		t.Fatal(err)
	}
	suspend(counting[2])
	resume(counting[0])
	testtarget.WantStopped(t, target.PID, os.Getpid())
	if err := task.Resume(); err != nil {
		t.Fatal(err)
	}
	wantCounting(t, target, true, true, false)
	// Another Task has nothing to do with it, and need not wait.
	other := taskFor(t, target.PID)
	if err := other.Protect(page, pageSize, false, machcompat.VM_PROT_READ); err != nil {
		t.Error(err)
	}
	if err := other.SuspendThread(counting[2]); err != nil {
		t.Error(err)
	}
	resume(counting[2])
	wantCounting(t, target, true, true, false)
	suspend(counting[0])
	other.Close()
	wantCounting(t, target, false, true, true)
	task.Close()
	wantCounting(t, target, true, true, true)
	testtarget.WantFree(t, target.PID)
}

func TestSuspendThreadOfNone(t *testing.T) {
	target, task, counting := countingThreads(t, 1)
	stale := counting[0]
	stale.Start++
	self := machcompat.ThreadID{TID: os.Getpid()}
	for name, test := range map[string]struct {
		id   machcompat.ThreadID
		task *machcompat.Task
		want machcompat.KernReturn
	}{
		"its number is another's now": {stale, task, machcompat.KERN_TERMINATED},
		"another process's":           {self, task, machcompat.KERN_TERMINATED},
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
	wantCounting(t, target, true)
	testtarget.WantFree(t, target.PID)
}

// What ends a process, or the thread, ends a suspension too, and nobody waits for us.
func TestSuspendThreadThatIsEnded(t *testing.T) {
	t.Run("by a kill", func(t *testing.T) {
		for _, first := range []bool{true, false} {
			target, task, counting := countingThreads(t, 2)
			if first {
				counting[0].TID = target.PID
				counting[0] = must(task.Thread(target.PID))
			}
			if err := task.SuspendThread(counting[0]); err != nil {
				t.Fatal(err)
			}
			testtarget.Send(t, target.PID, unix.SIGKILL)
			target.End() // waits for it
			if err := task.ResumeThread(counting[0]); !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
				t.Errorf("ResumeThread = %v", err)
			}
		}
	})
	t.Run("by an exec", func(t *testing.T) {
		for range testtarget.Rounds(10) {
			target, task, counting := countingThreads(t, 2)
			if err := task.SuspendThread(counting[1]); err != nil {
				t.Fatal(err)
			}
			if line := target.Try("execself"); line != "ready" {
				t.Fatalf("after exec the target says %q", line)
			}
			testtarget.WantFree(t, target.PID)
			if err := task.ResumeThread(counting[1]); !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
				t.Errorf("ResumeThread = %v", err)
			}
			target.Do("threads 2")
			testtarget.WantRunning(t, target)
		}
	})
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
