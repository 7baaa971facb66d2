// SPDX-License-Identifier: Apache-2.0

package adversarial

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// crowds are the limits that a thread can meet. Each starts a target and a writer
// without room for more threads than that; answer has the writer make its call.
var crowds = []struct {
	name  string
	need  string
	start func(t *testing.T, call string, room uint64) (target *program, answer func() (string, error))
}{
	{"the table of pids is full", "own pid_max", startInFullNamespace},
	{"the user may have no more", "root", startAsBoundUser},
}

// startInFullNamespace starts both in a pid namespace with few pids.
func startInFullNamespace(t *testing.T, call string, room uint64) (target *program, answer func() (string, error)) {
	t.Helper()
	const setting = "/proc/sys/kernel/pid_max"
	before, err := os.ReadFile(setting)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if after, _ := os.ReadFile(setting); string(after) != string(before) {
			os.WriteFile(setting, before, 0)
			t.Errorf("kernel.pid_max of the machine was %s and became %s", before, after)
		}
	})
	const address, pids = 0x100000010000, "400"
	writer := roleCommand(t, part{Role: "confined", PID: 2, Address: address, Call: call, Limits: limits{Fresh: true}, Waits: true})
	cmd := exec.Command(testtarget.BuildC(t, "testdata/crowd.c"), pids, testtarget.BuildC(t, "testdata/victim.c"), "o", "--", testProgram(t))
	cmd.Env, cmd.SysProcAttr = writer.Env, namespaces(unix.CLONE_NEWPID|unix.CLONE_NEWNS)
	target = start(t, cmd)
	if line := target.Line(); line != "ready" || target.Address != address {
		t.Fatalf("the writer says %q; want ready, with the target at %#x", line, target.Address)
	}
	target.PID = childOf(t, target.Process.PID, "victim")
	if line, err := target.Ask("fill %d", room); !strings.HasPrefix(line, "full ") {
		t.Fatalf("the crowd says %q, %v", line, err)
	}
	return target, func() (string, error) { return target.Ask("go") }
}

// childOf returns the child of a process that has a name.
func childOf(t *testing.T, parent int, name string) (pid int) {
	t.Helper()
	paths, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		status := string(text)
		if statusField(status, "PPid") == fmt.Sprint(parent) && statusField(status, "Name") == name {
			fmt.Sscan(statusField(status, "Pid"), &pid)
			return pid
		}
	}
	t.Fatalf("process %d has no child %s", parent, name)
	return 0
}

// startAsBoundUser starts both as a user who has no other processes.
func startAsBoundUser(t *testing.T, call string, room uint64) (target *program, answer func() (string, error)) {
	t.Helper()
	user := unusedUser(t)
	cmd := exec.Command(testtarget.BuildC(t, "testdata/victim.c"), "o")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	target = start(t, cmd)
	p := target.part("confined", call)
	p.Limits, p.Waits = limits{Fresh: true, Threads: &room}, true
	cmd = roleCommand(t, p)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	writer := testtarget.StartProcess(t, cmd)
	if line := writer.Line(); line != "ready" {
		t.Fatalf("the writer says %q; want ready", line)
	}
	return target, func() (string, error) { return writer.Ask("go") }
}

// unusedUser returns a user without processes.
func unusedUser(t *testing.T) uint32 {
	t.Helper()
	used := map[string]bool{}
	paths, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		uid, _, _ := strings.Cut(statusField(string(text), "Uid"), "\t")
		used[uid] = true
	}
	for user := uint32(61000) + uint32(os.Getpid()%1000); user < 65000; user++ {
		if !used[fmt.Sprint(user)] {
			return user
		}
	}
	t.Fatal("every user has processes")
	return 0
}

// Attack 7. There is no room for another thread or process. A Go program may die
// of it; the target must not, nor be left stopped.
func TestThreadsRunOut(t *testing.T) {
	testtarget.Need(t, "root", "open programs")
	for i, c := range crowds {
		t.Run(c.name, func(t *testing.T) {
			testtarget.Need(t, c.need)
			for _, call := range testtarget.Some(calls, 4, i) {
				t.Run(call.name, func(t *testing.T) {
					shortages(4, func(room int) bool {
						target, answer := c.start(t, call.name, uint64(room))
						defer target.End()
						return judgeCrowded(t, target, call, room, answer)
					})
				})
			}
		})
	}
}

// judgeCrowded makes sure that the target is as the answer of a writer says, and
// reports whether that is a success.
func judgeCrowded(t *testing.T, target *program, call call, room int, answer func() (string, error)) bool {
	t.Helper()
	defer endIfItHangs(target.PID)()
	line, err := answer()
	if !strings.HasPrefix(line, "{") {
		// The runtime's own words, without and with cgo.
		if !strings.Contains(line, "failed to create new OS thread") && !strings.Contains(line, "pthread_create failed") {
			t.Errorf("room for %d: the writer died of something else: %q, %v", room, line, err)
		}
		judgeDeath(t, target, call, fmt.Sprintf("room for %d", room))
		return false
	}
	result := decode(t, line)
	if result.Code != "KERN_SUCCESS" && (result.Code != "KERN_FAILURE" && result.Code != "KERN_RESOURCE_SHORTAGE" || result.Message == "") {
		t.Errorf("room for %d: %+v", room, result)
	}
	judgeConfined(t, target, result, call.writes)
	return result.Code == "KERN_SUCCESS"
}

// judgeDeath makes sure that the death of a writer left the target unharmed, but
// where it may have made a system call on a thread without a restore frame (attack 4).
func judgeDeath(t *testing.T, target *program, call call, what string) {
	t.Helper()
	how := harm(target.PID)
	if how == "" {
		look, err := target.Ask("look")
		if look == "o 0" || look == "o 1" {
			return
		}
		how = fmt.Sprintf("the target says %q, %v", look, err)
	}
	if call.writes || canGoBack() || how == "a thread is stopped" || how == "a thread is traced" {
		t.Errorf("%s: the writer died, and then %s", what, how)
	}
}
