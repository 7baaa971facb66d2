package adversarial

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// Attack 7. A filter refuses each set of the system calls that a write is made
// of, in two ways, or kills.
func TestSystemCallsAreRefused(t *testing.T) {
	groups := []struct {
		name    string
		numbers []uintptr
	}{
		{"process_vm", []uintptr{unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_VM_READV}},
		{"ptrace", []uintptr{unix.SYS_PTRACE}},
		{"ioctl", []uintptr{unix.SYS_IOCTL}},
		{"pidfd", []uintptr{unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL}},
	}
	target := startPrey(t)
	for set := 1; set < 1<<len(groups); set++ {
		var names []string
		var refuse []uintptr
		for i, group := range groups {
			if set&(1<<i) != 0 {
				names = append(names, group.name)
				refuse = append(refuse, group.numbers...)
			}
		}
		without := func(name string) bool { return slices.Contains(names, name) }
		for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS, 0} {
			for way, call := range confinedCalls {
				stops := way >= firstStopping
				want := "KERN_SUCCESS"
				switch {
				case call.name == "write through process_vm" && without("process_vm"),
					(stops || (call.name == "write" && without("process_vm"))) && without("ptrace"):
					want = "KERN_NOT_SUPPORTED"
				}
				if call.name == "vm_protect" {
					continue // it changes what the next ones find
				}
				result, died := confined(t, part{PID: target.PID, Address: target.Address, Way: way, Limits: limits{Errno: errno, Refuse: refuse}}, nil)
				if errno == 0 && died != "" {
					result.Code, want = "", ""
				}
				if result.Code != want || (errno != 0 && died != "") {
					t.Errorf("%s without %v (%v): %+v %s; want %s", call.name, names, errno, result, died, want)
				}
				if want == "KERN_NOT_SUPPORTED" && result.Hint == "" {
					t.Errorf("%s without %v (%v): no hint: %+v", call.name, names, errno, result)
				}
				mustBeFree(t, target.PID)
			}
		}
	}
	answer, err := target.command("look")
	if answer != "o 1" || err != nil {
		t.Errorf("the target says %q, %v; want one byte changed", answer, err)
	}
}

// Attack 7. /proc hides processes, or all but processes, or is not there.
func TestProcIsConfined(t *testing.T) {
	testtarget.NeedRoot(t)
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	for _, c := range []struct {
		proc  string
		codes []string
		text  string
	}{
		{"hidepid=2", []string{"KERN_SUCCESS"}, ""}, // root sees all
		{"subset=pid", []string{"KERN_SUCCESS"}, ""},
		{"none", []string{"KERN_FAILURE"}, "no /proc is mounted"},
	} {
		for way, call := range confinedCalls {
			t.Run(c.proc+", "+call.name, func(t *testing.T) {
				target := startPrey(t)
				attributes := namespaces(unix.CLONE_NEWNS)
				result, died := confined(t, part{PID: target.PID, Address: target.Address, Way: way, Limits: limits{Proc: c.proc}}, attributes)
				if !slices.Contains(c.codes, result.Code) || !strings.Contains(result.Message+result.Hint, c.text) {
					t.Errorf("%+v %s; want one of %v with %q", result, died, c.codes, c.text)
				}
				judgeConfined(t, target, result, way < firstWithoutWrite)
			})
		}
	}
	t.Run("hidepid=2, of another user", func(t *testing.T) {
		target := startPrey(t)
		// The outer one mounts, the inner one is the other user.
		script := "mount --make-rprivate / && mount -t proc -o hidepid=2 proc /proc && exec \"$0\""
		result := asUserUnder(t, script, part{PID: target.PID, Address: target.Address}, nobody)
		if result.Code != "KERN_FAILURE" || !strings.Contains(result.Hint, "hidepid") {
			t.Errorf("%+v; want KERN_FAILURE and a hint that names hidepid", result)
		}
		judgeConfined(t, target, result, true)
	})
}

