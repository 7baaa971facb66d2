// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// injectorVariable makes this test program one that injects calls into a process,
// "PID STEP", and stays where it is after a step until it is killed.
const injectorVariable = "VMWRITE_TEST_INJECTOR"

// steps are those of an injector, after each of which it may be killed.
var steps = []string{
	"frame", "blocked", "entry", "registers", "number", "exit", "second call", "as it ended", "interrupted",
	"in a run", "two runs", "a run of two calls", "entry after a run", "exit after a run", "entry after a stop", "exit after a stop",
}

// anyMoment is no step: the injector goes on until it is killed.
const anyMoment = "any moment"

func asInjector() bool {
	variable, ok := os.LookupEnv(injectorVariable)
	if !ok {
		return false
	}
	var pid int
	fmt.Sscan(variable, &pid)
	_, step, _ := strings.Cut(variable, " ")
	if err := injectUpTo(pid, step); err != nil {
		fmt.Println(err)
	}
	return true
}

// hold says that a step is done, and waits to be killed.
func hold() error {
	fmt.Println("holding")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func injectUpTo(pid int, step string) error {
	ctx := context.Background()
	session, err := ptrace.Stop(ctx, pid)
	if err != nil {
		return err
	}
	target, err := targetOf(session)
	if err != nil {
		return err
	}
	page := func(c *Caller) error {
		_, err := c.Mmap(0, pageSize, readWrite, unix.MAP_PRIVATE)
		return err
	}
	switch step {
	case anyMoment:
		fmt.Println("holding")
		for {
			err := Run(ctx, target, func(c *Caller) error {
				address, err := c.Mmap(0, pageSize, readWrite, unix.MAP_PRIVATE)
				if err == nil {
					err = c.Munmap(address, pageSize)
				}
				return err
			})
			if err != nil && !errors.Is(err, ErrNoThread) {
				return err
			}
			session.Resume()
			if session, err = ptrace.Stop(ctx, pid); err != nil {
				return err
			}
			target.Session = session
		}
	case "in a run":
		return Run(ctx, target, func(c *Caller) error {
			if err := page(c); err != nil {
				return err
			}
			return hold()
		})
	case "a run of two calls":
		return Run(ctx, target, func(c *Caller) error {
			if err := page(c); err != nil {
				return err
			}
			if err := page(c); err != nil {
				return err
			}
			return hold()
		})
	case "two runs":
		for range 2 {
			if err := Run(ctx, target, page); err != nil {
				return err
			}
		}
		return hold()
	}
	if at := strings.Index(step, " after a "); at >= 0 {
		if err := Run(ctx, target, page); err != nil {
			return err
		}
		if strings.HasSuffix(step, "stop") {
			session.Resume()
			time.Sleep(10 * time.Millisecond) // in which it waits again, or else has not gone on
			if session, err = ptrace.Stop(ctx, pid); err != nil {
				return err
			}
			target.Session = session
		}
		step = step[:at]
	}
	doErr := session.Do(func() { err = target.upTo(ctx, step) })
	if doErr != nil || err != nil {
		return fmt.Errorf("%w, %w", doErr, err)
	}
	return hold()
}

// upTo does what a Run of two calls does, as far as the step.
func (t Target) upTo(ctx context.Context, step string) error {
	thread, err := t.choose()
	if err != nil {
		return err
	}
	if err := thread.begin(); err != nil {
		return err
	}
	if settled, err := thread.settle(ctx); err != nil || !settled {
		return fmt.Errorf("settled: %v, %w", settled, err)
	}
	thread.layFrame(0, 0)
	if thread.frame == nil {
		return fmt.Errorf("no frame")
	}
	const hint = 0x10000 // other than the first argument of the call that the stop interrupts
	arguments := [6]uint64{hint, pageSize, uint64(readWrite), unix.MAP_PRIVATE | unix.MAP_ANONYMOUS, math.MaxUint64, 0}
	before, made, err := thread.prepare(thread.saved.abi.numbers[mmap], arguments)
	if err != nil {
		return err
	}
	for _, at := range steps {
		switch at {
		case "frame":
			err = before.write(thread.tid)
		case "blocked":
			thread.taken = true
			err = thread.setMask(^uint64(0))
		case "entry":
			err = thread.runToSystemCall(ctx)
		case "registers":
			err = made.write(thread.tid)
		case "number":
			if setNumber := made.abi.setNumber; setNumber != nil {
				err = setNumber(thread.tid, made.abi.numbers[mmap])
			}
		case "exit":
			err = thread.runToSystemCall(ctx)
		case "second call":
			_, err = thread.call(ctx, mmap, arguments[:])
		case "as it ended":
			thread.last = mmap
			err = thread.interruptAgain(ctx)
		case "interrupted":
			err = thread.stopAgain(ctx)
		}
		if err != nil || at == step {
			return err
		}
	}
	return fmt.Errorf("there is no step %q", step)
}

// startInjector starts an injector up to a step, and returns how to kill it.
func startInjector(t *testing.T, pid int, step string) (kill func()) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", injectorVariable, pid, step))
	p := testtarget.StartProcess(t, cmd)
	if line := p.Line(); line != "holding" {
		t.Fatalf("the injector says %q", line)
	}
	return p.End
}

