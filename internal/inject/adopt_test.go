// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// debugger is a small one, with what it debugs: testdata/debuggee.c. All its methods
// run on the thread that traces.
type debugger struct {
	t      *testing.T
	pid    int
	stdin  io.Writer
	stdout *bufio.Reader
}

// ways are those in which a debugger gets hold of a process.
var ways = []string{"PTRACE_ATTACH", "PTRACE_SEIZE", "PTRACE_TRACEME"}

// debug starts a process with more threads, which a debugger traces in one of the
// ways and has stopped, and runs f. Then the process ends.
func debug(t *testing.T, way string, threads int, f func(*debugger)) {
	t.Helper()
	testtarget.Need(t, "tracing")
	cmd := exec.Command(testtarget.BuildC(t, "testdata/debuggee.c"), strconv.Itoa(threads))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: what it still traces is let go when it ends
		cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: way == "PTRACE_TRACEME", Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Error(err)
			return
		}
		defer cmd.Process.Kill()
		d := &debugger{t, cmd.Process.Pid, stdin, bufio.NewReader(stdout)}
		if way == "PTRACE_TRACEME" {
			d.wantStop(d.pid, unix.SIGTRAP) // it has run its program
			d.inject()
			d.must("setting options", unix.PtraceSetOptions(d.pid, unix.PTRACE_O_TRACECLONE))
			d.runUntilReady(threads)
			d.stopAll()
		} else {
			d.readLine("ready")
			for _, tid := range d.tids() {
				if way == "PTRACE_SEIZE" {
					d.must("seizing", unix.PtraceSeize(tid))
					d.must("interrupting", unix.PtraceInterrupt(tid))
				} else {
					d.must("attaching", unix.PtraceAttach(tid))
				}
				d.wait(tid)
			}
		}
		f(d)
	}()
	<-done
	if cmd.Process != nil {
		cmd.Wait()
	}
}

// must ends the debugger when something fails.
func (d *debugger) must(what string, err error) {
	d.t.Helper()
	if err != nil {
		d.t.Errorf("%s: %v", what, err)
		runtime.Goexit()
	}
}

func (d *debugger) readLine(want string) {
	d.t.Helper()
	line, err := d.stdout.ReadString('\n')
	if line != want+"\n" {
		d.must("reading "+want, fmt.Errorf("the process says %q, %w", line, err))
	}
}

func (d *debugger) tids() (tids []int) {
	for _, task := range testtarget.Tasks(d.t, d.pid) {
		tids = append(tids, task.TID)
	}
	return tids
}

// each does something with each thread.
func (d *debugger) each(what string, f func(tid int) error) {
	d.t.Helper()
	for _, tid := range d.tids() {
		d.must(what, f(tid))
	}
}

func (d *debugger) wait(tid int) unix.WaitStatus {
	d.t.Helper()
	var status unix.WaitStatus
	_, err := unix.Wait4(tid, &status, unix.WALL, nil)
	if err == nil && !status.Stopped() {
		err = fmt.Errorf("thread %d ended: %#x", tid, status)
	}
	d.must("wait4", err)
	return status
}

func (d *debugger) wantStop(tid int, want unix.Signal) {
	d.t.Helper()
	if status := d.wait(tid); status.StopSignal() != want {
		d.must("wait4", fmt.Errorf("thread %d is stopped by %v; want %v", tid, status.StopSignal(), want))
	}
}

// runUntilReady lets a process that is at its start run until it has created its
// threads.
func (d *debugger) runUntilReady(threads int) {
	d.t.Helper()
	d.must("running", unix.PtraceCont(d.pid, 0))
	for range threads {
		d.wantStop(d.pid, unix.SIGTRAP) // PTRACE_EVENT_CLONE
		tid, err := unix.PtraceGetEventMsg(d.pid)
		d.must("the event's message", err)
		d.wantStop(int(tid), unix.SIGSTOP)
		d.must("running", unix.PtraceCont(int(tid), 0))
		d.must("running", unix.PtraceCont(d.pid, 0))
	}
	d.readLine("ready")
}

// stopAll stops the threads that run, by SIGSTOP.
func (d *debugger) stopAll(stopped ...int) {
	d.t.Helper()
	d.each("stopping", func(tid int) error {
		if slices.Contains(stopped, tid) {
			return nil
		}
		if err := unix.Tgkill(d.pid, tid, unix.SIGSTOP); err != nil {
			return err
		}
		d.wantStop(tid, unix.SIGSTOP)
		return nil
	})
}

