// SPDX-License-Identifier: Apache-2.0

package adversarial

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// canGoBack tells whether a thread that makes a system call for a writer finds back
// by itself when the writer is killed: the product has that for amd64 alone.
func canGoBack() bool { return testtarget.Missing("amd64") == nil }

// playDoomed is the life of a writer that is killed: it makes one call again and
// again, and says when it begins.
func playDoomed(p part) {
	c := callNamed(calls, p.Call)
	task, err := openTask(p.PID, c.options...)
	for round := 0; err == nil; round++ {
		if err = c.do(task, p.Address, round); round == 0 && err == nil {
			fmt.Println("begun")
		}
	}
	fmt.Println(err)
}

// Attack 4. Whatever a writer was doing when it is killed, the target runs on:
// untraced, all threads, with its registers and its signal mask.
func TestKilledWriterLeavesTheTargetRunning(t *testing.T) {
	// The target of pkg/machcompat that checks its own registers, signals, signal
	// mask and what its system calls return.
	target := start(t, exec.Command(testtarget.BuildC(t, "../../pkg/machcompat/testdata/busy.c")))
	task := taskFor(t, target.PID)
	calls := slices.DeleteFunc(slices.Clone(stopping), func(c call) bool { return !c.writes && !canGoBack() })
	rounds := 0
	for round := range testtarget.Rounds(testtarget.Sized(2, 40) * len(calls)) {
		call := calls[round%len(calls)]
		// It may be as the last writer left it.
		if err := task.Protect(target.Address, pageSize, false, machcompat.VM_PROT_DEFAULT); err != nil {
			t.Fatalf("round %d, before %s: %v", round, call.name, err)
		}
		writer := testtarget.StartProcess(t, roleCommand(t, target.part("doomed", call.name)))
		if line, err := writer.ReadLine(); line != "begun" {
			t.Fatalf("round %d: %s: the writer says %q, %v", round, call.name, line, err)
		}
		time.Sleep(rand.N(3 * time.Millisecond)) // any moment will do
		writer.End()
		if how := harm(target.PID); how != "" {
			t.Fatalf("round %d: after %s: %s", round, call.name, how)
		}
		rounds++
	}
	t.Logf("%d rounds", rounds)
	if err := target.verdict(); err != nil {
		t.Error(err)
	}
}

// harm says what is wrong with a process that nobody traces any more: "" when
// all its threads run, or wait for what they like, and take signals. A thread
// blocks signals for moments of its own too, and on a busy machine it takes a
// while to become what it was: harm is what stays for half a minute.
func harm(pid int) string {
	const stays = 30 * time.Second
	begin, before := time.Now(), threadsThat(pid, harmOf)
	defer func() {
		if took := time.Since(begin); took > time.Second {
			fmt.Fprintf(os.Stderr, "process %d was unharmed, or known not to be, only after %v\n", pid, took.Round(time.Millisecond))
		}
	}()
	for end := begin.Add(stays); len(before) > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		now := threadsThat(pid, harmOf)
		for tid, how := range before {
			if now[tid] != how {
				delete(before, tid)
			}
		}
	}
	for _, how := range before {
		return how
	}
	return ""
}

// mustBeFree fails the test when a thread of the process is stopped or traced.
func mustBeFree(t *testing.T, pid int) {
	t.Helper()
	if how := harm(pid); how != "" {
		t.Errorf("afterwards %s", how)
	}
}

// threadsThat returns the threads of which find says something.
func threadsThat(pid int, find func(status string) string) map[int]string {
	directory := "/proc/" + strconv.Itoa(pid) + "/task/"
	entries, err := os.ReadDir(directory)
	if err != nil {
		return map[int]string{pid: "is gone"}
	}
	found := map[int]string{}
	for _, entry := range entries {
		status, err := os.ReadFile(directory + entry.Name() + "/status")
		tid, _ := strconv.Atoi(entry.Name())
		if how := find(string(status)); err == nil && how != "" {
			found[tid] = how
		}
	}
	return found
}

// tracersOf returns the threads that are traced, and by whom.
func tracersOf(pid int) map[int]string {
	return threadsThat(pid, func(status string) string { return strings.TrimPrefix(statusField(status, "TracerPid"), "0") })
}

// statusField returns a line of /proc/PID/status.
func statusField(status, name string) string {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// hasSignal reports whether a mask of /proc/PID/status has a signal.
func hasSignal(mask string, signal unix.Signal) bool {
	signals, _ := strconv.ParseUint(mask, 16, 64)
	return signals&(1<<(signal-1)) != 0
}

func harmOf(status string) string {
	switch state := statusField(status, "State"); {
	case strings.HasPrefix(state, "Z"), strings.HasPrefix(state, "X"):
		return "a thread has ended"
	case strings.HasPrefix(state, "t"), strings.HasPrefix(state, "T"):
		return "a thread is stopped"
	case statusField(status, "TracerPid") != "0":
		return "a thread is traced"
	case hasSignal(statusField(status, "SigBlk"), unix.SIGTERM):
		return "a thread blocks all signals"
	}
	return ""
}
