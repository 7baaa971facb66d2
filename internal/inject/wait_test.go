// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"errors"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// waits are system calls that wait for a time, and what they return after it.
var waits = []struct{ call, end string }{
	{"nanosleep", "0 Success"},
	{"clock_nanosleep", "0 Success"},
	{"futex", "-1 Connection timed out"},
	{"poll", "0 Success"},
}

// startWait starts a process that waits in a system call, and returns when it does.
func startWait(t *testing.T, call string, wait time.Duration) *testtarget.Process {
	t.Helper()
	process := testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/wait.c"), call, strconv.FormatInt(wait.Milliseconds(), 10)))
	if line := process.Line(); line != "ready" {
		t.Fatalf("the process says %q", line)
	}
	testtarget.WaitFor(t, "the process to wait", func() bool {
		return testtarget.Tasks(t, process.PID)[0].State == "S"
	})
	return process
}

// wantWaited checks what a process says after its wait.
func wantWaited(t *testing.T, process *testtarget.Process, least time.Duration, want string) {
	t.Helper()
	line := process.Line()
	took, result, _ := strings.Cut(line, " ms, ")
	if ms, err := strconv.Atoi(took); err != nil || ms < int(least.Milliseconds()) || result != want {
		t.Errorf("the process says %q; want %v or more, %s", line, least, want)
	}
}

// If a call started the wait over, it would never end.
func TestAWaitForATimeEndsThoughCallsAreMadeMeanwhile(t *testing.T) {
	for _, test := range waits {
		t.Run(test.call, func(t *testing.T) {
			t.Parallel()
			const wait = 2 * time.Second
			process := startWait(t, test.call, wait)
			calls := 0
			testtarget.WaitFor(t, "the wait to end", func() bool {
				session, err := ptrace.Stop(t.Context(), process.PID)
				if errors.Is(err, unix.ESRCH) {
					return true
				}
				if err != nil {
					t.Fatal(err)
				}
				defer session.Resume()
				target, err := targetOf(session)
				if err != nil {
					t.Fatal(err)
				}
				err = Run(t.Context(), target, func(c *Caller) error { return c.Munmap(mapPage(t, c), pageSize) })
				if err == nil {
					calls++
				}
				session.Resume()
				time.Sleep(wait / 20)
				return false
			})
			wantWaited(t, process, wait, test.end+", 0")
			t.Logf("%d calls", calls)
		})
	}
}

// A signal that comes while the process is stopped has the effect that it would have
// had without a call.
func TestASignalDuringTheStopEndsAWait(t *testing.T) {
	for _, call := range []string{"nanosleep", "clock_nanosleep", "futex", "poll", "read", "sigsuspend", "recvmmsg", "splice"} {
		for _, when := range []string{"before the calls", "between the calls", "after the calls"} {
			t.Run(call+"/"+when, func(t *testing.T) {
				process := startWait(t, call, time.Hour)
				target := stopTarget(t, process.PID)
				signal := func(now string) {
					if now == when {
						testtarget.Send(t, process.PID, unix.SIGUSR1)
					}
				}
				signal("before the calls")
				err := Run(t.Context(), target, func(c *Caller) error {
					page, err := c.Mmap(0, pageSize, readWrite, unix.MAP_PRIVATE)
					if err != nil {
						return err
					}
					signal("between the calls")
					return c.Munmap(page, pageSize)
				})
				// A thread with a signal on its way is left alone, where the kernel has to
				// let it go on for the call.
				if err != nil && (err != ErrNoThread || when != "before the calls") {
					t.Errorf("Run = %v", err)
				}
				signal("after the calls")
				target.Session.Resume()
				wantWaited(t, process, 0, "-1 Interrupted system call, 1")
			})
		}
	}
}

func TestAfterKillAWaitGoesOn(t *testing.T) {
	testtarget.Need(t, "64-bit tests", "tracing") // of the process, by a sibling
	for _, test := range waits {
		for _, step := range steps {
			t.Run(test.call+"/"+step, func(t *testing.T) {
				process := startWait(t, test.call, time.Hour)
				kill := startInjector(t, process.PID, step)
				kill()
				testtarget.WantFree(t, process.PID)
				testtarget.WaitFor(t, "the signal mask to be what it was", func() bool {
					return blockedSignals(t, process.PID) == "0000000000000000" && testtarget.Tasks(t, process.PID)[0].State == "S"
				})
				testtarget.Send(t, process.PID, unix.SIGUSR1)
				wantWaited(t, process, 0, "-1 Interrupted system call, 1")
			})
		}
	}
}

// A call that is made by the very instruction at which the wait starts again is made.
func TestACallByTheInstructionOfAWaitIsMade(t *testing.T) {
	for _, test := range waits {
		t.Run(test.call, func(t *testing.T) {
			process := startWait(t, test.call, time.Hour)
			target := stopTarget(t, process.PID)
			run(t, target, func(c *Caller) error {
				page := mapPage(t, c)
				wantMapped(t, target, page, readWrite)
				return c.Munmap(page, pageSize)
			})
			err := target.Session.Do(func() {
				thread, err := target.choose()
				if err != nil || thread.begin() != nil {
					t.Errorf("choose = %v", err)
					return
				}
				r := &thread.saved
				instruction := r.abi.instruction
				place := r.get(r.abi.pc)
				if !target.hasCode(place, instruction) {
					place -= uint64(len(instruction))
				}
				target.Known.code[string(instruction)] = place
				page, err := thread.call(t.Context(), mmap, []uint64{0, pageSize, uint64(readWrite), unix.MAP_PRIVATE | unix.MAP_ANONYMOUS, math.MaxUint64, 0})
				wantMapped(t, target, page, readWrite)
				if err == nil {
					err = thread.giveBack(t.Context())
				}
				if err != nil {
					t.Errorf("a call by the instruction at %#x: %v", place, err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			target.Session.Resume()
			testtarget.Send(t, process.PID, unix.SIGUSR1)
			wantWaited(t, process, 0, "-1 Interrupted system call, 1")
		})
	}
}
