// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"errors"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

func TestTerminate(t *testing.T) {
	tests := []struct {
		name      string
		before    func(*testing.T, *testtarget.Target, *Task)
		terminate func(*Task) error
	}{
		{"a process that runs", nil, (*Task).Terminate},
		{"a process of many threads", func(_ *testing.T, target *testtarget.Target, _ *Task) { target.Do("threads 4") }, (*Task).Terminate},
		{"a process that is suspended", func(t *testing.T, _ *testtarget.Target, task *Task) {
			if err := task.Suspend(); err != nil {
				t.Fatal(err)
			}
		}, (*Task).Terminate},
		{"without pidfds", nil, func(task *Task) error { return task.killStopped() }},
		{"without pidfds, suspended", func(t *testing.T, _ *testtarget.Target, task *Task) {
			if err := task.Suspend(); err != nil {
				t.Fatal(err)
			}
		}, func(task *Task) error { return task.killStopped() }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			testtarget.Need(t, "tracing")
			target := testtarget.Start(t)
			task, err := TaskForPID(target.PID)
			if err != nil {
				t.Fatal(err)
			}
			defer task.Close()
			if test.before != nil {
				test.before(t, target, task)
			}
			if err := test.terminate(task); err != nil {
				t.Fatalf("Terminate = %v", err)
			}
			testtarget.WaitFor(t, "the task to be gone", func() bool { return task.Check(0, 0) != nil })
			err = task.Terminate()
			if CodeOf(err) != KERN_INVALID_ARGUMENT || !errors.Is(err, unix.ESRCH) {
				t.Errorf("a second Terminate = %v; want KERN_INVALID_ARGUMENT", err)
			}
		})
	}
}

func TestTerminateLeavesAnotherProgramAlone(t *testing.T) {
	testtarget.Need(t, "tracing")
	target := testtarget.Start(t)
	task, err := TaskForPID(target.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer task.Close()
	if answer := target.Try("execself"); answer != "ready" {
		t.Fatal(answer)
	}
	if code := TaskTerminate(task); code != KERN_INVALID_ARGUMENT {
		t.Errorf("TaskTerminate = %v; want KERN_INVALID_ARGUMENT", code)
	}
	if address := target.Address("map rw- 1"); address == 0 {
		t.Error("the program that the process runs now does not answer")
	}
}

func TestTerminateNoTask(t *testing.T) {
	if code := TaskTerminate(nil); code != KERN_INVALID_ARGUMENT {
		t.Errorf("TaskTerminate(nil) = %v; want KERN_INVALID_ARGUMENT", code)
	}
}
