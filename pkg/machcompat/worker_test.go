// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// Threads that the kernel made for io_uring belong to the task, never run its code,
// and can't be made to make a system call.
func TestCallsOnATaskWithThreadsOfTheKernels(t *testing.T) {
	testtarget.Need(t, "io_uring")
	program := testtarget.BuildC(t, "testdata/rings.c")
	for _, kind := range []string{"sqpoll", "workers", "both"} {
		for _, state := range []string{"reads", "waits", "computes", "gone"} {
			t.Run(kind+", the first thread "+state, func(t *testing.T) {
				target := testtarget.StartProcess(t, exec.Command(program, kind, state))
				var base uint64
				if _, err := fmt.Sscanf(target.Line(), "ready %v", &base); err != nil {
					t.Fatal(err)
				}
				for _, name := range map[string][]string{"sqpoll": {"iou-sqp"}, "workers": {"iou-wrk"}, "both": {"iou-sqp", "iou-wrk"}}[kind] {
					testtarget.WaitFor(t, "a thread "+name, func() bool { return hasThread(t, target.PID, name) })
				}
				task, atomic := taskFor(t, target.PID), taskFor(t, target.PID, machcompat.Atomic())
				memory := taskFor(t, target.PID, machcompat.WithBackend(machcompat.ProcMem))
				for _, c := range anyCalls {
					if err := c.call(task, base); err != nil {
						t.Fatalf("%s = %v", c.name, err)
					}
				}
				for name, task := range map[string]*machcompat.Task{"an atomic write": atomic, "a write through /proc/PID/mem": memory} {
					if err := task.Write(base, []byte("all stopped")); err != nil {
						t.Fatalf("%s = %v", name, err)
					}
				}
				if err := task.Suspend(); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if err := task.WithWritable(base, 1, func() error { return task.Write(base, []byte("suspended")) }); err != nil {
						t.Fatalf("WithWritable of the suspended task = %v", err)
					}
				}
				if err := task.Resume(); err != nil {
					t.Fatal(err)
				}
				rounds := func() string {
					line, err := target.Ask("rounds?")
					if err != nil {
						t.Fatal(err)
					}
					return line
				}
				before := rounds()
				testtarget.WaitFor(t, "the target to go on", func() bool { return rounds() != before })
			})
		}
	}
}

// hasThread reports whether a thread of the process has a name that begins so.
func hasThread(t *testing.T, pid int, name string) bool {
	t.Helper()
	directory := fmt.Sprintf("/proc/%d/task/", pid)
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if comm, _ := os.ReadFile(directory + entry.Name() + "/comm"); strings.HasPrefix(string(comm), name) {
			return true
		}
	}
	return false
}
