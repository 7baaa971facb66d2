// SPDX-License-Identifier: Apache-2.0

package adversarial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

const (
	stillGoesOn = "still goes on after 1s: how much was written is not known"
	endedTwice  = "interrupted twice, and the call still goes on: how much was written is not known"
)

// Attack 8. A command that waits for a page that nobody brings ends after a
// signal, says what is known, and leaves the target free and its protection as it
// was. Which signal ends which call after what time is tested beside the command.
func TestInterruptedCommandEnds(t *testing.T) {
	testtarget.Need(t, "userfaultfd")
	cases := []struct {
		name      string
		arguments string // see commandOn
		signals   []unix.Signal
		says      string // on standard error
	}{
		{"a write", "write -p PID AT 6e6e", []unix.Signal{unix.SIGINT}, stillGoesOn},
		{"a write, by SIGTERM", "write -p PID AT 6e6e", []unix.Signal{unix.SIGTERM}, stillGoesOn},
		{"a write, by SIGHUP", "write -p PID AT 6e6e", []unix.Signal{unix.SIGHUP}, stillGoesOn},
		{"a write, by two signals", "write -p PID AT 6e6e", []unix.Signal{unix.SIGHUP, unix.SIGTERM}, endedTwice},
		{"a write with the process stopped", "write -p PID AT 6e6e --stop always", []unix.Signal{unix.SIGINT}, stillGoesOn},
		{"a write to protected memory", "write -p PID AT 6e6e --unprotect", []unix.Signal{unix.SIGINT}, stillGoesOn},
		{"a write to protected memory, by two signals", "write -p PID AT 6e6e --unprotect", []unix.Signal{unix.SIGINT, unix.SIGTERM}, "not known"},
		{"the look of -v", "write -p PID AT 6e6e -v", []unix.Signal{unix.SIGINT}, "vm_read"},
		{"a copy to it", "copy -p PID PAGE-100 100 AT", []unix.Signal{unix.SIGINT}, stillGoesOn},
		{"a copy from it", "copy -p PID AT 100 PAGE-100", []unix.Signal{unix.SIGINT}, stillGoesOn},
		{"a copy, by two signals", "copy -p PID PAGE-100 100 AT", []unix.Signal{unix.SIGINT, unix.SIGTERM}, endedTwice},
		{"a read", "read -p PID AT 16", []unix.Signal{unix.SIGINT}, "vm_read"},
		{"a read of values, by SIGTERM", "read -p PID AT -t u32", []unix.Signal{unix.SIGTERM}, "interrupted"},
	}
	all := make([]*interrupted, len(cases))
	for i, c := range cases { // most take a second from here, all of them the same one
		target := odd(t, "userfault")
		all[i] = interrupt(t, target, commandOn(t, target, c.arguments), c.signals...)
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			target := all[i].target
			if _, status, says := all[i].end(t); status != 14 || !strings.Contains(says, c.says) {
				t.Errorf("status %d; want 14, and %q on standard error:\n%s", status, c.says, says)
			}
			mustBeFree(t, target.PID)
			if strings.Contains(c.arguments, "--unprotect") && len(c.signals) == 1 {
				maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", target.PID))
				page := target.Address + pageSize
				if line := fmt.Sprintf("%x-%x r--p", page, page+pageSize); !strings.Contains(string(maps), line) {
					t.Errorf("no %q in the map, %v:\n%s", line, err, maps)
				}
			}
			target.must("release")
			if target.look(0) != 'o' {
				t.Error("what was not written to has changed")
			}
		})
	}
}

// Attack 8. The one object of --json says that it is not known what was written.
func TestInterruptedCommandSaysSoInJSON(t *testing.T) {
	testtarget.Need(t, "userfaultfd")
	target := odd(t, "userfault")
	out, _, _ := interrupt(t, target, commandOn(t, target, "write -p PID AT 6e6e --json"), unix.SIGINT, unix.SIGTERM).end(t)
	var object map[string]any
	if err := json.Unmarshal([]byte(out), &object); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	written, there := object["written"]
	if object["name"] != "KERN_ABORTED" || object["kern_return"] != 14.0 || !there || written != nil {
		t.Errorf("%s; want KERN_ABORTED with written null", out)
	}
}

