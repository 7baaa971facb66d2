package adversarial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// interrupted is a command that waits for a page that nobody brings, and how it
// ends after signals. The page is the second of four: AT is 100 bytes into it.
type interrupted struct {
	name      string
	arguments string // PID and AT stand for themselves, PAGE for the begin of the page
	signals   []unix.Signal
	status    int
	says      string // on standard error
	atOnce    bool   // within half a second, else after a second
}

const (
	stillGoesOn = "still goes on after 1s: how much was written is not known"
	endedTwice  = "interrupted twice, and the call still goes on: how much was written is not known"
)

var (
	once  = []unix.Signal{unix.SIGINT}
	twice = []unix.Signal{unix.SIGINT, unix.SIGINT}
)

var interruptions = []interrupted{
	{"a write", "write -p PID AT 6e6e", once, 14, stillGoesOn, false},
	{"a write, by SIGTERM", "write -p PID AT 6e6e", []unix.Signal{unix.SIGTERM}, 14, stillGoesOn, false},
	{"a write, by SIGHUP", "write -p PID AT 6e6e", []unix.Signal{unix.SIGHUP}, 14, stillGoesOn, false},
	{"a write, twice", "write -p PID AT 6e6e", twice, 14, endedTwice, true},
	{"a write, by two signals", "write -p PID AT 6e6e", []unix.Signal{unix.SIGHUP, unix.SIGTERM}, 14, endedTwice, true},
	{"a write with the process stopped", "write -p PID AT 6e6e --stop always", once, 14, stillGoesOn, false},
	{"a write to protected memory", "write -p PID AT 6e6e --unprotect", once, 14, stillGoesOn, false},
	{"a write to protected memory, twice", "write -p PID AT 6e6e --unprotect", twice, 14, "not known", true},
	{"the look of --expect", "write -p PID AT 6e6e --expect 6f", once, 14, "vm_read", true},
	{"the look of -v", "write -p PID AT 6e6e -v", once, 14, "vm_read", true},
	{"a copy to it", "copy -p PID PAGE-100 100 AT", once, 14, stillGoesOn, false},
	{"a copy from it", "copy -p PID AT 100 PAGE-100", once, 14, stillGoesOn, false},
	{"a copy, twice", "copy -p PID PAGE-100 100 AT", twice, 14, endedTwice, true},
	{"a read", "read -p PID AT 16", once, 14, "vm_read", true},
	{"a read of values, by SIGTERM", "read -p PID AT -t u32", []unix.Signal{unix.SIGTERM}, 14, "interrupted", true},
}

// Attack 8. A command that waits for a page that nobody brings ends after a
// signal, says what is known, and leaves the target free.
func TestInterruptedCommandEnds(t *testing.T) {
	command := buildCommand(t)
	for _, c := range interruptions {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			target := odd(t, "userfault")
			cmd := c.command(command, target)
			var out, trouble bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &trouble
			elapsed := interrupt(t, cmd, c.signals)
			if status := cmd.ProcessState.ExitCode(); status != c.status || !strings.Contains(trouble.String(), c.says) {
				t.Errorf("status %d; want %d, and %q on standard error:\n%s", status, c.status, c.says, trouble.String())
			}
			const half = time.Second / 2
			if early := elapsed < half; early != c.atOnce {
				t.Errorf("it ended after %v", elapsed)
			}
			mustBeFree(t, target.PID)
			if answer, err := target.command("release"); answer != "0" || err != nil {
				t.Fatal(answer, err)
			}
			if target.look(0) != 'o' {
				t.Error("what was not written to has changed")
			}
		})
	}
}

// command is the command with its arguments, in a process group of its own as
// that of a shell.
func (c *interrupted) command(path string, target *program) *exec.Cmd {
	page := target.Address + pageSize
	arguments := strings.NewReplacer("PID", fmt.Sprint(target.PID), "AT", fmt.Sprintf("%#x", page+100),
		"PAGE-100", fmt.Sprintf("%#x", page-100)).Replace(c.arguments)
	return exec.Command(path, strings.Fields(arguments)...)
}

