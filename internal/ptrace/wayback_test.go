package ptrace

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// The steps of a loan, after each of which its borrower may be killed.
var loanSteps = []string{"frame", "entry", "exit", "second", "interrupted", "mask"}

// borrowUpTo is the life of a stopper that borrows a thread, and stays where it is
// after a step.
func borrowUpTo(pid int, variable string) error {
	var step string
	var call uint64
	var way WayBack
	if _, err := fmt.Sscanf(variable, "%d borrow %s %v %v %v", new(int), &step, &call, &way.SignalReturn, &way.Frame); err != nil {
		return err
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	way.Write = func(address uint64, p []byte) error {
		_, err := memory.WriteAt(p, int64(address))
		return err
	}
	session, err := Stop(pid, testtarget.Patience)
	if err != nil {
		return err
	}
	b, err := session.Borrow(func(uint64) (uint64, error) { return 0, nil })
	if err != nil {
		return err
	}
	if err := b.SetWayBack(way); err != nil {
		return err
	}
	session.do(func() { err = b.upTo(step, call) })
	return err
}

// upTo does what call and giveBack do, as far as the step.
func (b *Borrowed) upTo(step string, call uint64) error {
	arguments := [6]uint64{0, 4096, readWrite, privateAnonymous, noFile, 0}
	for _, at := range loanSteps[1:] {
		if step == "frame" {
			return nil
		}
		var err error
		switch at {
		case "entry":
			r := b.saved
			r.call(call, b.ABI.numbers[Mmap], arguments)
			r.set(b.ABI.stack, b.way.Frame)
			if err = r.write(b.tid); err == nil {
				err = b.runToSystemCall()
			}
		case "exit":
			err = b.runToSystemCall()
		case "second":
			_, err = b.call(call, Mmap, arguments[:])
		case "interrupted":
			err = b.interrupt()
		case "mask":
			err = b.unblock()
		}
		if err != nil || at == step {
			return err
		}
	}
	return fmt.Errorf("there is no step %q", step)
}

// startLoan starts a stopper that borrows a thread of the process up to a step,
// and returns how to kill it.
func startLoan(t *testing.T, pid int, step string) (kill func()) {
	t.Helper()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	abi := &abis[0]
	call := findInstruction(t, pid, memory, abi.CallAndReturn)
	back := findInstruction(t, pid, memory, abi.SignalReturn[0])
	_, kill = startStopper(t, pid, fmt.Sprintf("borrow %s %d %d %d", step, call, back, unusedStack(t, pid)))
	return kill
}

// unusedStack returns a page near the low end of the stack.
func unusedStack(t *testing.T, pid int) (address uint64) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(line, "[stack]\n") {
			if _, err := fmt.Sscanf(line, "%x-", &address); err != nil {
				t.Fatal(err)
			}
			return address + 8192
		}
	}
	t.Fatal("the process has no stack")
	return 0
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
func TestAThreadWhoseBorrowerIsKilledGoesOnComputing(t *testing.T) {
	testtarget.Need(t, "amd64", "avx")
	program := testtarget.BuildC(t, "testdata/vectors.c")
	for _, step := range loanSteps {
		t.Run(step, func(t *testing.T) {
			process := testtarget.StartProcess(t, exec.Command(program))
			if line := process.Line(); line != "ready" {
				t.Fatalf("the process says %q", line)
			}
			pid := process.PID
			before := blockedSignals(t, pid)
			kill := startLoan(t, pid, step)
			kill()
			wantFree(t, pid)
			testtarget.WaitFor(t, "the signal mask to be what it was", func() bool { return blockedSignals(t, pid) == before })
			// It checks the values that it computed with meanwhile before it ends.
			send(t, pid, unix.SIGTERM)
			if line := process.Line(); line != "ok" {
				t.Errorf("the process says %q; want ok", line)
			}
		})
	}
}

// A thread that waits in a system call goes on waiting.
func TestAThreadWhoseBorrowerIsKilledGoesOnWaiting(t *testing.T) {
	testtarget.Need(t, "amd64", "tracing") // of cat, by a sibling
	for _, step := range loanSteps {
		t.Run(step, func(t *testing.T) {
			cat := testtarget.StartProcess(t, exec.Command("cat"))
			for _, text := range []string{"before", "after"} {
				if line, err := cat.Ask("%s", text); line != text {
					t.Fatalf("cat says %q, %v; want %q", line, err, text)
				}
				kill := startLoan(t, cat.PID, step)
				kill()
				wantFree(t, cat.PID)
			}
			if err := cat.Wait(); err != nil {
				t.Errorf("cat ends with %v", err)
			}
		})
	}
}
