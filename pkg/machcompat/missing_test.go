// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// missingTarget is a running testdata/missing.c: four pages, for the second and third
// of which process_vm_writev waits until they are served.
type missingTarget struct {
	*testtarget.Process
	base uint64
}

func startMissing(t *testing.T) missingTarget {
	t.Helper()
	testtarget.Need(t, "64-bit tests") // a word of 4 bytes holds no address of it for process_vm_writev
	testtarget.Need(t, "userfaultfd")
	target := missingTarget{Process: testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/missing.c")))}
	if _, err := fmt.Sscanf(target.Line(), "ready %v", &target.base); err != nil {
		t.Fatal(err)
	}
	return target
}

// task is taskFor, for a task whose calls the end of the target ends.
func (m missingTarget) task(t *testing.T, options ...machcompat.Option) *machcompat.Task {
	t.Helper()
	task := taskFor(t, m.PID, append([]machcompat.Option{machcompat.WithBackend(machcompat.ProcessVM)}, options...)...)
	t.Cleanup(m.End)
	return task
}

// goWrite writes over all four pages, and returns when that waits for a page.
func (m missingTarget) goWrite(t *testing.T, task *machcompat.Task) (result <-chan error) {
	t.Helper()
	written := make(chan error, 1)
	go func() { written <- task.Write(m.base, make([]byte, 4*pageSize)) }()
	within(t, "a write that waits for a missing page", func() { m.say(t, "await") })
	return written
}

func (m missingTarget) say(t *testing.T, command string) {
	t.Helper()
	if line, err := m.Ask("%s", command); line != "ok" {
		t.Errorf("%s: %q, %v; want ok", command, line, err)
	}
}

// mustRun makes sure that the target counts on.
func (m missingTarget) mustRun(t *testing.T) {
	t.Helper()
	counts := func() string {
		line, err := m.Ask("counts")
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	before := counts()
	testtarget.WaitFor(t, "the target to count on", func() bool { return counts() != before })
}
