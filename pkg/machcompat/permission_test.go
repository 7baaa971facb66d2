package machcompat

import (
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/procstatus"
	"golang.org/x/sys/unix"
)

// Each rule that can refuse a tracer, on statuses that a kernel could show.
func TestRulesThatRefuse(t *testing.T) {
	const ptraceCap, otherCap = 1 << unix.CAP_SYS_PTRACE, 1 << unix.CAP_NET_ADMIN
	user := func(uid, effective, permitted, bounding uint64) procstatus.Status {
		return procstatus.Status{UIDs: [4]uint64{uid, uid, uid, uid}, CapEff: effective, CapPrm: permitted, CapBnd: bounding}
	}
	cases := []struct {
		name       string
		rule       rule
		us, target procstatus.Status
		want       string // "" when the rule must not refuse
	}{
		{"the same user", otherUser, user(1000, 0, 0, ptraceCap), user(1000, 0, 0, 0), ""},
		{"another user", otherUser, user(1000, 0, 0, ptraceCap), user(1001, 0, 0, 0), "sudo setcap"},
		{"another user, in a container without the capability", otherUser, user(1000, 0, 0, 0), user(0, 0, 0, 0), "docker run --user 0 --cap-add=SYS_PTRACE"},
		{"another user, with the capability", otherUser, user(1000, ptraceCap, ptraceCap, ptraceCap), user(0, 0, 0, 0), ""},
		{"root who gave the capability up", otherUser, user(0, 0, 0, ptraceCap), user(5, 0, 0, 0), "you are root without CAP_SYS_PTRACE"},
		{"a target whose saved user differs", otherUser, user(1000, 0, 0, ptraceCap), procstatus.Status{UIDs: [4]uint64{1000, 1000, 0, 1000}}, "runs as"},
		{"a target with more capabilities", moreCapabilities, user(0, 0, otherCap, 0), user(0, 0, otherCap|1, 0), "holds capabilities that you do not (0x1)"},
		{"a target with fewer capabilities", moreCapabilities, user(0, 0, otherCap|1, 0), user(0, 0, 1, 0), ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			hint := c.rule(c.us, c.target, 1)
			if c.want == "" && hint != "" || !strings.Contains(hint, c.want) {
				t.Errorf("the hint is %q; want %q in it", hint, c.want)
			}
		})
	}
}

func TestYamaLevels(t *testing.T) {
	plain := procstatus.Status{CapBnd: 1 << unix.CAP_SYS_PTRACE, UIDs: [4]uint64{1000, 1000, 1000, 1000}}
	able := plain
	able.CapEff = 1 << unix.CAP_SYS_PTRACE
	for _, c := range []struct {
		level string
		us    procstatus.Status
		want  string
	}{
		{"0", plain, ""},
		{"1", plain, "kernel.yama.ptrace_scope=1"},
		{"1", able, ""},
		{"2", plain, "only with CAP_SYS_PTRACE"},
		{"2", able, ""},
		{"3", able, "until the next boot"},
	} {
		if hint := yamaHint(c.level, c.us, 4711); c.want == "" && hint != "" || !strings.Contains(hint, c.want) {
			t.Errorf("level %s: the hint is %q; want %q in it", c.level, hint, c.want)
		}
	}
}
