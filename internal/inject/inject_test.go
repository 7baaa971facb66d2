// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

const readWrite = procmaps.Read | procmaps.Write

// state is all of a thread that an injected call changes.
type state struct {
	registers registers
	mask      uint64
}

func readState(t *testing.T, tid int) (s state) {
	t.Helper()
	if known, err := s.registers.read(tid); err != nil || !known {
		t.Errorf("registers of thread %d: %v, %v", tid, known, err)
	}
	if runtime.GOARCH == "amd64" && s.registers.abi.word == 8 {
		const flags, alwaysSet = 18, 2 // which some kernels leave out at the start of a program
		s.registers.set(flags, s.registers.get(flags)|alwaysSet)
	}
	var err error
	if s.mask, err = linux.PtraceSigmask(tid); err != nil {
		t.Errorf("signal mask of thread %d: %v", tid, err)
	}
	return s
}

// wantStates checks that the threads are what they were.
func wantStates(t *testing.T, target Target, want map[int]state) {
	t.Helper()
	got := statesOf(t, target)
	for tid, before := range want {
		if after := got[tid]; after != before {
			t.Errorf("thread %d is not what it was:\n%x, %#x; want\n%x, %#x", tid, after.registers.bytes(), after.mask, before.registers.bytes(), before.mask)
		}
	}
	if len(got) != len(want) {
		t.Errorf("there are %d threads; want %d", len(got), len(want))
	}
}

// wantMapped checks the protection of a page.
func wantMapped(t *testing.T, target Target, address uint64, want procmaps.Perms) {
	t.Helper()
	span, ok, err := target.Maps.Next(address)
	if err != nil || !ok || !span.Contains(address) || span.Perms != want {
		t.Errorf("the page at %#x is %v, %v, %v; want %v", address, span, ok, err, want)
	}
}

func TestCallsAreMadeByTheProcess(t *testing.T) {
	process := testtarget.Start(t)
	process.Do("threads 10")
	target := stopTarget(t, process.PID)
	var address uint64
	run(t, target, func(c *Caller) error {
		address = mapPage(t, c)
		wantMapped(t, target, address, readWrite)
		if err := target.Memory.Write(address, []byte{7}); err != nil {
			t.Error(err)
		}
		if err := c.Msync(address, pageSize, unix.MS_SYNC); err != nil {
			t.Errorf("Msync = %v", err)
		}
		if err := c.Msync(address+1, pageSize, unix.MS_SYNC); err != unix.EINVAL {
			t.Errorf("Msync of what is no page = %v; want EINVAL", err)
		}
		if err := c.Madvise(address, pageSize, unix.MADV_DONTNEED); err != nil { // the byte is gone
			t.Errorf("Madvise = %v", err)
		}
		return c.Mprotect(address, pageSize, procmaps.Read)
	})
	testtarget.WantStopped(t, process.PID, os.Getpid())
	wantMapped(t, target, address, procmaps.Read)
	target.Session.Resume()
	if got := process.Bytes(address, 4); !bytes.Equal(got, make([]byte, 4)) {
		t.Errorf("the page that was mapped holds %x", got)
	}

	target = stopTarget(t, process.PID)
	run(t, target, func(c *Caller) error { return c.Munmap(address, pageSize) })
	if span, ok, err := target.Maps.Next(address); err != nil || ok && span.Contains(address) {
		t.Errorf("what was unmapped is still there: %v, %v", span, err)
	}
	target.Session.Resume()
	testtarget.WantRunning(t, process)
}

func TestRunReturnsItsErrors(t *testing.T) {
	process := testtarget.Start(t)
	process.Do("threads 3")
	target := stopTarget(t, process.PID)
	for _, test := range []struct {
		name string
		f    func(*Caller) error
		want error
	}{
		{"an address that is no page's", func(c *Caller) error { return c.Mprotect(1, pageSize, procmaps.Read) }, unix.EINVAL},
		{"what is not mapped", func(c *Caller) error { return c.Mprotect(pageSize, pageSize, procmaps.Read) }, unix.ENOMEM},
		{"no call", func(*Caller) error { return os.ErrInvalid }, os.ErrInvalid},
		{"an error after a call", func(c *Caller) error { mapPage(t, c); return os.ErrInvalid }, os.ErrInvalid},
	} {
		before := statesOf(t, target)
		if err := Run(t.Context(), target, test.f); err != test.want {
			t.Errorf("%s: %v; want %v", test.name, err, test.want)
		}
		wantStates(t, target, before)
	}
	target.Session.Resume()
	testtarget.WantRunning(t, process)
}

