// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"bytes"
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

// sandboxVariable makes this test program a writer that first gives up rights.
const sandboxVariable = "VMWRITE_TEST_SANDBOX"

// sandbox is a write by a process with fewer rights than the test.
type sandbox struct {
	PID     int
	Address uint64
	Data    string
	Backend machcompat.Backend
	Stop    machcompat.StopPolicy

	// BeforeAs is another user as whom the target is written to before any call is
	// refused; 0 for none.
	BeforeAs    int
	RefuseErrno unix.Errno // what the calls of Refuse answer
	Refuse      []uintptr
	Kill        []uintptr // calls that end the process
}

// sandboxResult is what came of it.
type sandboxResult struct{ Op, Code, Backend, Message, Hint string }

// inSandbox is what the test program does when it was started for a sandbox.
func inSandbox() bool {
	text := os.Getenv(sandboxVariable)
	if text == "" {
		return false
	}
	var s sandbox
	result := sandboxResult{Code: "KERN_SUCCESS"}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		result.Message = err.Error()
	} else if err := s.writeBefore(); s.BeforeAs != 0 && !errors.Is(err, unix.EPERM) {
		result.Message = fmt.Sprintf("a write as another user: %v; want EPERM", err)
	} else if err := seccomp.Kill(s.Kill...); len(s.Kill) > 0 && err != nil {
		result.Message = err.Error()
	} else if err := seccomp.Refuse(s.RefuseErrno, s.Refuse...); len(s.Refuse) > 0 && err != nil {
		result.Message = err.Error()
	} else {
		task, err := machcompat.TaskForPID(s.PID, machcompat.WithBackend(s.Backend), machcompat.WithStop(s.Stop), machcompat.WithStopTimeout(testtarget.Patience))
		if err == nil {
			err = task.Write(s.Address, []byte(s.Data))
			result.Backend = task.Backend().String()
		}
		if e, ok := err.(*machcompat.Error); ok {
			result = sandboxResult{e.Op, e.Code.String(), e.Backend.String(), e.Error(), e.Hint}
		}
	}
	json.NewEncoder(os.Stdout).Encode(result)
	return true
}

// writeBefore writes as another user, whom the kernel allows no access to the
// target, to a task that was opened before.
func (s sandbox) writeBefore() error {
	if s.BeforeAs == 0 {
		return nil
	}
	task, err := machcompat.TaskForPID(s.PID, machcompat.WithBackend(machcompat.ProcessVM))
	if err != nil {
		return err
	}
	defer task.Close()
	uid := os.Getuid()
	if err := syscall.Setresuid(s.BeforeAs, s.BeforeAs, uid); err != nil {
		return err
	}
	defer syscall.Setresuid(uid, uid, uid)
	return task.Write(s.Address, []byte(s.Data))
}

// run runs the sandbox, as another user unless credential is nil.
func (s sandbox) run(t *testing.T, credential *syscall.Credential) (result sandboxResult) {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	// The path of the test program may not be open to another user.
	cmd := exec.Command("/proc/self/exe")
	// The race detector would wait a second at its end.
	cmd.Env = append(os.Environ(), sandboxVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := testtarget.RunCommand(cmd); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	return result
}

func TestTaskOfAnotherUserIsRefusedWithTheRule(t *testing.T) {
	testtarget.Need(t, "root", "open programs")
	target := testtarget.StartBystander(t, testtarget.Build(t, ""))
	base := target.Address("layout rw-:1")
	before := target.Bytes(base, 4)
	got := sandbox{PID: target.PID, Address: base, Data: "evil"}.run(t, &syscall.Credential{Uid: 65534, Gid: 65534})
	if got.Code != "KERN_FAILURE" || got.Op != "task_for_pid" {
		t.Errorf("%s as another user = %s; want task_for_pid to give KERN_FAILURE", got.Op, got.Code)
	}
	for _, part := range []string{"runs as root (uid 0)", "uid 65534"} {
		if !strings.Contains(got.Hint, part) {
			t.Errorf("hint %q does not contain %q", got.Hint, part)
		}
	}
	if after := target.Bytes(base, 4); string(after) != string(before) {
		t.Errorf("% x is there; want % x", after, before)
	}
}

func TestTaskOfASiblingIsRefusedWithYamasRule(t *testing.T) {
	cat := exec.Command("cat") // which allows nobody to trace it
	input, err := cat.StdinPipe()
	if err == nil {
		err = testtarget.StartCommand(cat)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		input.Close()
		cat.Wait()
	})
	got := sandbox{PID: cat.Process.Pid, Data: "x"}.run(t, nil)
	if testtarget.Missing("tracing") == nil {
		if got.Code != "KERN_INVALID_ADDRESS" {
			t.Errorf("a write to address 0 is %+v; want KERN_INVALID_ADDRESS", got)
		}
		return
	}
	level, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if rule := "kernel.yama.ptrace_scope=" + strings.TrimSpace(string(level)); err != nil || got.Code != "KERN_FAILURE" || got.Op != "task_for_pid" || !strings.Contains(got.Hint, rule) {
		t.Errorf("a write is %+v (%v); want KERN_FAILURE of task_for_pid, and %s in its hint", got, err, rule)
	}
}

