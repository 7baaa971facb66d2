// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vmwrite/vmwrite/internal/diagnose"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// accessOf returns what ps says of one process.
func accessOf(t *testing.T, pid int, object []byte) access {
	t.Helper()
	var all struct{ Processes []access }
	if err := json.Unmarshal(object, &all); err != nil {
		t.Fatalf("%v in %s", err, object)
	}
	for _, a := range all.Processes {
		if a.PID == pid {
			return a
		}
	}
	t.Fatalf("ps does not list process %d: %s", pid, object)
	return access{}
}

func TestPSOfAnotherUser(t *testing.T) {
	testtarget.Need(t, "root", "open programs")
	target := testtarget.Start(t)
	cmd := exec.Command(testtarget.BuildCommand(t), "ps", "--json")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	object, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	a := accessOf(t, target.PID, object)
	if a.Allowed || a.Rule != "another user's" || !strings.Contains(a.Hint, "runs as root (uid 0)") || a.User != "root" || a.Memory == 0 {
		t.Errorf("ps as another user says %+v", a)
	}
}

func TestRuleName(t *testing.T) {
	for _, c := range []struct {
		reason diagnose.Reason
		want   string
	}{
		{diagnose.Reason{Rule: diagnose.Yama, YamaLevel: 1}, "yama ptrace_scope 1"},
		{diagnose.Reason{Rule: diagnose.OtherOwner}, "another user's"},
		{diagnose.Reason{Rule: diagnose.Undumpable}, "not dumpable"},
		{diagnose.Reason{}, "refused"},
	} {
		if got := ruleName(c.reason); got != c.want {
			t.Errorf("ruleName(%+v) = %q; want %q", c.reason, got, c.want)
		}
	}
}

func TestPSOfTraced(t *testing.T) {
	testtarget.Need(t, "own children")
	target := testtarget.Start(t)
	runtime.LockOSThread() // without an end, so that it ends with this goroutine and traces no more
	if err := unix.PtraceSeize(target.PID); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if status := run([]string{"ps", "--json"}, streams{out: &out, err: &out}); status != 0 {
		t.Fatal(status, out.String())
	}
	if a := accessOf(t, target.PID, out.Bytes()); !a.Allowed || a.Tracer != unix.Gettid() {
		t.Errorf("ps of a process that thread %d traces says %+v", unix.Gettid(), a)
	}
	if strings.Contains(out.String(), fmt.Sprintf(`{"pid":%d,`, os.Getpid())) {
		t.Error("ps lists the program itself")
	}
	out.Reset()
	run([]string{"ps"}, streams{out: &out, err: &out})
	if want := fmt.Sprintf("yes, traced by %d ", unix.Gettid()); !strings.Contains(out.String(), want) {
		t.Errorf("ps does not say %q: %s", want, out.String())
	}
}

// A name is whatever its owner chose, and must not act on a terminal or look like
// another line.
func TestPSOfHostileName(t *testing.T) {
	program := filepath.Join(t.TempDir(), "x\x1b[2J\n1  root\t\x07.exe")
	if text, err := exec.Command("cp", testtarget.Build(t, ""), program).CombinedOutput(); err != nil {
		t.Fatal(string(text), err)
	}
	testtarget.StartBystander(t, program)
	var out bytes.Buffer
	if status := run([]string{"ps"}, streams{out: &out, err: &out}); status != 0 {
		t.Fatal(status, out.String())
	}
	if !strings.Contains(out.String(), `  x\x1b[2J\n1  root\t\a.exe  `) {
		t.Errorf("the process is not listed with what it is called: %s", out.String())
	}
	line := regexp.MustCompile(`^(PID|\d+) +\S+ +(MEMORY|[\d.]+ [KMGT]?i?B)  `)
	for text := range strings.Lines(out.String()) {
		if !line.MatchString(text) || strings.ContainsAny(strings.TrimSuffix(text, "\n"), "\x1b\a\t\n") {
			t.Errorf("not a line of the list: %q", text)
		}
	}
}