func TestAfterEachRunTheThreadsAreWhatTheyWere(t *testing.T) {
	process := testtarget.Start(t)
	process.Do("threads 10")
	for range testtarget.Rounds(20) {
		target := stopTarget(t, process.PID)
		before := statesOf(t, target)
		for range 2 {
			run(t, target, func(c *Caller) error {
				for range 3 {
					if err := c.Munmap(mapPage(t, c), pageSize); err != nil {
						return err
					}
				}
				return nil
			})
			wantStates(t, target, before)
		}
		target.Session.Resume()
		testtarget.WantFree(t, process.PID)
	}
	testtarget.WantRunning(t, process)
}

func TestAThreadThatOnlyComputesMakesCallsToo(t *testing.T) {
	process := testtarget.StartProcess(t, exec.Command("sh", "-c", "read x; echo $x; while :; do :; done"))
	if _, err := process.Ask("x"); err != nil { // then it is past its own start
		t.Fatal(err)
	}
	testtarget.WaitFor(t, "the shell to leave its system calls", func() bool {
		target := stopTarget(t, process.PID)
		defer target.Session.Resume()
		before := statesOf(t, target)
		one := before[process.PID].registers
		if one.inSystemCall() {
			return false
		}
		run(t, target, func(c *Caller) error { return c.Munmap(mapPage(t, c), pageSize) })
		wantStates(t, target, before)
		return true
	})
	testtarget.WantFree(t, process.PID)
}

func TestAProcessWithoutItsFirstThreadMakesCallsToo(t *testing.T) {
	process := testtarget.Start(t)
	process.Do("endfirst")
	process.Do("threads 5")
	testtarget.WaitFor(t, "the first thread to end", func() bool {
		return slices.ContainsFunc(testtarget.Tasks(t, process.PID), func(task testtarget.Task) bool { return task.TID == process.PID && task.State == "Z" })
	})
	target := stopTarget(t, process.PID)
	before := statesOf(t, target)
	run(t, target, func(c *Caller) error { return c.Munmap(mapPage(t, c), pageSize) })
	wantStates(t, target, before)
	target.Session.Resume()
	testtarget.WantRunning(t, process)
}

func TestSignalsDuringACallArriveAfterwards(t *testing.T) {
	process := testtarget.StartCatching(t)
	target := stopTarget(t, process.PID)
	run(t, target, func(c *Caller) error {
		mapPage(t, c)
		if err := unix.Tgkill(process.PID, c.thread.tid, unix.SIGUSR1); err != nil {
			return err
		}
		mapPage(t, c)
		return nil
	})
	target.Session.Resume()
	testtarget.WantCaught(t, process, unix.SIGUSR1)
	testtarget.WantRunning(t, process)
}

func TestACallInAProcessThatIsKilledIsESRCH(t *testing.T) {
	process := testtarget.Start(t)
	process.Do("threads 5")
	target := stopTarget(t, process.PID)
	var tid int
	err := Run(t.Context(), target, func(c *Caller) error {
		mapPage(t, c)
		tid = c.thread.tid
		process.Kill()
		_, err := c.Mmap(0, pageSize, readWrite, unix.MAP_PRIVATE)
		return err
	})
	if !errors.Is(err, unix.ESRCH) {
		t.Errorf("Run = %v; want ESRCH of thread %d", err, tid)
	}
	if err := Run(t.Context(), target, func(c *Caller) error { return c.Munmap(0, pageSize) }); !errors.Is(err, ErrNoThread) && !errors.Is(err, unix.ESRCH) {
		t.Errorf("Run = %v; want ErrNoThread or ESRCH", err)
	}
}

func TestACallThatSeccompWouldActOnIsNotMade(t *testing.T) {
	testtarget.Need(t, "root") // to read the filter
	for _, action := range []string{"kill", "refuse"} {
		process := testtarget.Start(t)
		process.Do("threads 5")
		process.Do("seccomp refuse reboot")
		process.Do("seccomp %s mprotect", action)
		target := stopTarget(t, process.PID)
		run(t, target, func(c *Caller) error {
			address := mapPage(t, c)
			if err := c.Mprotect(address, pageSize, procmaps.Read); !errors.Is(err, ErrSeccomp) {
				t.Errorf("mprotect under a filter that would %s = %v; want ErrSeccomp", action, err)
			}
			return c.Munmap(address, pageSize)
		})
		target.Session.Resume()
		testtarget.WantRunning(t, process)
	}
}

