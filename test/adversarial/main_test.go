// SPDX-License-Identifier: Apache-2.0

// Package adversarial attacks this module with hostile targets, hostile
// sandboxes and its own death. README.md lists the attacks, what is promised
// under each, and how that is checked.
package adversarial

import (
	"fmt"
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

// pageSize is that of this machine, and so of every target.
var pageSize = machcompat.HostPageSize()

func TestMain(m *testing.M) {
	if playRole() {
		return
	}
	// The race detector would wait a second at the end of each writer.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(testtarget.Main(m))
}

// program is a running C target. It prints an address first, works until its
// input ends, and prints "ok" unless it found something amiss.
type program struct {
	*testtarget.Process
	PID     int // of the target: in a crowd another process speaks for it
	Address uint64

	t testing.TB
}

// start starts a target and reads its address.
func start(t testing.TB, cmd *exec.Cmd) *program {
	t.Helper()
	process := testtarget.StartProcess(t, cmd)
	return &program{process, process.PID, addressIn(t, process.Line()), t}
}

func addressIn(t testing.TB, line string) uint64 {
	t.Helper()
	address, err := strconv.ParseUint(line, 0, 64)
	if err != nil {
		t.Fatalf("the target says %q; want an address", line)
	}
	return address
}

// startC starts a target of testdata.
func startC(t testing.TB, name string, arguments ...string) *program {
	t.Helper()
	return start(t, exec.Command(testtarget.BuildC(t, "testdata/"+name+".c"), arguments...))
}

// startVictim starts a target that knows whether its page has changed.
func startVictim(t testing.TB) *program {
	t.Helper()
	return startC(t, "victim", "o")
}

// endIfItHangs kills a process after the longest time that anything takes, so that
// who reads from it comes to an end. The process must not be waited for before stop.
func endIfItHangs(pid int) (stop func() bool) {
	return time.AfterFunc(testtarget.Patience, func() { unix.Kill(pid, unix.SIGKILL) }).Stop
}

// verdict ends the target's input and returns what the target says of itself:
// nil when it found nothing amiss.
func (p *program) verdict() error {
	defer p.End()
	defer endIfItHangs(p.PID)()
	p.Stdin.Close()
	if line, err := p.ReadLine(); !strings.HasPrefix(line, "ok") {
		return fmt.Errorf("the target says %q, %v", line, err)
	}
	return nil
}

// openTask is TaskForPID with time for a stop on the slowest machine.
func openTask(pid int, options ...machcompat.Option) (*machcompat.Task, error) {
	return machcompat.TaskForPID(pid, append([]machcompat.Option{machcompat.WithStopTimeout(testtarget.Patience)}, options...)...)
}

// taskFor is openTask for a process that must give a task.
func taskFor(t testing.TB, pid int, options ...machcompat.Option) *machcompat.Task {
	t.Helper()
	task, err := openTask(pid, options...)
	if err != nil {
		t.Fatalf("TaskForPID(%d) = %v", pid, err)
	}
	t.Cleanup(func() { task.Close() })
	return task
}

// modes are how a write is made, and whether the target is stopped
// for it.
var modes = []struct {
	name    string
	stops   bool
	options []machcompat.Option
}{
	{"process_vm", false, []machcompat.Option{machcompat.WithBackend(machcompat.ProcessVM)}},
	{"process_vm stopped", true, []machcompat.Option{machcompat.WithBackend(machcompat.ProcessVM), machcompat.WithStop(machcompat.StopAlways)}},
	{"procmem stopped", true, []machcompat.Option{machcompat.WithBackend(machcompat.ProcMem)}},
	{"atomic", true, []machcompat.Option{machcompat.Atomic()}},
}

// call is something that is done to a page of a target, in rounds of any number.
type call struct {
	name    string
	options []machcompat.Option
	writes  bool // the first byte of the page, and else it changes none
	do      func(task *machcompat.Task, page uint64, round int) error
}

var calls = []call{
	{"write", nil, true, writeOnce},
	{"write through process_vm", modes[0].options, true, writeOnce},
	{"write with the stop waived", []machcompat.Option{machcompat.WithStop(machcompat.StopNever)}, true, writeOnce},
	{"write through procmem", modes[2].options, true, writeOnce},
	{"atomic write", modes[3].options, true, writeOnce},
	{"suspend and resume", nil, true, func(task *machcompat.Task, page uint64, round int) error {
		if err := task.Suspend(); err != nil {
			return err
		}
		if err := writeOnce(task, page, round); err != nil {
			return err
		}
		return task.Resume()
	}},
	{"vm_protect", nil, false, func(task *machcompat.Task, page uint64, round int) error {
		return task.Protect(page, pageSize, false, machcompat.VM_PROT_READ|machcompat.VMProt(round%2)*machcompat.VM_PROT_WRITE)
	}},
	{"vm_allocate and vm_deallocate", nil, false, func(task *machcompat.Task, _ uint64, _ int) error {
		address, err := task.Allocate(0, pageSize, machcompat.VM_FLAGS_ANYWHERE)
		if err != nil {
			return err
		}
		return task.Deallocate(address, pageSize)
	}},
}

// stopping are the calls that stop a target on most kernels, each of which must leave it
// as it was.
var stopping = calls[3:]

// stops reports whether the call stops the target. A kernel that keeps /proc/PID/mem to
// the protection spares a write that stop.
func (c call) stops() bool {
	if c.name == "write through procmem" {
		return testtarget.Missing("forced writes") == nil
	}
	return slices.ContainsFunc(stopping, func(other call) bool { return other.name == c.name })
}

func writeOnce(task *machcompat.Task, page uint64, round int) error {
	return task.Write(page, []byte{byte(round)})
}

// twice makes a call in two rounds, after which the page may be written as before.
func (c call) twice(task *machcompat.Task, page uint64) error {
	for round := range 2 {
		if err := c.do(task, page, round); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}