func TestProcMemDoesWithoutProcessVM(t *testing.T) {
	testtarget.Need(t, "tracing")
	target := testtarget.Start(t)
	base := target.Address("layout rw-:1")
	vm := []uintptr{unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_VM_READV}
	got := sandbox{PID: target.PID, Address: base, Data: "new!", Backend: machcompat.ProcMem, Kill: vm}.run(t, nil)
	if after := target.Bytes(base, 4); got.Code != "KERN_SUCCESS" || string(after) != "new!" {
		t.Errorf("a write is %+v, and %q is there", got, after)
	}
}

func TestSandboxThatRefusesSystemCalls(t *testing.T) {
	vm := []uintptr{unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_VM_READV}
	withoutStop, why := "KERN_NOT_SUPPORTED", "refuses ptrace"
	if testtarget.Missing("forced writes") != nil {
		withoutStop, why = "KERN_SUCCESS", "" // /proc/PID/mem keeps to the protection by itself
	}
	cases := []struct {
		name    string
		refuse  []uintptr
		backend machcompat.Backend
		stop    machcompat.StopPolicy
		prot    string
		want    string // the code
		used    string // the backend
		hint    string
	}{
		{"without process_vm_writev, /proc/PID/mem takes over", vm, machcompat.Auto, machcompat.StopAuto, "rw-", "KERN_SUCCESS", "procmem", ""},
		{"and keeps to the protection", vm, machcompat.Auto, machcompat.StopAuto, "r--", "KERN_PROTECTION_FAILURE", "procmem", ""},
		{"without process_vm_writev alone, the first write goes over to /proc/PID/mem", vm[:1], machcompat.Auto, machcompat.StopAuto, "rw-", "KERN_SUCCESS", "procmem", ""},
		{"a forced process_vm is refused", vm, machcompat.ProcessVM, machcompat.StopAuto, "rw-", "KERN_NOT_SUPPORTED", "auto", "refuses process_vm_writev"},
		{"without ptrace too, nothing may be written that would need the stop", append(vm, unix.SYS_PTRACE), machcompat.Auto, machcompat.StopAuto, "rw-", withoutStop, "procmem", why},
		{"unless the caller waives the stop", append(vm, unix.SYS_PTRACE), machcompat.Auto, machcompat.StopNever, "rw-", "KERN_SUCCESS", "procmem", ""},
		{"and even then not to read-only memory", append(vm, unix.SYS_PTRACE), machcompat.Auto, machcompat.StopNever, "r--", "KERN_PROTECTION_FAILURE", "procmem", ""},
		{"without ioctl, the text of the maps is read", []uintptr{unix.SYS_IOCTL}, machcompat.Auto, machcompat.StopAuto, "rw-", "KERN_SUCCESS", "process_vm", ""},
		{"without pidfd_open", []uintptr{unix.SYS_PIDFD_OPEN}, machcompat.Auto, machcompat.StopAuto, "rw-", "KERN_SUCCESS", "process_vm", ""},
		{"without pidfd_send_signal", []uintptr{unix.SYS_PIDFD_SEND_SIGNAL}, machcompat.Auto, machcompat.StopAuto, "rw-", "KERN_SUCCESS", "process_vm", ""},
	}
	target := testtarget.Start(t)
	for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS} {
		for _, c := range cases {
			t.Run(unix.ErrnoName(errno)+": "+c.name, func(t *testing.T) {
				base := target.Address("layout %s:1", c.prot)
				want := target.Bytes(base, 4)
				got := sandbox{PID: target.PID, Address: base, Data: "new!", Backend: c.backend, Stop: c.stop, RefuseErrno: errno, Refuse: c.refuse}.run(t, nil)
				if got.Code != c.want || got.Backend != c.used {
					t.Errorf("%s through %s: %s; want %s through %s", got.Code, got.Backend, got.Message, c.want, c.used)
				}
				if !strings.Contains(got.Hint, c.hint) {
					t.Errorf("the hint is %q; want %q in it", got.Hint, c.hint)
				}
				if c.want == "KERN_SUCCESS" {
					want = []byte("new!")
				}
				if after := target.Bytes(base, 4); string(after) != string(want) {
					t.Errorf("% x is there; want % x", after, want)
				}
			})
		}
	}
}

