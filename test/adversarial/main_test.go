// Package adversarial attacks this module with hostile targets, hostile
// sandboxes and its own death. README.md lists the attacks, what is promised
// under each, and how that is checked.
package adversarial

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

var (
	stormSeconds = flag.Float64("adversarial.seconds", 2, "how long each storm lasts")
	killRounds   = flag.Int("adversarial.rounds", 40, "how often each kind of writer is killed")
)

func stormTime() time.Duration { return time.Duration(*stormSeconds * float64(time.Second)) }

const pageSize = 4096

func TestMain(m *testing.M) {
	if playRole() {
		return
	}
	// The race detector would wait a second at the end of each writer.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(testtarget.Main(m))
}

// program is a running C target. It prints an address first, works until its
// input ends, and prints "ok" unless it found something amiss.
type program struct {
	PID     int
	Address uint64

	t     testing.TB
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
	ended bool
	// pending is what the target still has to say to an earlier command.
	pending chan error
}

// start starts a C target and reads its address. It is ended with the test.
func start(t testing.TB, cmd *exec.Cmd) *program {
	t.Helper()
	cmd.Stderr = os.Stderr
	stdin, stdout := testtarget.StartPiped(t, cmd)
	p := &program{PID: cmd.Process.Pid, t: t, cmd: cmd, stdin: stdin, lines: bufio.NewReader(stdout)}
	t.Cleanup(p.kill)
	line, err := p.line()
	if err != nil {
		t.Fatalf("%s: %v", cmd.Path, err)
	}
	if p.Address, err = strconv.ParseUint(line, 0, 64); err != nil {
		t.Fatalf("%s says %q; want an address", cmd.Path, line)
	}
	return p
}

func (p *program) line() (string, error) {
	line, err := p.lines.ReadString('\n')
	return strings.TrimSpace(line), err
}

// command sends a line and returns the answer.
func (p *program) command(format string, arguments ...any) (string, error) {
	if p.pending != nil {
		if err := <-p.pending; err != nil {
			return "", err
		}
		p.pending = nil
	}
	if _, err := fmt.Fprintf(p.stdin, format+"\n", arguments...); err != nil {
		return "", err
	}
	return p.line()
}

// kill ends the target. A second call does nothing.
func (p *program) kill() {
	if !p.ended {
		p.ended = true
		p.cmd.Process.Kill()
		p.cmd.Wait()
	}
}

// verdict ends the target's input and returns what the target says of itself:
// nil when it found nothing amiss.
func (p *program) verdict() error {
	if p.ended {
		return nil
	}
	defer p.kill()
	p.stdin.Close()
	answer := make(chan string, 1)
	go func() {
		line, err := p.line()
		answer <- fmt.Sprint(line, " ", err)
	}()
	select {
	case line := <-answer:
		if !strings.HasPrefix(line, "ok") {
			return fmt.Errorf("the target says %q", line)
		}
		return nil
	case <-time.After(20 * time.Second):
		return fmt.Errorf("the target does not answer")
	}
}

// taskFor is TaskForPID for a process that must give one.
func taskFor(t testing.TB, pid int, options ...machcompat.Option) *machcompat.Task {
	t.Helper()
	task, err := machcompat.TaskForPID(pid, options...)
	if err != nil {
		t.Fatalf("TaskForPID(%d) = %v", pid, err)
	}
	t.Cleanup(func() { task.Close() })
	return task
}

func addressOf(b []byte) uint64 { return uint64(linux.AddressOf(b)) }

// ways are the ways in which a write is made, and whether the target is stopped
// for it.
var ways = []struct {
	name    string
	stops   bool
	options []machcompat.Option
}{
	{"process_vm", false, []machcompat.Option{machcompat.WithBackend(machcompat.ProcessVM)}},
	{"process_vm stopped", true, []machcompat.Option{machcompat.WithBackend(machcompat.ProcessVM), machcompat.WithStop(machcompat.StopAlways)}},
	{"procmem stopped", true, []machcompat.Option{machcompat.WithBackend(machcompat.ProcMem)}},
	{"atomic", true, []machcompat.Option{machcompat.Atomic()}},
}
