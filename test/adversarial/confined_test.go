package adversarial

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/internal/testtarget/seccomp"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

func init() { roles["confined"] = playConfined }

// limits are the rights that a writer gives up before it writes.
type limits struct {
	Proc   string // options of a /proc of its own, "none" for none
	Files  uint64 // the highest number of open files, when Bound
	Memory uint64 // bytes of address space above what it has, when Bound
	Bound  bool
	Fresh  bool // the runtime has not set its poller up

	Errno  unix.Errno // what the system calls of Refuse answer; 0 kills
	Refuse []uintptr
}

// confinedCalls are what a confined writer does.
var confinedCalls = append([]struct {
	name    string
	options []machcompat.Option
	do      func(task *machcompat.Task, page uint64, round int) error
}{
	{"write", nil, writeOnce},
	{"write through process_vm", ways[0].options, writeOnce},
	{"write with the stop waived", []machcompat.Option{machcompat.WithStop(machcompat.StopNever)}, writeOnce},
}, stopping...)

// firstStopping is the index of the first of confinedCalls that stops the target,
// firstWithoutWrite of the first that leaves the page's bytes alone.
const (
	firstStopping     = 3
	firstWithoutWrite = 6
)

// playConfined gives up rights, waits for a line if it must, makes one call, and
// tells what came of it.
func playConfined(p part) {
	call := confinedCalls[p.Way]
	if stops := p.Way >= firstStopping; stops && !p.Limits.Fresh {
		// A stop needs a timer. The runtime sets its poller up with the first timer
		// or os.Open, and ends the program when it can't: here it has it, as most
		// programs do.
		if file, err := os.Open("/proc/self/stat"); err == nil {
			file.Close()
		}
	}
	err := p.Limits.apply()
	if err == nil {
		var task *machcompat.Task
		if task, err = machcompat.TaskForPID(p.PID, call.options...); err == nil {
			err = call.do(task, p.Address, 'n')
		}
	}
	json.NewEncoder(os.Stdout).Encode(outcomeOf(err))
}

func (l limits) apply() error {
	if l.Proc != "" {
		if err := mountProc(l.Proc); err != nil {
			return fmt.Errorf("mount /proc: %w", err)
		}
	}
	if l.Bound {
		if err := l.bound(); err != nil {
			return err
		}
	}
	switch {
	case len(l.Refuse) == 0:
		return nil
	case l.Errno == 0:
		return seccomp.Kill(l.Refuse...)
	}
	return seccomp.Refuse(l.Errno, l.Refuse...)
}

func mountProc(options string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if options == "none" {
		return unix.Mount("tmpfs", "/proc", "tmpfs", 0, "size=64k")
	}
	return unix.Mount("proc", "/proc", "proc", 0, options)
}

// bound sets limits of resources, as getrlimit(2) counts them.
func (l limits) bound() error {
	if l.Memory > 0 {
		var size uint64
		text, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			return err
		}
		fmt.Sscan(string(text), &size)
		limit := size*pageSize + l.Memory
		return unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: limit, Max: limit})
	}
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: l.Files, Max: l.Files})
}

// confined runs a writer with fewer rights. died tells how it ended without an
// answer.
func confined(t *testing.T, p part, attributes *syscall.SysProcAttr) (result outcome, died string) {
	t.Helper()
	p.Role = "confined"
	cmd := roleCommand(t, p)
	var trouble strings.Builder
	cmd.Stderr = &trouble
	cmd.SysProcAttr = attributes
	out, err := cmd.Output()
	if errors.As(err, new(*exec.ExitError)) {
		first, _, _ := strings.Cut(trouble.String(), "\n")
		return outcome{}, err.Error() + ": " + first
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &result); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return result, ""
}

// prey is a target whose page must keep what it holds, but for the first byte
// after a success.
func startPrey(t *testing.T) *program {
	t.Helper()
	return start(t, exec.Command(testtarget.BuildC(t, "testdata/victim.c"), "o"))
}

// judgeConfined makes sure that the target has changed only where the writer
// says so, and runs on.
func judgeConfined(t *testing.T, target *program, result outcome, writes bool) {
	t.Helper()
	want := "o 0"
	if writes && result.Code == "KERN_SUCCESS" {
		want = "o 1"
	}
	if answer, err := target.command("look"); answer != want {
		t.Errorf("the target says %q, %v; want %q after %+v", answer, err, want, result)
	}
	mustBeFree(t, target.PID)
}

// decode runs a command that tells what came of a call.
func decode(t *testing.T, cmd *exec.Cmd) (result outcome) {
	t.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &result); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return result
}