// Attack 8. What nohup, or a script in the background, has ignored stays so.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	testtarget.Need(t, "userfaultfd")
	target := odd(t, "userfault")
	plain := commandOn(t, target, "write -p PID AT 6e6e")
	cmd := exec.Command("sh", append([]string{"-c", `trap "" INT HUP; exec "$@"`, "sh"}, plain.Args...)...)
	i := interrupt(t, target, cmd)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", i.PID))
	for _, signal := range []unix.Signal{unix.SIGINT, unix.SIGHUP} {
		unix.Kill(i.PID, signal)
		if !hasSignal(statusField(string(status), "SigIgn"), signal) {
			t.Errorf("%v is not ignored any more, %v", signal, err)
		}
	}
	target.must("release")
	if _, status, says := i.end(t); status != 0 {
		t.Errorf("the command ended with %d; want 0 after the page was brought:\n%s", status, says)
	}
	if target.look(int(pageSize)+100) != 'n' {
		t.Error("the bytes have not arrived")
	}
}

// commandOn is a command on the target, in whose arguments PID and AT stand for
// themselves, and PAGE for the begin of the page that nobody brings, the second of
// four. AT is 100 bytes into it.
func commandOn(t *testing.T, target *program, arguments string) *exec.Cmd {
	t.Helper()
	page := target.Address + pageSize
	arguments = strings.NewReplacer("PID", fmt.Sprint(target.PID), "AT", fmt.Sprintf("%#x", page+100),
		"PAGE-100", fmt.Sprintf("%#x", page-100)).Replace(arguments)
	return exec.Command(testtarget.BuildCommand(t), strings.Fields(arguments)...)
}

// interrupted is a command that waits for a page that nobody brings.
type interrupted struct {
	*testtarget.Process
	cmd     *exec.Cmd
	stderr  bytes.Buffer
	target  *program
	signals []unix.Signal
	grace   time.Duration // for the command to watch all of them
}

// interrupt starts a command, waits until it waits for the page of the target and
// watches signals, and sends it some.
func interrupt(t *testing.T, target *program, cmd *exec.Cmd, signals ...unix.Signal) *interrupted {
	t.Helper()
	i := &interrupted{cmd: cmd, target: target, signals: signals}
	i.begin(t)
	return i
}

func (i *interrupted) begin(t *testing.T) {
	t.Helper()
	if slices.Contains(i.cmd.Args, "--unprotect") { // each time: a command that is killed does not protect it again
		if err := taskFor(t, i.target.PID).Protect(i.target.Address+pageSize, pageSize, false, machcompat.VM_PROT_READ); err != nil {
			t.Fatal(err)
		}
	}
	i.stderr.Reset()
	i.cmd.Stderr = &i.stderr
	i.Process = testtarget.StartProcess(t, i.cmd)
	testtarget.WaitFor(t, "the command to wait for the page and to watch signals", func() bool {
		return waitsForPage(i.PID, i.target) && watchesSignals(i.PID)
	})
	time.Sleep(i.grace)
	for _, signal := range i.signals {
		unix.Kill(i.PID, signal)
	}
}

// watchesSignals reports whether a Go program watches signals, or is about to: its
// runtime has a thread for that, which alone blocks those that nobody watches
// (ensureSigM of runtime/signal_unix.go).
func watchesSignals(pid int) bool {
	return len(threadsThat(pid, func(status string) string {
		if hasSignal(statusField(status, "SigBlk"), unix.SIGUSR1) {
			return "watches"
		}
		return ""
	})) > 0
}

// end waits for the end of the command and returns its output and its status.
func (i *interrupted) end(t *testing.T) (stdout string, status int, stderr string) {
	t.Helper()
	stop := endIfItHangs(i.PID)
	for err := error(nil); err == nil; {
		var line string
		line, err = i.ReadLine()
		stdout += line
	}
	stop()
	i.Wait()
	if ended := i.cmd.ProcessState.Sys().(syscall.WaitStatus); slices.Contains(i.signals, ended.Signal()) && i.grace < 30*time.Second {
		// It was only about to watch, and ended as any other program. How soon it
		// watches all signals can't be seen, so it gets twice as long each time.
		t.Logf("after %v it did not watch %v yet", i.grace, i.signals)
		i.cmd, i.grace = exec.Command(i.cmd.Path, i.cmd.Args[1:]...), max(time.Millisecond, 2*i.grace)
		i.begin(t)
		return i.end(t)
	}
	return stdout, i.cmd.ProcessState.ExitCode(), i.stderr.String()
}
