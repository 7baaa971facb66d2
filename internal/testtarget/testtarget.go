// Package testtarget starts and commands the program that tests write into: a
// real process with real mappings. Only tests may import it.
package testtarget

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Target is a running target program.
type Target struct {
	PID int

	tb    testing.TB
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
	ended bool
}

// Start builds the target if need be, starts it and waits until it is ready. It
// is ended with the test.
func Start(tb testing.TB) *Target {
	tb.Helper()
	return StartBinary(tb, Build(tb, ""))
}

// StartBinary is Start for a target that is built already.
func StartBinary(tb testing.TB, path string) *Target {
	tb.Helper()
	cmd := exec.Command(path)
	cmd.Stderr = os.Stderr
	stdin, stdout := StartPiped(tb, cmd)
	t := &Target{PID: cmd.Process.Pid, tb: tb, cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}
	t.lines.Buffer(nil, 64<<20)
	tb.Cleanup(t.End)
	if line := t.Line(); line != "ready" {
		tb.Fatalf("the target says %q; want ready", line)
	}
	return t
}

// StartPiped starts a program in a process group of its own, and returns its
// input and output. A group of its own has a parent outside of it: the kernel
// ignores the stop signals of a terminal in one that has not, as tests may run in.
func StartPiped(tb testing.TB, cmd *exec.Cmd) (stdin io.WriteCloser, stdout io.Reader) {
	tb.Helper()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err = cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatalf("starting %s: %v", cmd.Path, err)
	}
	return stdin, stdout
}

// Line returns the next line that the target prints.
func (t *Target) Line() string {
	t.tb.Helper()
	if !t.lines.Scan() {
		t.tb.Fatalf("the target ended: %v", t.lines.Err())
	}
	return t.lines.Text()
}

// Do sends a command of the target (see its main.go) and returns its answer. The
// test fails when the target answers with an error.
func (t *Target) Do(format string, args ...any) string {
	t.tb.Helper()
	answer, ok := strings.CutPrefix(t.Try(format, args...), "ok")
	if !ok {
		t.tb.Fatalf("target: %s: %s", fmt.Sprintf(format, args...), t.lines.Text())
	}
	return strings.TrimPrefix(answer, " ")
}

// Try is Do for a command that may fail: it returns the whole answer, "ok ..." or
// "error ...".
func (t *Target) Try(format string, args ...any) string {
	t.tb.Helper()
	if _, err := fmt.Fprintf(t.stdin, format+"\n", args...); err != nil {
		t.tb.Fatalf("commanding the target: %v", err)
	}
	return t.Line()
}

// Address is Do for a command that answers with an address.
func (t *Target) Address(format string, args ...any) uint64 {
	t.tb.Helper()
	answer := t.Do(format, args...)
	address, err := strconv.ParseUint(answer, 0, 64)
	if err != nil {
		t.tb.Fatalf("target: %s: %v", fmt.Sprintf(format, args...), err)
	}
	return address
}

// Bytes returns size bytes of the target's memory, as the target itself reads
// them, whatever their protection.
func (t *Target) Bytes(address uint64, size int) []byte {
	t.tb.Helper()
	data, err := hex.DecodeString(t.Do("dump %#x %d", address, size))
	if err != nil {
		t.tb.Fatal(err)
	}
	return data
}

// Kill ends the target and leaves it as a zombie, which End waits for.
func (t *Target) Kill() {
	t.tb.Helper()
	if err := t.cmd.Process.Kill(); err != nil {
		t.tb.Fatal(err)
	}
	for t.lines.Scan() {
	}
}

// End ends the target and waits for it. A second call does nothing.
func (t *Target) End() {
	if t.ended {
		return
	}
	t.ended = true
	t.stdin.Close()
	t.cmd.Process.Kill()
	t.cmd.Wait()
}
