// SPDX-License-Identifier: Apache-2.0

package testtarget

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long a test waits for what must come. No machine is so slow, so
// whoever waits longer has found a fault.
const Patience = 3 * time.Minute

// WaitFor waits until done, which must come.
func WaitFor(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(Patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("waited %v for %s", Patience, what)
		}
	}
}

// starts runs functions on a thread that lasts as long as this program: the kernel
// sends Pdeathsig when the thread ends that started a process, not only when the
// program does (prctl(2)).
var starts = sync.OnceValue(func() chan<- func() {
	functions := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range functions {
			f()
		}
	}()
	return functions
})

// StartCommand starts a command that is killed when this program ends, whatever ends it.
// It has a process group of its own, whose parent is outside of it: the kernel
// ignores the stop signals of a terminal in a group that has no such parent.
func StartCommand(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	starts() <- func() { started <- cmd.Start() }
	return <-started
}

// RunCommand is [exec.Cmd.Run] for a command that is killed when this program ends.
func RunCommand(cmd *exec.Cmd) error {
	if err := StartCommand(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// TraceableVariable names the environment variable at which a target lets every
// process trace it that Yama would keep from it: PR_SET_PTRACER of prctl(2).
const TraceableVariable = "VMWRITE_TEST_TRACEABLE"

// Process is a running program that is spoken to by lines. It is ended with the
// test.
type Process struct {
	PID   int
	Stdin io.WriteCloser

	tb    testing.TB
	cmd   *exec.Cmd
	lines *bufio.Reader
	ended sync.Once
}

// StartProcess starts a program, whose standard error is this program's unless
// the command says otherwise. The test is skipped where the kernel would let it do nothing
// with the process.
func StartProcess(tb testing.TB, cmd *exec.Cmd) *Process {
	tb.Helper()
	Need(tb, "own children")
	return start(tb, cmd)
}

func start(tb testing.TB, cmd *exec.Cmd) *Process {
	tb.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	// Its writer may be another child, which Yama would not let trace its siblings.
	cmd.Env = append(cmd.Environ(), TraceableVariable+"=1")
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	if err := StartCommand(cmd); err != nil {
		tb.Fatalf("starting %s: %v", cmd.Path, err)
	}
	p := &Process{PID: cmd.Process.Pid, Stdin: stdin, tb: tb, cmd: cmd, lines: bufio.NewReader(stdout)}
	tb.Cleanup(p.End)
	return p
}

// ReadLine returns the next line that the process prints, without its end.
func (p *Process) ReadLine() (string, error) {
	line, err := p.lines.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// Line is ReadLine for a process that must print one.
func (p *Process) Line() string {
	p.tb.Helper()
	line, err := p.ReadLine()
	if err != nil {
		p.tb.Fatalf("%s printed %q: %v", p.cmd.Path, line, p.HowItEnds(err))
	}
	return line
}

// Ask sends a line and returns the next line that the process prints.
func (p *Process) Ask(format string, args ...any) (string, error) {
	if _, err := fmt.Fprintf(p.Stdin, format+"\n", args...); err != nil {
		return "", err
	}
	return p.ReadLine()
}

// Kill kills the process and returns when it has let go of its memory, and then of
// its files. It is a zombie soon, unless it is traced, until End waits for it.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	for {
		if _, err := p.ReadLine(); err != nil {
			return
		}
	}
}

// End kills the process and all of its group, and waits for it. A second call does
// nothing.
func (p *Process) End() {
	p.ended.Do(func() {
		p.Stdin.Close()
		if p.cmd.ProcessState == nil { // else the number may be another's by now
			syscall.Kill(-p.PID, syscall.SIGKILL)
		}
		p.cmd.Wait()
	})
}

// HowItEnds adds to the error of speaking to the process how that has ended, or that it
// had to be killed.
func (p *Process) HowItEnds(err error) error {
	p.End()
	return fmt.Errorf("%w (%v)", err, p.cmd.ProcessState)
}

// Wait closes the input of the process and returns how it ends by itself.
func (p *Process) Wait() (err error) {
	p.ended.Do(func() {
		p.Stdin.Close()
		err = p.cmd.Wait()
	})
	return err
}