func (d *debugger) runAll() {
	d.t.Helper()
	d.each("running", func(tid int) error { return unix.PtraceCont(tid, 0) })
}

// runTo sends a line and lets all threads run until the first one stops.
func (d *debugger) runTo(line string, want unix.Signal) {
	d.t.Helper()
	d.runAll()
	fmt.Fprintln(d.stdin, line)
	d.wantStop(d.pid, want)
	d.stopAll(d.pid)
}

// wantGoesOn lets all threads run, and checks that they do.
func (d *debugger) wantGoesOn() {
	d.t.Helper()
	d.runAll()
	fmt.Fprintln(d.stdin, "go on")
	d.readLine("go on")
}

// reasons returns why each thread is stopped, as a debugger can ask.
func (d *debugger) reasons() map[int]string {
	all := map[int]string{}
	for _, tid := range d.tids() {
		info, err := linux.PtraceStopInfo(tid)
		all[tid] = fmt.Sprint(info, err)
	}
	return all
}

// adopt returns the debugger's own stop.
func (d *debugger) adopt() Target {
	d.t.Helper()
	session, err := ptrace.Adopt(d.pid)
	d.must("Adopt", err)
	target, err := targetOf(session)
	d.must("the files of the process", err)
	return target
}

// run makes calls in the process.
func (d *debugger) run(target Target) {
	d.t.Helper()
	var page uint64
	d.must("Run", Run(d.t.Context(), target, func(c *Caller) (err error) {
		if page, err = c.Mmap(0, pageSize, readWrite, unix.MAP_PRIVATE); err != nil {
			return err
		}
		return c.Mprotect(page, pageSize, procmaps.Read)
	}))
	wantMapped(d.t, target, page, procmaps.Read)
}

// inject makes calls in the debugger's own stop, and checks that nothing else
// changes that the debugger can see.
func (d *debugger) inject() {
	d.t.Helper()
	target := d.adopt()
	states, reasons := statesOf(d.t, target), d.reasons()
	for range 2 {
		d.run(target)
		wantStates(d.t, target, states)
		if after := d.reasons(); !maps.Equal(after, reasons) {
			d.t.Errorf("the threads are stopped by\n%v; want\n%v", after, reasons)
		}
		for _, tid := range d.tids() {
			if told, err := linux.PeekChild(tid); err != nil || told.TID != 0 {
				d.t.Errorf("thread %d has news for the debugger: %+v, %v", tid, told, err)
			}
		}
	}
	target.Session.Resume()
	testtarget.WantStopped(d.t, d.pid, os.Getpid())
}

func TestInjectionInADebuggersStop(t *testing.T) {
	for _, way := range ways {
		for _, threads := range []int{0, 6} {
			each := func(what string, f func(*debugger)) {
				t.Run(fmt.Sprintf("by %s with %d more threads %s", way, threads, what), func(t *testing.T) {
					debug(t, way, threads, f)
				})
			}
			each("when it gets hold of the process", func(d *debugger) {
				d.inject()
				d.wantGoesOn()
			})
			each("by SIGSTOP", func(d *debugger) {
				d.runAll()
				d.stopAll()
				d.inject()
				d.wantGoesOn()
			})
			each("at a breakpoint", func(d *debugger) {
				d.runTo("break", unix.SIGTRAP)
				d.inject()
				d.runAll()
				d.readLine("broke")
				d.stopAll()
				d.wantGoesOn()
			})
			each("where it is about to take a signal", func(d *debugger) {
				d.runTo("signal", unix.SIGUSR1)
				if threads > 0 {
					d.inject()
				} else if err := Run(t.Context(), d.adopt(), func(c *Caller) error { return c.Munmap(0, pageSize) }); err != ErrNoThread {
					t.Errorf("Run = %v; want ErrNoThread", err)
				}
				d.each("delivering", func(tid int) error {
					signal := 0
					if tid == d.pid {
						signal = int(unix.SIGUSR1)
					}
					return unix.PtraceCont(tid, signal)
				})
				d.readLine("caught")
				d.stopAll()
				d.wantGoesOn()
			})
			each("in a system call", func(d *debugger) {
				d.must("running", unix.PtraceSyscall(d.pid, 0))
				d.wantStop(d.pid, unix.SIGTRAP)
				if threads > 0 {
					d.inject()
				} else if err := Run(t.Context(), d.adopt(), func(c *Caller) error { return c.Munmap(0, pageSize) }); err != ErrNoThread {
					t.Errorf("Run = %v; want ErrNoThread", err)
				}
				d.wantGoesOn()
			})
		}
	}
}

