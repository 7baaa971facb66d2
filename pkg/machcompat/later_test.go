// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// A task that has no instruction for a system call may map one later, as a program
// does that loads a library.
func TestProtectOnceTheTaskHasAnInstructionForIt(t *testing.T) {
	testtarget.Need(t, "amd64", "386", "4k pages")
	program := testtarget.BuildC(t, "testdata/bare.c", "-nostdlib", "-static", "-no-pie")
	for _, triedBefore := range []bool{false, true} {
		t.Run(fmt.Sprintf("tried before: %v", triedBefore), func(t *testing.T) {
			target := testtarget.StartProcess(t, exec.Command(program))
			var page uint64
			if _, err := fmt.Sscanf(target.Line(), "ready %v", &page); err != nil {
				t.Fatal(err)
			}
			task := taskFor(t, target.PID)
			if triedBefore {
				wantError(t, task.Protect(page, 1, false, machcompat.VM_PROT_READ), machcompat.KERN_NOT_SUPPORTED)
			}
			mustSay(t, target, "map one")
			if err := task.Protect(page, 1, false, machcompat.VM_PROT_READ); err != nil {
				t.Errorf("Protect = %v", err)
			}
			mustSay(t, target, "go on")
		})
	}
}

// What kills a suspended process ends it at once for its parent, too, whatever we do.
func TestAParentReapsItsSuspendedChildThatIsKilled(t *testing.T) {
	testtarget.Need(t, "tracing") // of sleep, which is no child of ours
	for _, child := range []struct{ name, command string }{
		{"of one thread", "sleep 1000"},
		{"of several threads", testtarget.Build(t, "")},
	} {
		for _, calls := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, after %d calls", child.name, calls), func(t *testing.T) {
				parent := testtarget.StartProcess(t, exec.Command("sh", "-c",
					`exec 2>/dev/null 3<&0 4>&1; `+child.command+` <&3 >/dev/null & echo $! >&4; wait $!; echo status $? >&4`))
				pid := int(parseUint(t, parent.Line()))
				// Its name changes early in an exec, before its memory is laid out.
				testtarget.WaitFor(t, "the child to run its program", func() bool {
					status := statusOf(t, pid)
					return !strings.HasPrefix(status, "Name:\tsh\n") && strings.Contains(status, "\nState:\tS")
				})
				task := taskFor(t, pid)
				if err := task.Suspend(); err != nil {
					t.Fatal(err)
				}
				for range calls {
					if err := task.WithWritable(textOf(t, task), 1, func() error { return nil }); err != nil {
						t.Fatal(err)
					}
				}
				if err := unix.Kill(pid, unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
				within(t, "the parent to reap its child", func() {
					if line, err := parent.ReadLine(); line != "status 137" {
						t.Errorf("the parent says %q, %v; want status 137", line, err)
					}
				})
				if code := machcompat.CodeOf(task.Resume()); code != machcompat.KERN_SUCCESS && code != machcompat.KERN_INVALID_ARGUMENT {
					t.Errorf("Resume of a task that has ended gives %s", code.String())
				}
				wantGone(t, "Write", task.Write(0x1000, []byte("x")))
			})
		}
	}
}

// textOf returns an address in code of the task.
func textOf(t *testing.T, task *machcompat.Task) uint64 {
	t.Helper()
	for mapping, err := range task.Regions() {
		if err != nil {
			t.Fatal(err)
		}
		if mapping.PermsText() == "r-xp" {
			return mapping.Start
		}
	}
	t.Fatal("the task has no code")
	return 0
}