// asUserUnder runs a confined writer as another user, below a shell that prepares
// a mount namespace.
func asUserUnder(t *testing.T, script string, p part, user *syscall.Credential) outcome {
	t.Helper()
	if _, err := exec.LookPath("setpriv"); err != nil {
		testtarget.Skip(t, "root", "no setpriv")
	}
	p.Role = "confined"
	inner := roleCommand(t, p)
	// The program must be open to the other user.
	copied := copyProgram(t)
	script = strings.ReplaceAll(script, "exec \"$0\"", fmt.Sprintf("exec setpriv --reuid %d --regid %d --clear-groups \"$0\"", user.Uid, user.Gid))
	cmd := exec.Command("unshare", "--mount", "sh", "-c", script, copied)
	cmd.Env = inner.Env
	return decode(t, cmd)
}

func copyProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(testtarget.BuildC(t, "testdata/victim.c")), "writer") // removed with it
	text, err := os.ReadFile(testProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Attack 7. There is no room for one more open file, at each moment.
func TestOpenFilesRunOut(t *testing.T) {
	for way, call := range confinedCalls {
		t.Run(call.name, func(t *testing.T) {
			codes := map[string]int{}
			for files := range uint64(16) {
				target := startPrey(t)
				result, died := confined(t, part{PID: target.PID, Address: target.Address, Way: way, Limits: limits{Bound: true, Files: files}}, nil)
				codes[result.Code+died]++
				if result.Code != "KERN_SUCCESS" && (result.Code != "KERN_FAILURE" || !strings.Contains(result.Message, "too many open files") || !strings.Contains(result.Hint, "too many open files")) {
					t.Errorf("%d files: %+v %s; want KERN_SUCCESS, or KERN_FAILURE and a hint", files, result, died)
				}
				judgeConfined(t, target, result, way < firstWithoutWrite)
				target.kill()
			}
			t.Logf("%v", codes)
		})
	}
}

// Attack 7. The same where the runtime has not set its poller up, which takes two
// files, and which it must not be asked for when there is no room.
func TestOpenFilesRunOutBeforeTheFirstTimer(t *testing.T) {
	for _, c := range []struct {
		name   string
		ways   []int
		writer *syscall.SysProcAttr
	}{
		{"calls that stop", []int{firstStopping, firstStopping + 1, firstStopping + 2, firstWithoutWrite, firstWithoutWrite + 1}, nil},
		{"another user's process", []int{0, firstStopping}, nobody()},
	} {
		for _, way := range c.ways {
			t.Run(c.name+", "+confinedCalls[way].name, func(t *testing.T) {
				if c.writer != nil {
					testtarget.NeedRoot(t)
				}
				for files := range uint64(16) {
					target := startPrey(t)
					p := part{PID: target.PID, Address: target.Address, Way: way, Limits: limits{Bound: true, Fresh: true, Files: files}}
					result, died := confined(t, p, c.writer)
					if died != "" || (result.Code != "KERN_FAILURE" && (result.Code != "KERN_SUCCESS" || c.writer != nil)) {
						t.Errorf("%d files: %+v %s; want KERN_FAILURE, or KERN_SUCCESS where it is allowed", files, result, died)
					}
					judgeConfined(t, target, result, way < firstWithoutWrite)
					target.kill()
				}
			})
		}
	}
}

// Attack 7. There is no room for more memory. A Go program may die of it; the
// target must not.
func TestMemoryRunsOut(t *testing.T) {
	for way, call := range confinedCalls {
		for _, memory := range []uint64{1, 1 << 16, 1 << 20, 1 << 24, 1 << 28} {
			target := startPrey(t)
			result, died := confined(t, part{PID: target.PID, Address: target.Address, Way: way, Limits: limits{Bound: true, Memory: memory}}, nil)
			if died == "" && result.Code != "KERN_SUCCESS" && result.Code != "KERN_FAILURE" && result.Code != "KERN_RESOURCE_SHORTAGE" {
				t.Errorf("%s with %d bytes more: %+v", call.name, memory, result)
			}
			switch {
			case died == "":
				judgeConfined(t, target, result, way < firstWithoutWrite)
			case way >= firstWithoutWrite:
				// It may have died while a thread of the target made a system call
				// for it: the limit of TestWriterKilledInTheMiddleOfVMProtect.
				t.Logf("%s with %d bytes more: %s; the target: %q", call.name, memory, died, harm(target.PID))
			default:
				mustBeFree(t, target.PID)
			}
			target.kill()
		}
	}
}