// A filter sees where the processor goes on after the instruction.
func TestACallThatSeccompWouldActOnForItsPlaceIsNotMade(t *testing.T) {
	testtarget.Need(t, "root") // to read the filter
	// filtered starts a process that is killed for a system call by the code that
	// find finds.
	filtered := func(t *testing.T, number uint64, find func(Target) (end uint64)) (*testtarget.Process, Target) {
		process := testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/filter.c")))
		process.Line()
		target := stopTarget(t, process.PID)
		end := find(target)
		target.Session.Resume()
		if line, err := process.Ask("%d %x", number, end); line != "ready" {
			t.Fatalf("the process says %q, %v", line, err)
		}
		return process, stopTarget(t, process.PID)
	}
	wantRunning := func(t *testing.T, process *testtarget.Process, target Target) {
		t.Helper()
		target.Session.Resume()
		if line, err := process.Ask("alive"); line != "alive" {
			t.Errorf("the process says %q, %v", line, err)
		}
	}
	t.Run("the call", func(t *testing.T) {
		process, target := filtered(t, abis[0].numbers[mprotect], func(target Target) (end uint64) {
			run(t, target, func(c *Caller) error {
				mapPage(t, c)
				_, made, err := c.thread.prepare(0, [6]uint64{})
				end = made.get(made.abi.pc)
				return err
			})
			return end
		})
		run(t, target, func(c *Caller) error {
			page := mapPage(t, c)
			if err := c.Mprotect(page, pageSize, procmaps.Read); !errors.Is(err, ErrSeccomp) {
				t.Errorf("Mprotect = %v; want ErrSeccomp", err)
			}
			return c.Munmap(page, pageSize)
		})
		wantRunning(t, process, target)
	})
	t.Run("the return from the restore frame", func(t *testing.T) {
		testtarget.Need(t, "64-bit tests")
		process, target := filtered(t, abis[0].signalReturn, func(target Target) (end uint64) {
			run(t, target, func(c *Caller) error {
				mapPage(t, c)
				for _, pattern := range abis[0].signalReturns {
					if target.hasCode(c.thread.frame.signalReturn, pattern) {
						end = c.thread.frame.signalReturn + uint64(len(pattern))
					}
				}
				return nil
			})
			return end
		})
		run(t, target, func(c *Caller) error {
			mapPage(t, c)
			if c.thread.frame != nil {
				t.Error("the thread has a frame, with which it would be killed")
			}
			return nil
		})
		wantRunning(t, process, target)
	})
}

func TestA32BitProcessMakesCallsToo(t *testing.T) {
	testtarget.Need(t, "386")
	process := testtarget.StartBinary(t, testtarget.Build(t, "386"))
	process.Do("threads 5")
	target := stopTarget(t, process.PID)
	run(t, target, func(c *Caller) error {
		address := mapPage(t, c)
		if address == 0 || address >= 1<<32 {
			t.Errorf("Mmap = %#x", address)
		}
		if err := c.Mprotect(1, pageSize, procmaps.Read); err != unix.EINVAL {
			t.Errorf("Mprotect of no page = %v; want EINVAL", err)
		}
		if err := c.Mprotect(address|1<<32, pageSize, procmaps.Read); err != unix.EOVERFLOW {
			t.Errorf("Mprotect beyond the word = %v; want EOVERFLOW", err)
		}
		return c.Munmap(address, pageSize)
	})
	threads, err := target.Session.Threads()
	for _, thread := range threads {
		span, ok, err := target.Maps.Next(thread.PC)
		if err != nil || !ok || !span.Contains(thread.PC) || span.Perms&procmaps.Execute == 0 {
			t.Errorf("thread %d stands at %#x, which is no code: %v, %v", thread.TID, thread.PC, span, err)
		}
	}
	if err != nil || len(threads) < 6 {
		t.Errorf("Threads = %d, %v; want 6 and more", len(threads), err)
	}
	target.Session.Resume()
	testtarget.WantRunning(t, process)
}

func TestA64BitProcessWithAThreadIn32BitCode(t *testing.T) {
	testtarget.Need(t, "amd64", "386")
	for _, test := range []struct {
		name, kind string
		want       error
	}{
		{"it has no other thread, and no code for a call in reach", "", ErrNoInstruction},
		{"it has code for a call in reach", "code", nil},
		{"another thread is of 64 bits", "thread", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			process := testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/mixed.c"), test.kind))
			var counter uint64
			fmt.Sscan(process.Line(), &counter)
			count := func(target Target) (n [4]byte) {
				if err := target.Memory.Read(counter, n[:]); err != nil {
					t.Fatal(err)
				}
				return n
			}
			var target Target
			testtarget.WaitFor(t, "the thread to count", func() bool {
				target = stopTarget(t, process.PID)
				if count(target) != [4]byte{} {
					return true
				}
				target.Session.Resume()
				return false
			})
			before := statesOf(t, target)
			err := Run(t.Context(), target, func(c *Caller) error {
				_, err := c.Mmap(0, pageSize, readWrite, unix.MAP_PRIVATE)
				return err
			})
			if !errors.Is(err, test.want) || !maps.Equal(statesOf(t, target), before) {
				t.Errorf("Run = %v; want %v and all threads as they were", err, test.want)
			}
			old := count(target)
			target.Session.Resume()
			testtarget.WaitFor(t, "the thread to count on", func() bool { return count(target) != old })
		})
	}
}