// interrupt starts a command, sends it signals once it waits, and returns how
// long it took to end after that.
func interrupt(t *testing.T, cmd *exec.Cmd, signals []unix.Signal) time.Duration {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	waitForFault(t, cmd.Process.Pid)
	begin := time.Now()
	for i, signal := range signals {
		if i > 0 {
			time.Sleep(100 * time.Millisecond) // one signal that is sent twice may come once
		}
		cmd.Process.Signal(signal)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		cmd.Process.Kill()
		<-ended
		t.Error("the signals did not end the command")
	}
	return time.Since(begin)
}

// waitForFault waits until a thread of the process has stayed in process_vm_writev
// or process_vm_readv for a while: in the first 20 ms a signal ends the command as
// it ends any other.
func waitForFault(t *testing.T, pid int) {
	t.Helper()
	const while = 300 * time.Millisecond
	type stay struct {
		call  string
		since time.Time
	}
	stays := map[string]stay{}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		calls, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
		for _, path := range calls {
			text, _ := os.ReadFile(path)
			number, _, _ := strings.Cut(string(text), " ")
			moves := number == fmt.Sprint(unix.SYS_PROCESS_VM_WRITEV) || number == fmt.Sprint(unix.SYS_PROCESS_VM_READV)
			if !moves || stays[path].call != string(text) {
				stays[path] = stay{string(text), time.Now()}
			} else if time.Since(stays[path].since) > while {
				return
			}
		}
	}
	t.Error("the command does not wait for the page")
}

// Attack 8. The one object of --json says that it is not known what was written.
func TestInterruptedCommandSaysSoInJSON(t *testing.T) {
	target := odd(t, "userfault")
	c := interrupted{arguments: "write -p PID AT 6e6e --json"}
	cmd := c.command(buildCommand(t), target)
	var out bytes.Buffer
	cmd.Stdout = &out
	interrupt(t, cmd, twice)
	var object map[string]any
	if err := json.Unmarshal(out.Bytes(), &object); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	written, there := object["written"]
	if object["name"] != "KERN_ABORTED" || object["kern_return"] != 14.0 || !there || written != nil {
		t.Errorf("%s; want KERN_ABORTED with written null", out.String())
	}
}

// Attack 8. A write that was given up puts the protection back that it took away.
func TestInterruptedWriteProtectsAgain(t *testing.T) {
	target := odd(t, "userfault")
	command := buildCommand(t)
	page := target.Address + pageSize
	protect := exec.Command(command, "protect", "-p", fmt.Sprint(target.PID), fmt.Sprintf("%#x", page), "4096", "r--")
	if out, err := protect.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := interrupted{arguments: "write -p PID AT 6e6e --unprotect"}
	cmd := c.command(command, target)
	interrupt(t, cmd, once)
	if status := cmd.ProcessState.ExitCode(); status != 14 {
		t.Errorf("status %d; want 14", status)
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", target.PID))
	if err != nil {
		t.Fatal(err)
	}
	if line := fmt.Sprintf("%x-%x r--p", page, page+pageSize); !strings.Contains(string(maps), line) {
		t.Errorf("no %q in the map:\n%s", line, maps)
	}
	mustBeFree(t, target.PID)
}

// Attack 8. What nohup, or a script in the background, has ignored stays so.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	target := odd(t, "userfault")
	c := interrupted{arguments: "write -p PID AT 6e6e"}
	plain := c.command(buildCommand(t), target)
	cmd := exec.Command("sh", append([]string{"-c", `trap "" INT HUP; exec "$@"`, "sh"}, plain.Args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitForFault(t, cmd.Process.Pid)
	cmd.Process.Signal(unix.SIGINT)
	time.Sleep(100 * time.Millisecond)
	cmd.Process.Signal(unix.SIGHUP)
	time.Sleep(1500 * time.Millisecond)
	if answer, err := target.command("release"); answer != "0" || err != nil {
		t.Fatal(answer, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the command ended with %v; want 0 after the page was brought", err)
	}
	if target.look(pageSize+100) != 'n' {
		t.Error("the bytes have not arrived")
	}
}
