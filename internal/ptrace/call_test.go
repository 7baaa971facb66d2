package ptrace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

const (
	privateAnonymous = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	readWrite        = unix.PROT_READ | unix.PROT_WRITE
	noFile           = ^uint64(0)
)

// caller makes system calls in a stopped target.
type caller struct {
	*Borrowed
	instruction uint64
}

// borrow takes a thread of the stopped process.
func borrow(t *testing.T, session *Session) caller {
	t.Helper()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", session.pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	b, err := session.Borrow(func(address uint64) (uint64, error) {
		var word [8]byte
		_, err := memory.ReadAt(word[:], int64(address))
		return binary.NativeEndian.Uint64(word[:]), err
	})
	if err != nil {
		t.Fatalf("Borrow = %v", err)
	}
	return caller{b, findInstruction(t, session.pid, memory, b.ABI.Instruction)}
}

// findInstruction returns where the code of the process has the instruction.
func findInstruction(t *testing.T, pid int, memory *os.File, instruction []byte) uint64 {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var start, end uint64
		var protection string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &protection); err != nil || protection != "r-xp" {
			continue
		}
		code := make([]byte, end-start)
		if _, err := memory.ReadAt(code, int64(start)); err != nil {
			continue // [vvar] and such
		}
		if i := bytes.Index(code, instruction); i >= 0 {
			return start + uint64(i)
		}
	}
	t.Fatalf("the code of the target has no % x", instruction)
	return 0
}

// mapPage has the process map a page, and returns its address.
func (c caller) mapPage(t *testing.T) uint64 {
	t.Helper()
	address, err := c.Call(c.instruction, Mmap, 0, 4096, readWrite, privateAnonymous, noFile, 0)
	if err != nil {
		t.Fatalf("mmap in the target = %v", err)
	}
	return address
}

// registersOf reads the registers of every thread of the session.
func registersOf(t *testing.T, session *Session) map[int]registers {
	t.Helper()
	all := map[int]registers{}
	session.do(func() {
		for tid := range session.threads {
			var r registers
			if _, err := r.read(tid); err != nil {
				t.Errorf("registers of thread %d: %v", tid, err)
			}
			all[tid] = r
		}
	})
	return all
}

// masksOf reads the signal mask of every thread of the session.
func masksOf(t *testing.T, session *Session) map[int]uint64 {
	t.Helper()
	all := map[int]uint64{}
	session.do(func() {
		for tid := range session.threads {
			mask, err := linux.PtraceSigmask(tid)
			if err != nil {
				t.Errorf("signal mask of thread %d: %v", tid, err)
			}
			all[tid] = mask
		}
	})
	return all
}

func TestCallsOfABorrowedThreadAreMadeByTheProcess(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 10")
	session := mustStop(t, target.PID)
	c := borrow(t, session)
	address := c.mapPage(t)
	if result, err := c.Call(c.instruction, Mprotect, address, 4096, unix.PROT_READ); result != 0 || err != nil {
		t.Errorf("mprotect in the target = %d, %v", result, err)
	}
	wantStopped(t, target.PID, os.Getpid())
	session.Resume()
	if got := target.Bytes(address, 4); !bytes.Equal(got, make([]byte, 4)) {
		t.Errorf("the page that was mapped holds %x", got)
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", target.PID))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%x-%x r--p", address, address+4096); !strings.Contains(string(maps), want) {
		t.Errorf("no mapping is %s", want)
	}

	session = mustStop(t, target.PID)
	c = borrow(t, session)
	if _, err := c.Call(c.instruction, Munmap, address, 4096); err != nil {
		t.Errorf("munmap in the target = %v", err)
	}
	session.Resume()
	if answer := target.Try("dump %#x 1", address); !strings.HasPrefix(answer, "error") {
		t.Errorf("what was unmapped is still there: %s", answer)
	}
	wantRunning(t, target)
}

func TestACallThatFailsReturnsItsErrno(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 3")
	session := mustStop(t, target.PID)
	c := borrow(t, session)
	tests := []struct {
		name      string
		function  Function
		arguments []uint64
		want      unix.Errno
	}{
		{"an address that is no page's", Mprotect, []uint64{1, 4096, unix.PROT_READ}, unix.EINVAL},
		{"what is not mapped", Mprotect, []uint64{4096, 4096, unix.PROT_READ}, unix.ENOMEM},
		{"a file that is not open", Mmap, []uint64{0, 4096, unix.PROT_READ, unix.MAP_PRIVATE, noFile, 0}, unix.EBADF},
	}
	for _, test := range tests {
		if result, err := c.Call(c.instruction, test.function, test.arguments...); result != 0 || err != error(test.want) {
			t.Errorf("%s: %#x, %v; want %v", test.name, result, err, test.want)
		}
	}
	session.Resume()
	wantRunning(t, target)
}