// An earlier refusal, of another kind, is not the last word.
func TestSandboxThatComesAfterARefusal(t *testing.T) {
	testtarget.Need(t, "root")
	target := testtarget.Start(t)
	for _, c := range []struct {
		backend machcompat.Backend
		want    string // the code
		used    string // the backend
	}{
		{machcompat.Auto, "KERN_SUCCESS", "procmem"},
		{machcompat.ProcessVM, "KERN_NOT_SUPPORTED", "process_vm"},
	} {
		t.Run(c.backend.String(), func(t *testing.T) {
			base := target.Address("layout rw-:1")
			got := sandbox{PID: target.PID, Address: base, Data: "new!", Backend: c.backend, BeforeAs: 65534, RefuseErrno: unix.EPERM, Refuse: []uintptr{unix.SYS_PROCESS_VM_WRITEV}}.run(t, nil)
			if got.Code != c.want || got.Backend != c.used {
				t.Errorf("%s through %s: %s; want %s through %s", got.Code, got.Backend, got.Message, c.want, c.used)
			}
		})
	}
}

// A task under a filter is made to make a system call only if the filter lets it.
func TestProtectOfATaskUnderASeccompFilter(t *testing.T) {
	testtarget.Need(t, "root") // to read the filter
	for _, c := range []struct {
		name, filter string
		want         machcompat.KernReturn
	}{
		{"a filter that would end it for mprotect", "kill mprotect", machcompat.KERN_NOT_SUPPORTED},
		{"a filter that would refuse mprotect", "refuse mprotect", machcompat.KERN_NOT_SUPPORTED},
		{"a filter that has nothing against it", "kill reboot", machcompat.KERN_SUCCESS},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := testtarget.Start(t)
			base := target.Address("layout r--:1")
			target.Do("seccomp %s", c.filter)
			task := taskFor(t, target.PID)
			err := task.Protect(base, 1, false, machcompat.VM_PROT_DEFAULT)
			if machcompat.CodeOf(err) != c.want {
				t.Errorf("Protect = %v; want %s", err, c.want.String())
			}
			if err != nil && strings.Contains(err.Error(), "put back") {
				t.Errorf("Protect = %v; but nothing was changed", err)
			}
			want := "r--"
			if c.want == machcompat.KERN_SUCCESS {
				want = "rw-"
			}
			if got := permsAt(t, task, base, 1); got != want {
				t.Errorf("the page is %s; want %s", got, want)
			}
			mustHold(t, target, base) // it lives
		})
	}
}

// What was written stays when the protection can't be put back, and the error says
// both.
func TestCompareAndWriteWhoseProtectionCannotBePutBack(t *testing.T) {
	testtarget.Need(t, "root") // to read the filter
	target := testtarget.Start(t)
	base := target.Address("layout r--:1")
	target.Do("seccomp readonly mprotect")
	task := taskFor(t, target.PID)
	err := task.CompareAndWrite(t.Context(), []machcompat.Change{{Address: base, New: []byte("new!"), Unprotect: true}})
	e, ok := errors.AsType[*machcompat.Error](err)
	if !ok || e.Code != machcompat.KERN_NOT_SUPPORTED || !e.Partial || e.Written != 4 {
		t.Errorf("CompareAndWrite = %v; want KERN_NOT_SUPPORTED with 4 bytes written", err)
	}
	if got := string(target.Bytes(base, 4)); got != "new!" {
		t.Errorf("%q is there; want new!", got)
	}
}
