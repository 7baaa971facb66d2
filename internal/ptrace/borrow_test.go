package ptrace

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// startProgram starts a program that is no target of ours, as a process with one
// thread. It ends with the test.
func startProgram(t *testing.T, name string, arguments ...string) (pid int) {
	t.Helper()
	p := testtarget.StartProcess(t, exec.Command(name, arguments...))
	// Once it answers it is past its own start.
	if _, err := p.Ask("x"); err != nil {
		t.Fatal(err)
	}
	return p.PID
}

func TestBorrowOfAThreadThatOnlyComputes(t *testing.T) {
	pid := startProgram(t, "sh", "-c", "read x; echo $x; while :; do :; done")
	testtarget.WaitFor(t, "the shell to leave its system calls", func() bool {
		session := mustStop(t, pid)
		defer session.Resume()
		for _, r := range registersOf(t, session) {
			return !r.inSystemCall()
		}
		return false
	})
	session := mustStop(t, pid)
	before := registersOf(t, session)
	c := borrow(t, session)
	address := c.mapPage(t)
	if _, err := c.Call(c.instruction, Munmap, address, 4096); err != nil {
		t.Errorf("munmap in the shell = %v", err)
	}
	session.do(func() {
		if err := session.borrowed.giveBack(); err != nil {
			t.Errorf("giveBack = %v", err)
		}
		session.borrowed = nil
	})
	for tid, r := range registersOf(t, session) {
		if r.data != before[tid].data {
			t.Errorf("the registers of thread %d are not what they were", tid)
		}
	}
	session.Resume()
	wantFree(t, pid)
}

func TestAThreadInARestartableSequenceIsLeftAlone(t *testing.T) {
	pid := startProgram(t, "cat")
	session := mustStop(t, pid)
	defer session.Resume()
	var address uint64
	var err error
	session.do(func() { address, err = linux.PtraceRseqCriticalSection(pid) })
	if err != nil || address == 0 {
		testtarget.Lack(t, "rseq", fmt.Errorf("cat has them at %#x, %v", address, err))
	}
	session.do(func() {
		for _, test := range []struct {
			word uint64
			err  error
			want bool
		}{{0, nil, false}, {0x1234, nil, true}, {0, unix.EIO, true}} {
			got := inRestartableSequence(pid, func(asked uint64) (uint64, error) {
				if asked != address {
					t.Errorf("%#x is read; want %#x", asked, address)
				}
				return test.word, test.err
			})
			if got != test.want {
				t.Errorf("inRestartableSequence with %#x, %v there = %v", test.word, test.err, got)
			}
		}
	})
}
