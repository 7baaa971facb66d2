// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/procfs"
	"github.com/vmwrite/vmwrite/internal/inject"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// tracerVariable makes this program one that traces a process.
const tracerVariable = "VMWRITE_TEST_TRACER"

func TestMain(m *testing.M) {
	if pid, err := strconv.Atoi(os.Getenv(tracerVariable)); err == nil {
		runtime.LockOSThread()
		fmt.Println(unix.PtraceSeize(pid))
		bufio.NewReader(os.Stdin).ReadString('\n')
		return
	}
	os.Exit(testtarget.Main(m))
}

// oddName is a program's name with everything that a parser may stumble over.
const oddName = "a) S (b\nc d"

func waitForState(t *testing.T, pid int, state string) {
	t.Helper()
	testtarget.WaitFor(t, "the state "+state, func() bool {
		stat, err := ask(pid, procfs.Proc.Stat)
		return err == nil && stat.State == state
	})
}

func TestWhy(t *testing.T) {
	odd := t.TempDir() + "/" + oddName
	if text, err := exec.Command("cp", testtarget.Build(t, ""), odd).CombinedOutput(); err != nil {
		t.Fatal(string(text), err)
	}
	target := testtarget.StartBystander(t, testtarget.Build(t, ""))
	target.Do("threads 1")
	zombie := testtarget.StartBystander(t, odd)
	zombie.Kill()
	waitForState(t, zombie.PID, "Z")
	headless := testtarget.StartBystander(t, testtarget.Build(t, ""))
	headless.Do("endfirst")
	waitForState(t, headless.PID, "Z")
	threads, err := procstatus.Threads(target.PID)
	if err != nil || len(threads) < 2 {
		t.Fatal(threads, err)
	}
	self := os.Getpid()
	const kthreadd = 2

	stopping := func(pid int, err error) error { return &ptrace.StopError{TID: pid, Err: err} }
	moving := func(err error) error { return &pwrite.TransferError{Call: "process_vm_writev", Err: err} }
	for _, c := range []struct {
		name string
		pid  int
		err  error
		want Rule // 0 for nothing to say
		text string
	}{
		{"a zombie", zombie.PID, unix.ESRCH, Zombie, fmt.Sprintf(`%d (a) S (b\nc d) has ended and is a zombie, until process %d waits for it`, zombie.PID, self)},
		{"a process whose first thread has ended", headless.PID, unix.ESRCH, FirstThreadEnded, "the first thread of"},
		{"a kernel thread", kthreadd, unix.ESRCH, KernelThread, "2 is the kernel thread kthreadd"},
		{"a /proc of other pids", target.PID, fmt.Errorf("open: %w", ErrForeignProc), ForeignProc, "its pids mean other processes"},
		{"a thread, to which pidfd_open answers ENOENT", threads[len(threads)-1], unix.ENOENT, 0, ""},
		{"too many files of this program", target.PID, unix.EMFILE, TooManyFiles, "too many open files"},
		{"too many files of all", target.PID, stopping(target.PID, unix.ENFILE), TooManyFiles, "too many open files"},
		{"a kernel without process_vm_writev", target.PID, moving(fmt.Errorf("%w: %w", pwrite.ErrRefused, unix.ENOSYS)), BackendRefused, "process_vm_writev"},
		{"a fault", target.PID, moving(unix.EFAULT), 0, ""},
		{"no error", target.PID, nil, 0, ""},
		{"a thread that does not stop", target.PID, stopping(target.PID, ptrace.ErrTimeout), ThreadDoesNotStop, fmt.Sprintf("thread %d waits", target.PID)},
		{"a stop that this program makes", target.PID, stopping(target.PID, ptrace.ErrBusy), StoppedByUs, "this program keeps"},
		{"itself", self, stopping(self, unix.EPERM), OwnProcess, "can't stop itself"},
		{"a seccomp filter that is not shown", target.PID, fmt.Errorf("%w: %w", inject.ErrSeccomp, unix.EACCES), HiddenFilter, "is under a seccomp filter, which the kernel does not show"},
		{"a kernel that shows no filters", target.PID, fmt.Errorf("%w: %w", inject.ErrSeccomp, unix.EINVAL), 0, ""},
		{"a stop of a zombie", zombie.PID, stopping(zombie.PID, unix.ESRCH), Zombie, "is a zombie"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == KernelThread {
				testtarget.Need(t, "kthreadd")
			}
			r, ok := Why(c.pid, c.err)
			if ok != (c.want != 0) || r.Rule != c.want || r.PID != c.pid || !strings.Contains(r.Text, c.text) {
				t.Errorf("Why = %+v, %v; want rule %d with %q", r, ok, c.want, c.text)
			}
		})
	}
}

func TestWhyOfNoProcess(t *testing.T) {
	for _, pid := range []int{-1, 0, math.MaxInt32} {
		if r, ok := Why(pid, unix.ESRCH); ok && r.Rule != OwnPIDNamespace {
			t.Errorf("Why(%d) = %+v", pid, r)
		}
	}
}

func TestWhyOfATracedProcess(t *testing.T) {
	testtarget.Need(t, "tracing")
	target := testtarget.Start(t)
	eperm := &ptrace.StopError{TID: target.PID, Err: unix.EPERM}

	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), tracerVariable+"="+strconv.Itoa(target.PID), "GORACE=atexit_sleep_ms=0")
	tracer := testtarget.StartProcess(t, cmd)
	if line := tracer.Line(); line != "<nil>" {
		t.Fatal(line)
	}
	// The tracer is a thread, whose name is that of the program.
	r, ok := Why(target.PID, eperm)
	if want := fmt.Sprintf("process %d is already traced by ", target.PID); !ok || r.Rule != AlreadyTraced || !strings.HasPrefix(r.Text, want+"exe (pid ") {
		t.Errorf("Why = %+v; want %q and the tracer", r, want)
	}
	tracer.End()

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PtraceSeize(target.PID); err != nil {
		t.Fatal(err)
	}
	if r, _ := Why(target.PID, eperm); r.Rule != TracedByUs || !strings.Contains(r.Text, "already traced by this program") {
		t.Errorf("Why = %+v", r)
	}
	target.End()
}