// Syscall User Dispatch makes a SIGSYS of the system call, which would end the process.
func TestAThreadWhoseSystemCallsAreDispatchedIsLeftAlone(t *testing.T) {
	testtarget.Need(t, "amd64", "PROCMAP_QUERY") // Linux 6.4, which tells, would do
	process := testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/dispatch.c")))
	var counter uint64
	if _, err := fmt.Sscan(process.Line(), &counter); err != nil {
		t.Fatal(err)
	}
	count := func(target Target) (n [8]byte) {
		if err := target.Memory.Read(counter, n[:]); err != nil {
			t.Fatal(err)
		}
		return n
	}
	var target Target
	testtarget.WaitFor(t, "the process to count", func() bool {
		target = stopTarget(t, process.PID)
		if count(target) != [8]byte{} {
			return true
		}
		target.Session.Resume()
		return false
	})
	err := Run(t.Context(), target, func(c *Caller) error {
		_, err := c.Mmap(0, pageSize, readWrite, unix.MAP_PRIVATE)
		return err
	})
	if !errors.Is(err, ErrNoThread) {
		t.Errorf("Run = %v; want ErrNoThread", err)
	}
	old := count(target)
	target.Session.Resume()
	testtarget.WaitFor(t, "the process to count on", func() bool { return count(target) != old })
}

func TestAThreadInARestartableSequenceIsLeftAlone(t *testing.T) {
	process := testtarget.StartProcess(t, exec.Command("cat"))
	if _, err := process.Ask("x"); err != nil {
		t.Fatal(err)
	}
	target := stopTarget(t, process.PID)
	defer target.Session.Resume()
	err := target.Session.Do(func() {
		address, err := linux.PtraceRseqCriticalSection(process.PID)
		if err != nil || address == 0 {
			testtarget.Lack(t, "rseq", fmt.Errorf("cat has them at %#x, %v", address, err))
		}
		for _, test := range []struct {
			word byte
			err  error
			want bool
		}{{0, nil, false}, {0x12, nil, true}, {0, unix.EIO, true}} {
			target.Memory = oneWord{t, address, test.word, test.err}
			if got := (&thread{target: target, tid: process.PID}).inRestartableSequence(); got != test.want {
				t.Errorf("inRestartableSequence with %#x, %v there = %v", test.word, test.err, got)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// oneWord is memory of which one word may be read.
type oneWord struct {
	t       *testing.T
	address uint64
	word    byte
	err     error
}

func (m oneWord) Read(address uint64, p []byte) error {
	if address != m.address || len(p) != 8 {
		m.t.Errorf("%d bytes at %#x are read; want 8 at %#x", len(p), address, m.address)
	}
	p[1] = m.word
	return m.err
}

func (m oneWord) Write(uint64, []byte) error { return unix.EFAULT }

func TestTheEndOfTheContextEndsCalls(t *testing.T) {
	process := testtarget.Start(t)
	target := stopTarget(t, process.PID)
	before := statesOf(t, target)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for range 2 {
		err := Run(ctx, target, func(c *Caller) error {
			if ctx.Err() == nil {
				mapPage(t, c)
				cancel()
			}
			_, err := c.Mmap(0, pageSize, readWrite, unix.MAP_PRIVATE)
			return err
		})
		if err != context.Canceled || !maps.Equal(statesOf(t, target), before) {
			t.Errorf("Run = %v; want %v and all threads as they were", err, context.Canceled)
		}
	}
	target.Session.Resume()
	testtarget.WantRunning(t, process)
}

func TestCallsThatAreInsistedOnAreMadeAfterTheEndOfTheContext(t *testing.T) {
	process := testtarget.Start(t)
	target := stopTarget(t, process.PID)
	before := statesOf(t, target)
	ctx, cancel := context.WithCancel(context.Background())
	err := Run(ctx, target, func(c *Caller) error {
		page := mapPage(t, c)
		cancel()
		for range 2 {
			c.Insist()
			if err := c.Mprotect(page, pageSize, procmaps.Read); err != nil {
				return err
			}
		}
		return c.Munmap(page, pageSize)
	})
	if err != nil || !maps.Equal(statesOf(t, target), before) {
		t.Errorf("Run = %v; want nil and all threads as they were", err)
	}
	target.Session.Resume()
	testtarget.WantRunning(t, process)
}