// blockedSignals returns the signal mask of a process of one thread.
func blockedSignals(t *testing.T, pid int) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "SigBlk:\t")
	mask, _, _ := strings.Cut(rest, "\n")
	return mask
}

// A thread that computes, all of whose registers count.
func TestAfterKillAThreadGoesOnComputing(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	if runtime.GOARCH == "amd64" {
		testtarget.Need(t, "avx")
	}
	program := testtarget.BuildC(t, "testdata/vectors.c")
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			process := testtarget.StartProcess(t, exec.Command(program))
			if line := process.Line(); line != "ready" {
				t.Fatalf("the process says %q", line)
			}
			pid := process.PID
			before := blockedSignals(t, pid)
			kill := startInjector(t, pid, step)
			kill()
			testtarget.WantFree(t, pid)
			testtarget.WaitFor(t, "the signal mask to be what it was", func() bool { return blockedSignals(t, pid) == before })
			// It checks the values that it computed with meanwhile before it ends.
			testtarget.Send(t, pid, unix.SIGTERM)
			if line := process.Line(); line != "ok" {
				t.Errorf("the process says %q; want ok", line)
			}
		})
	}
}

// A thread that waits in a system call goes on waiting.
func TestAfterKillAThreadGoesOnWaiting(t *testing.T) {
	testtarget.Need(t, "64-bit tests", "tracing") // of cat, by a sibling
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			cat := testtarget.StartProcess(t, exec.Command("cat"))
			for _, text := range []string{"before", "after"} {
				if line, err := cat.Ask("%s", text); line != text {
					t.Fatalf("cat says %q, %v; want %q", line, err, text)
				}
				kill := startInjector(t, cat.PID, step)
				kill()
				testtarget.WantFree(t, cat.PID)
			}
			if err := cat.Wait(); err != nil {
				t.Errorf("cat ends with %v", err)
			}
		})
	}
}

// Whenever the kill comes, all goes on.
func TestAfterKillAtAnyMomentAllGoesOn(t *testing.T) {
	testtarget.Need(t, "64-bit tests", "tracing") // of cat, by a sibling
	killAtAnyMoment := func(t *testing.T, pid int, goesOn func(t *testing.T)) {
		for range testtarget.Rounds(10) {
			kill := startInjector(t, pid, anyMoment)
			time.Sleep(rand.N(20 * time.Millisecond))
			kill()
			goesOn(t)
		}
		testtarget.WantFree(t, pid)
	}
	for _, threads := range []int{0, 3} {
		t.Run(fmt.Sprintf("a Go program with %d threads that compute", threads), func(t *testing.T) {
			target := testtarget.Start(t)
			target.Do("threads %d", threads)
			killAtAnyMoment(t, target.PID, func(t *testing.T) { target.Do("counts") })
		})
	}
	t.Run("a C program that waits", func(t *testing.T) {
		cat := testtarget.StartProcess(t, exec.Command("cat"))
		killAtAnyMoment(t, cat.PID, func(t *testing.T) {
			if line, err := cat.Ask("on"); line != "on" {
				t.Fatalf("cat says %q, %v", line, cat.HowItEnds(err))
			}
		})
	})
}

// What a frame takes is in every program that has a C library, or is in Go.
func TestFrameOfAThread(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	programs := map[string]func(t *testing.T) (pid int){
		"a Go program": func(t *testing.T) int { return testtarget.StartBinary(t, testtarget.Build(t, "")).PID },
		"a C program":  func(t *testing.T) int { return testtarget.StartProcess(t, exec.Command("cat")).PID },
	}
	for name, start := range programs {
		t.Run(name, func(t *testing.T) {
			target := stopTarget(t, start(t))
			var frame uint64
			laid := func(c *Caller) bool {
				if c.thread.frame == nil {
					return false
				}
				frame = c.thread.frame.address
				page := make([]byte, frameSize)
				if err := target.Memory.Read(frame, page); err != nil || !c.thread.saved.abi.isFrame(page) {
					t.Errorf("no frame lies at %#x: % x, %v", frame, page[:64], err)
				}
				return true
			}
			for range 3 {
				run(t, target, func(c *Caller) error {
					mapPage(t, c)
					if !laid(c) {
						t.Fatal("the thread has no frame")
					}
					return nil
				})
				after := make([]byte, frameSize)
				if err := target.Memory.Read(frame, after); err != nil || !bytes.Equal(after, make([]byte, len(after))) {
					t.Errorf("the frame is still in the stack: % x, %v", after[:64], err)
				}
			}

			// A call that changes the stack.
			run(t, target, func(c *Caller) error {
				mapPage(t, c)
				first := c.thread.frame.address
				page := first &^ (pageSize - 1)
				if err := c.Mprotect(page, pageSize, procmaps.Read); err != nil {
					return err
				}
				if laid(c); frame == first {
					t.Error("the frame lies in what the call changes")
				}
				if err := c.Mprotect(page, pageSize, readWrite); err != nil {
					return err
				}
				stack, _ := target.findStack()
				if err := c.Mprotect(stack.Start, stack.End-stack.Start, readWrite); err != nil {
					return err
				}
				if laid(c) {
					t.Error("a frame lies in the stack while all of that is changed")
				}
				return nil
			})
		})
	}
}
