// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// roleVariable makes this test program one of the roles, for what a test can't do
// in its own process: being killed, or running out of memory.
const roleVariable = "VMWRITE_TEST_ROLE"

var roles = map[string]func(arguments []string) error{
	"close-zero": closeZeroRole,
	"read":       readRole,
	"writer":     writerRole,
}

// inRole is what the test program does when it was started for a role.
func inRole() bool {
	words := strings.Fields(os.Getenv(roleVariable))
	if len(words) == 0 {
		return false
	}
	if err := roles[words[0]](words[1:]); err != nil {
		fmt.Println("error", err)
	}
	return true
}

// startRole starts this program in a role. Its life ends with the test at the latest.
func startRole(t *testing.T, words ...any) *testtarget.Process {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	// The race detector would wait a second at its end.
	cmd.Env = append(os.Environ(), roleVariable+"="+fmt.Sprintln(words...), "GORACE=atexit_sleep_ms=0")
	return testtarget.StartProcess(t, cmd)
}

// writerRole holds the process PID and obeys, a line each: suspend, resume,
// "protect ADDRESS PROT", close, drop (without closing it), collect (garbage). It
// answers ok or error.
func writerRole(arguments []string) error {
	var pid int
	if _, err := fmt.Sscan(arguments[0], &pid); err != nil {
		return err
	}
	task, err := machcompat.TaskForPID(pid, machcompat.WithStopTimeout(testtarget.Patience))
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var call string
		var address uint64
		var prot machcompat.VMProt
		fmt.Sscan(lines.Text(), &call, &address, &prot)
		switch call {
		case "suspend":
			err = task.Suspend()
		case "resume":
			err = task.Resume()
		case "protect":
			err = task.Protect(address, 1, false, prot)
		case "close":
			err = task.Close()
		case "drop":
			task = nil
		case "collect":
			runtime.GC()
		default:
			err = fmt.Errorf("no call %q", call)
		}
		if err != nil {
			return err
		}
		fmt.Println("ok")
	}
	return nil
}

// startWriter starts a writerRole.
func startWriter(t *testing.T, pid int) *testtarget.Process {
	t.Helper()
	writer := startRole(t, "writer", pid)
	if line := writer.Line(); line != "ready" {
		t.Fatalf("the writer says %q", line)
	}
	return writer
}

// mustSay asks a role for something that it must answer with ok.
func mustSay(t *testing.T, role *testtarget.Process, format string, args ...any) {
	t.Helper()
	if line, err := role.Ask(format, args...); line != "ok" {
		t.Fatalf("%s: %q, %v; want ok", fmt.Sprintf(format, args...), line, err)
	}
}

// within runs f, which may be found to wait for ever.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	testtarget.WaitFor(t, what, func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
}
