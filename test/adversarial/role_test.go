// SPDX-License-Identifier: Apache-2.0

package adversarial

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/internal/testtarget/seccomp"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// roleVariable makes this test program another one: a writer that will be
// killed, that is watched step by step, or that has given up rights.
const roleVariable = "VMWRITE_ADVERSARIAL_ROLE"

// part is what a process of a role is to do.
type part struct {
	Role    string
	PID     int
	Address uint64
	Call    string
	Limits  limits
	Waits   bool // for a line, and then gives up rights and makes the call
}

// part is that of a writer into the target.
func (p *program) part(role, call string) part {
	return part{Role: role, PID: p.PID, Address: p.Address, Call: call}
}

var roles = map[string]func(part){"confined": playConfined, "doomed": playDoomed, "watched": playWatched}

// playRole plays the role that this process was started for, if any.
func playRole() bool {
	text := os.Getenv(roleVariable)
	if text == "" {
		return false
	}
	var p part
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic(err)
	}
	os.Unsetenv(roleVariable)
	roles[p.Role](p)
	return true
}

// roleCommand returns the command that starts this program in a role.
func roleCommand(t testing.TB, p part) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	// The path of the test program may not be open to another user.
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	return cmd
}

func testProgram(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// namespaces makes a command run in namespaces of its own.
func namespaces(flags uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Cloneflags: flags}
}

// callNamed returns one of the calls by its name.
func callNamed(calls []call, name string) call {
	return calls[slices.IndexFunc(calls, func(c call) bool { return c.name == name })]
}

// outcome is what came of a call in another process.
type outcome struct {
	Op, Code, Message, Hint string
}

func outcomeOf(err error) outcome {
	e, ok := errors.AsType[*machcompat.Error](err)
	switch {
	case err == nil:
		return outcome{Code: "KERN_SUCCESS"}
	case !ok:
		return outcome{Message: err.Error()}
	}
	return outcome{e.Op, e.Code.String(), e.Error(), e.Hint}
}

// limits are the rights that a writer gives up before it writes.
type limits struct {
	Proc string // options of a /proc of its own, "none" for none
	User int    // whom it becomes
	// At most one of these: the highest number of open files, bytes of address
	// space above what it has, threads above what it has where its user has one
	// other process.
	Files, Memory, Threads *uint64
	Fresh                  bool // the runtime has not set its poller up

	Errno  unix.Errno // what the system calls of Refuse answer; 0 kills
	Refuse []uintptr
}

// playConfined gives up rights, makes one call, and tells what came of it.
func playConfined(p part) {
	c := callNamed(calls, p.Call)
	if p.Waits {
		unix.Dup3(1, 2, 0) // where the runtime has the last word, that is the answer
		fmt.Println("ready")
		bufio.NewReader(os.Stdin).ReadString('\n')
	}
	if c.stops() && !p.Limits.Fresh {
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
		if task, err = openTask(p.PID, c.options...); err == nil {
			err = c.do(task, p.Address, 'n')
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
	if l.User != 0 {
		err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(l.User), syscall.Setuid(l.User), unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0))
		if err != nil {
			return err
		}
	}
	if err := l.bound(); err != nil {
		return err
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

// bound sets a limit of resources, as getrlimit(2) counts them.
func (l limits) bound() error {
	set := func(resource int, limit uint64) error {
		return unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit})
	}
	switch {
	case l.Files != nil:
		return set(unix.RLIMIT_NOFILE, *l.Files)
	case l.Memory != nil:
		var size uint64
		text, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			return err
		}
		fmt.Sscan(string(text), &size)
		return set(unix.RLIMIT_AS, size*pageSize+*l.Memory)
	case l.Threads != nil:
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		return set(unix.RLIMIT_NPROC, uint64(len(threads))+1+*l.Threads)
	}
	return nil
}

// confined runs a writer with fewer rights. died tells how it ended without an
// answer.
func confined(t *testing.T, p part, attributes *syscall.SysProcAttr) (result outcome, died string) {
	t.Helper()
	cmd := roleCommand(t, p)
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &out, &trouble, attributes
	err := testtarget.RunCommand(cmd)
	if errors.As(err, new(*exec.ExitError)) {
		first, _, _ := strings.Cut(trouble.String(), "\n")
		return outcome{}, err.Error() + ": " + first
	}
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, out.String()), ""
}

func decode(t *testing.T, line string) (result outcome) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), &result); err != nil {
		t.Fatalf("the writer says %q: %v", line, err)
	}
	return result
}

// judgeConfined makes sure that the target has changed only where a call that
// writes says so, and runs on.
func judgeConfined(t *testing.T, target *program, result outcome, writes bool) {
	t.Helper()
	want := "o 0"
	if writes && result.Code == "KERN_SUCCESS" {
		want = "o 1"
	}
	if answer, err := target.Ask("look"); answer != want {
		t.Errorf("the target says %q, %v; want %q after %+v", answer, err, want, result)
	}
	mustBeFree(t, target.PID)
}