// A thread that stands still by job control is one to the debugger, too.
func TestInjectionInAStopOfJobControl(t *testing.T) {
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			debug(t, way, 0, func(d *debugger) {
				d.must("stopping", unix.Tgkill(d.pid, d.pid, unix.SIGSTOP))
				d.must("running", unix.PtraceCont(d.pid, 0))
				d.wantStop(d.pid, unix.SIGSTOP)
				d.must("delivering", unix.PtraceCont(d.pid, int(unix.SIGSTOP)))
				d.wantStop(d.pid, unix.SIGSTOP)
				if way == "PTRACE_SEIZE" {
					d.inject()
				} else {
					d.run(d.adopt()) // the reason of such a stop can't be asked for, nor set
				}
				d.wantGoesOn()
			})
		})
	}
}

func TestASIGSTOPDuringInjectionInADebuggersStop(t *testing.T) {
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			debug(t, way, 0, func(d *debugger) {
				target := d.adopt()
				states := statesOf(t, target)
				d.must("Run", Run(t.Context(), target, func(c *Caller) error {
					for range 2 {
						testtarget.Send(t, d.pid, unix.SIGSTOP)
						if _, err := c.Mmap(0, pageSize, readWrite, unix.MAP_PRIVATE); err != nil {
							return err
						}
					}
					return nil
				}))
				wantStates(t, target, states)
				d.wantGoesOn()
			})
		})
	}
}

func TestInjectionKeepsADebuggersOptions(t *testing.T) {
	for _, way := range ways {
		for options, want := range map[int]unix.Signal{
			unix.PTRACE_O_TRACEEXIT:    unix.SIGTRAP,
			unix.PTRACE_O_TRACESYSGOOD: unix.SIGTRAP | 0x80,
		} {
			debug(t, way, 0, func(d *debugger) {
				d.must("setting options", unix.PtraceSetOptions(d.pid, options))
				d.inject()
				d.must("running", unix.PtraceSyscall(d.pid, 0))
				d.wantStop(d.pid, want)
				d.wantGoesOn()
			})
		}
	}
}

func TestAdoptOfWhatTheDebuggerHasNotStopped(t *testing.T) {
	wantError := func(t *testing.T, pid, tid int) {
		t.Helper()
		session, err := ptrace.Adopt(pid)
		stopError, ok := errors.AsType[*ptrace.StopError](err)
		if session != nil || !ok || !errors.Is(err, ptrace.ErrNotAdopted) || stopError.TID != tid {
			t.Errorf("Adopt = %v, %v; want ErrNotAdopted of thread %d", session, err, tid)
		}
	}
	debug(t, "PTRACE_ATTACH", 3, func(d *debugger) {
		last := d.tids()[3]
		d.must("running", unix.PtraceCont(last, 0))
		wantError(t, d.pid, last)
		d.stopAll(d.tids()[:3]...)
		d.must("detaching", unix.PtraceDetach(last))
		wantError(t, d.pid, last)
	})
	process := testtarget.Start(t)
	wantError(t, process.PID, process.PID)
}

// A stop that the debugger has not waited for stays for it.
func TestInjectionLeavesADebuggersNewsAlone(t *testing.T) {
	debug(t, "PTRACE_ATTACH", 0, func(d *debugger) {
		d.must("running", unix.PtraceCont(d.pid, 0))
		d.must("stopping", unix.Tgkill(d.pid, d.pid, unix.SIGSTOP))
		testtarget.WaitForStates(t, d.pid, "t")
		if err := Run(t.Context(), d.adopt(), func(c *Caller) error { return c.Munmap(0, pageSize) }); err != ErrNoThread {
			t.Errorf("Run = %v; want ErrNoThread", err)
		}
		d.wantStop(d.pid, unix.SIGSTOP)
		d.inject()
		d.wantGoesOn()
	})
}
