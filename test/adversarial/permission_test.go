// SPDX-License-Identifier: Apache-2.0

package adversarial

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

const nobodyID = 65534

func nobody(capabilities ...uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobodyID, Gid: nobodyID}, AmbientCaps: capabilities}
}

// ownRoot makes a writer root of a user namespace of its own, with every
// capability there and none outside.
func ownRoot() *syscall.SysProcAttr {
	one := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	return &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: one, GidMappings: one}
}

// setUIDVictim is the victim with the set-user-id bit of root.
func setUIDVictim(t *testing.T) *exec.Cmd {
	t.Helper()
	const source = "test/adversarial/testdata/victim"
	victim := testtarget.BuildC(t, "testdata/victim.c")
	path, err := testtarget.Once(source+"-setuid", []string{source + ".c"}, func(path string) *exec.Cmd {
		return exec.Command("sh", "-c", `cp "$1" "$2" && chmod 4755 "$2"`, "sh", victim, path)
	})
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(path, "o")
}

// permissionCase is a target and a writer, and what the kernel says of a debugger
// with the writer's credentials.
type permissionCase struct {
	name    string
	setUID  bool
	command string // what the target is told first
	target  *syscall.SysProcAttr
	writer  *syscall.SysProcAttr
	want    string
	hint    string
}

var permissionCases = []permissionCase{
	{"the same user", false, "", nobody(), nobody(), "KERN_SUCCESS", ""},
	{"another user", false, "", nil, nobody(), "KERN_FAILURE", "runs as"},
	{"the same user, undumpable", false, "undump", nobody(), nobody(), "KERN_FAILURE", "PR_SET_DUMPABLE"},
	{"a target with more capabilities", false, "", nobody(unix.CAP_NET_ADMIN), nobody(), "KERN_FAILURE", "capabilities"},
	{"a writer with as many", false, "", nobody(unix.CAP_NET_ADMIN), nobody(unix.CAP_NET_ADMIN), "KERN_SUCCESS", ""},
	{"a set-uid target", true, "", nobody(), nobody(), "KERN_FAILURE", ""},
	{"root of a user namespace of its own", false, "", nil, ownRoot(), "KERN_FAILURE", "user namespace"},
	{"CAP_SYS_PTRACE alone, another user", false, "", nil, nobody(unix.CAP_SYS_PTRACE), "KERN_SUCCESS", ""},
	{"CAP_SYS_PTRACE alone, undumpable", false, "undump", nil, nobody(unix.CAP_SYS_PTRACE), "KERN_SUCCESS", ""},
	{"every other capability", false, "", nil, nobody(unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, unix.CAP_SYS_ADMIN, unix.CAP_KILL), "KERN_FAILURE", "runs as"},
}

// Attack 6. What the kernel refuses to a debugger of the same credentials is not
// done, whatever the call; what it allows works.
func TestPermissions(t *testing.T) {
	testtarget.Need(t, "root", "open programs")
	for i, c := range permissionCases {
		for _, call := range testtarget.Some(calls, 2, i) {
			t.Run(c.name+", "+call.name, func(t *testing.T) {
				cmd := exec.Command(testtarget.BuildC(t, "testdata/victim.c"), "o")
				if c.setUID {
					cmd = setUIDVictim(t)
				}
				cmd.SysProcAttr = c.target
				target := start(t, cmd)
				if c.command != "" {
					if answer, err := target.Ask("%s", c.command); err != nil {
						t.Fatal(answer, err)
					}
				}
				result, died := confined(t, target.part("confined", call.name), c.writer)
				want, hint := c.want, c.hint
				if strings.HasPrefix(c.name, "CAP_SYS_PTRACE alone") && call.name == "write through procmem" {
					// The file belongs to the target's user.
					want, hint = "KERN_FAILURE", "CAP_DAC_OVERRIDE"
				}
				if result.Code != want || !strings.Contains(result.Hint, hint) {
					t.Errorf("%+v %s; want %s with %q in the hint", result, died, want, hint)
				}
				judgeConfined(t, target, result, call.writes)
			})
		}
	}
}

// Attack 6. A pid means another process, or none, in another pid namespace.
func TestWriterInAnotherPIDNamespace(t *testing.T) {
	testtarget.Need(t, "root")
	for _, c := range []struct{ name, proc, text string }{
		{"with its own /proc", "hidepid=0", "no such process"},
		{"with the /proc of ours", "", "/proc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := startVictim(t)
			attributes := namespaces(unix.CLONE_NEWPID | unix.CLONE_NEWNS)
			p := target.part("confined", "write")
			p.Limits = limits{Proc: c.proc}
			result, died := confined(t, p, attributes)
			if result.Code != "KERN_FAILURE" || !strings.Contains(result.Message+result.Hint, c.text) {
				t.Errorf("%+v %s; want KERN_FAILURE: %s", result, died, c.text)
			}
			judgeConfined(t, target, result, true)
			// Its own number means itself there, and another process here.
			p.PID = 1
			if result, _ = confined(t, p, attributes); c.proc == "" && result.Code == "KERN_SUCCESS" {
				t.Errorf("process 1 was written through the /proc of another namespace: %+v", result)
			}
		})
	}
}
