// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"strings"
	"testing"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// Each rule by which the kernel refuses a tracer, on facts that it could show.
func TestRules(t *testing.T) {
	const trace, override, network = 1 << unix.CAP_SYS_PTRACE, 1 << unix.CAP_DAC_OVERRIDE, 1 << unix.CAP_NET_ADMIN
	user := func(uid uint64) procfs.ProcStatus { return procfs.ProcStatus{UIDs: [4]uint64{uid, uid, uid, uid}} }
	able := func(uid, capabilities uint64) procfs.ProcStatus {
		s := user(uid)
		s.CapEff, s.CapPrm = capabilities, capabilities
		return s
	}
	group := func(gids ...uint64) procfs.ProcStatus { return procfs.ProcStatus{GIDs: [4]uint64(append(gids, 0))} }
	const first, inner = "0 0 4294967295", "0 1000 1"
	for _, c := range []struct {
		name  string
		facts facts
		want  Rule
		text  string
	}{
		{"nothing to be seen", facts{us: user(1), target: user(1), fileOwner: 1}, SecurityModule, "a security module"},
		{"another user namespace", facts{ourNamespace: "user:[1]", itsNamespace: "user:[2]"}, OtherNamespace, "process 12 is in another user namespace"},
		{"the same user namespace", facts{ourNamespace: "user:[1]", itsNamespace: "user:[1]"}, SecurityModule, ""},
		{"another user", facts{us: user(0), target: user(4711)}, OtherUser, "and you are root (uid 0)"},
		{"another user, for whoever may trace all", facts{us: able(1000, trace|override), target: user(0)}, SecurityModule, ""},
		{"a saved user that differs", facts{us: user(1000), target: procfs.ProcStatus{UIDs: [4]uint64{1000, 1000, 0, 1000}}}, OtherUser, "runs as"},
		{"another group", facts{target: group(5, 5, 5)}, OtherGroup, "process 12 runs as group 5 and you are group 0"},
		{"a saved group that differs", facts{target: group(0, 0, 5)}, OtherGroup, ""},
		{"more capabilities", facts{us: able(0, network), target: able(0, network|1)}, MoreCapabilities, "holds capabilities that you do not (0x1)"},
		{"fewer capabilities", facts{us: able(0, network|1), target: able(0, 1)}, SecurityModule, ""},
		{"undumpable", facts{us: user(1000), target: user(1000)}, Undumpable, "PR_SET_DUMPABLE"},
		{"capabilities of an inner namespace", facts{us: able(0, trace|override), ourUIDMap: inner}, OutsideNamespace, "seems to be outside"},
		{"of the first", facts{us: able(0, trace|override), ourUIDMap: first}, SecurityModule, ""},
		{"of the target's", facts{us: able(0, trace|override), ourUIDMap: inner, ourNamespace: "user:[1]", itsNamespace: "user:[1]"}, SecurityModule, ""},
		{"the right to trace alone", facts{us: able(1000, trace), target: user(0)}, OtherOwner, "/proc/12/mem is a file of root (uid 0)"},
		{"Yama 0", facts{yama: "0"}, SecurityModule, ""},
		{"Yama 1", facts{yama: "1"}, Yama, "kernel.yama.ptrace_scope=1"},
		{"Yama 1, with the capability", facts{us: able(0, trace), yama: "1"}, SecurityModule, ""},
		{"Yama 2", facts{yama: "2"}, Yama, "only with CAP_SYS_PTRACE"},
		{"Yama 2, with the capability", facts{us: able(0, trace), yama: "2"}, SecurityModule, ""},
		{"Yama 3, with the capability", facts{us: able(0, trace), yama: "3"}, Yama, "until the next boot"},
	} {
		rule, text := c.facts.rule(12)
		if rule != c.want || !strings.Contains(text, c.text) {
			t.Errorf("%s: %d, %q; want %d with %q", c.name, rule, text, c.want, c.text)
		}
	}
}

// What a program lacks that is not shown another's seccomp filter.
func TestHiddenFilter(t *testing.T) {
	var none, admin procfs.ProcStatus
	admin.CapEff = 1 << unix.CAP_SYS_ADMIN
	const first, inner = "0 0 4294967295", "0 1000 1"
	for _, c := range []struct {
		name  string
		facts facts
		want  string
	}{
		{"the capability", facts{us: none, ourUIDMap: first}, ": it lacks CAP_SYS_ADMIN"},
		{"to be without a filter", facts{us: admin, ourUIDMap: first, ourFilter: true}, ": it is under a seccomp filter itself"},
		{"both", facts{us: none, ourUIDMap: first, ourFilter: true}, ": it lacks CAP_SYS_ADMIN, and it is under a seccomp filter itself"},
		{"the capability outside of a user namespace", facts{us: admin, ourUIDMap: inner}, ": its CAP_SYS_ADMIN counts in its user namespace only"},
		{"nothing", facts{us: admin, ourUIDMap: first}, ": a security module may refuse it"},
	} {
		if got := c.facts.hiddenFilter(12); !strings.HasPrefix(got, "process 12 is under a seccomp filter, ") || !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %q; want %q at its end", c.name, got, c.want)
		}
	}
}