func TestAThreadThatWasBorrowedIsGivenBackAsItWas(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 10")
	for range testtarget.Rounds(20) {
		session := mustStop(t, target.PID)
		before, masks := registersOf(t, session), masksOf(t, session)
		c := borrow(t, session)
		for range 5 {
			address := c.mapPage(t)
			if _, err := c.Call(c.instruction, Munmap, address, 4096); err != nil {
				t.Fatal(err)
			}
		}
		again := borrow(t, session)
		if again.Borrowed != c.Borrowed {
			t.Error("a session borrows two threads")
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
		if !maps.Equal(masksOf(t, session), masks) {
			t.Error("the signal mask of a thread is not what it was")
		}
		session.Resume()
		wantFree(t, target.PID)
	}
	wantRunning(t, target)
}

func TestSignalsDuringALoanArriveAfterwards(t *testing.T) {
	target := signalTarget(t)
	session := mustStop(t, target.PID)
	c := borrow(t, session)
	c.mapPage(t)
	if err := unix.Tgkill(target.PID, c.tid, unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	c.mapPage(t)
	session.Resume()
	wantCaught(t, target, unix.SIGUSR1)
	wantRunning(t, target)
}

func TestAStopDuringALoanHoldsAfterwards(t *testing.T) {
	for _, before := range []bool{true, false} {
		target := testtarget.Start(t)
		target.Do("threads 5")
		if before {
			send(t, target.PID, unix.SIGSTOP)
			waitForStates(t, target.PID, "T")
		}
		session := mustStop(t, target.PID)
		c := borrow(t, session)
		if !before {
			if err := unix.Tgkill(target.PID, c.tid, unix.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		c.mapPage(t)
		session.Resume()
		waitForStates(t, target.PID, "T")
		wantFree(t, target.PID)
		send(t, target.PID, unix.SIGCONT)
		wantRunning(t, target)
	}
}

func TestACallInAProcessThatIsKilledIsESRCH(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 5")
	session := mustStop(t, target.PID)
	c := borrow(t, session)
	target.Kill()
	_, err := c.Call(c.instruction, Mmap, 0, 4096, readWrite, privateAnonymous, noFile, 0)
	if stopError, ok := errors.AsType[*StopError](err); !ok || !errors.Is(err, unix.ESRCH) || stopError.TID != c.tid {
		t.Errorf("Call = %v; want ESRCH of thread %d", err, c.tid)
	}
	session.Resume()
	wantOnlyTheZombie(t, target)
}

func TestNoThreadIsBorrowedFromAProcessThatIsKilled(t *testing.T) {
	target := testtarget.Start(t)
	session := mustStop(t, target.PID)
	target.Kill()
	if _, err := session.Borrow(func(uint64) (uint64, error) { return 0, nil }); !errors.Is(err, ErrNoThread) {
		t.Errorf("Borrow = %v; want ErrNoThread", err)
	}
	session.Resume()
	wantOnlyTheZombie(t, target)
}

func TestNoThreadIsBorrowedThatHasASignalOnItsWay(t *testing.T) {
	target := testtarget.Start(t)
	session := mustStop(t, target.PID)
	session.do(func() {
		held := map[int]unix.Signal{}
		for tid, thread := range session.threads {
			held[tid], thread.signal = thread.signal, unix.SIGUSR1
		}
		if _, err := session.borrow(nil); err != ErrNoThread {
			t.Errorf("borrow = %v; want ErrNoThread", err)
		}
		for tid, thread := range session.threads {
			thread.signal = held[tid]
		}
	})
	session.Resume()
	wantFree(t, target.PID)
}

func TestACallThatSeccompWouldActOnIsNotMade(t *testing.T) {
	testtarget.Need(t, "root") // to read the filter
	for _, action := range []string{"kill", "refuse"} {
		target := testtarget.Start(t)
		target.Do("threads 5")
		target.Do("seccomp refuse reboot")
		target.Do("seccomp %s mprotect", action)
		session := mustStop(t, target.PID)
		c := borrow(t, session)
		address := c.mapPage(t)
		if _, err := c.Call(c.instruction, Mprotect, address, 4096, unix.PROT_READ); !errors.Is(err, ErrSeccomp) {
			t.Errorf("mprotect under a filter that would %s = %v; want ErrSeccomp", action, err)
		}
		c.mapPage(t)
		session.Resume()
		wantRunning(t, target)
	}
}

func TestA32BitProcessMakesCallsToo(t *testing.T) {
	testtarget.Need(t, "386")
	target := testtarget.StartBinary(t, testtarget.Build(t, "386"))
	target.Do("threads 5")
	session := mustStop(t, target.PID)
	c := borrow(t, session)
	if c.ABI.Word != 4 {
		t.Errorf("a word of the target has %d bytes; want 4", c.ABI.Word)
	}
	address := c.mapPage(t)
	if address == 0 || address >= 1<<32 {
		t.Errorf("mmap in the target = %#x", address)
	}
	if _, err := c.Call(c.instruction, Mprotect, 1, 4096, unix.PROT_READ); err != unix.EINVAL {
		t.Errorf("mprotect of no page = %v; want EINVAL", err)
	}
	if _, err := c.Call(c.instruction, Munmap, address, 4096); err != nil {
		t.Errorf("munmap in the target = %v", err)
	}
	session.Resume()
	wantRunning(t, target)
}

func TestTracerOfIsTheThreadThatTraces(t *testing.T) {
	target := testtarget.Start(t)
	if tracer := procstatus.TracerOf(target.PID); tracer != 0 {
		t.Errorf("TracerOf a process that runs = %d; want 0", tracer)
	}
	session := mustStop(t, target.PID)
	if tracer, want := procstatus.TracerOf(target.PID), tasksOf(t, target.PID)[0].tracer; tracer != want || tracer == 0 {
		t.Errorf("TracerOf a process that is stopped = %d; want %d", tracer, want)
	}
	session.Resume()
	target.End()
	if tracer := procstatus.TracerOf(target.PID); tracer != 0 {
		t.Errorf("TracerOf a process that is no more = %d; want 0", tracer)
	}
}
