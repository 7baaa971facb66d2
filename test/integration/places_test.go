// SPDX-License-Identifier: Apache-2.0

package integration_test

import (
	"os"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// writeCase is a write into a target in a container.
type writeCase struct {
	name      string
	target    []string // options of docker run for the target's container
	from      place
	arguments []string // more arguments of vmwrite write
	want      ending
	// sameUser is set where only that the users are the same makes the kernel
	// grant it, which is not enough under Yama.
	sameUser bool
	// quick is set for the few that show the whole shape: a quick run has no others.
	quick bool
}

func TestWrites(t *testing.T) {
	testtarget.Need(t, "docker")
	t.Parallel()
	for _, group := range []struct {
		from  string
		cases []writeCase
	}{
		{"the target's container", fromTheTargetsContainer},
		{"a sidecar in its pid namespace", fromASidecar},
		{"the host's pid namespace", fromTheHostsPIDNamespace},
		{"under a seccomp filter", underASeccompFilter},
		{"with a proc of another pid namespace", withAnotherProc},
		{"the image of the Dockerfile", fromThePrebuiltImage},
	} {
		for _, c := range group.cases {
			if !c.quick && !testtarget.Full() {
				continue
			}
			t.Run(group.from+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				target := startTarget(t, c.target...)
				expected := c.want
				if level := yamaLevel(t); c.sameUser && level != "0" {
					expected = refused("kernel.yama.ptrace_scope=" + level)
				}
				assertWrite(t, target.Target, c.from(t, target), expected, c.arguments...)
			})
		}
	}
	if testtarget.Full() {
		t.Run("outside of containers", assertWritesOutside)
	}
}

// yamaLevel returns what Yama forbids on this kernel: "0" is nothing.
func yamaLevel(t *testing.T) string {
	t.Helper()
	level, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if os.IsNotExist(err) {
		return "0"
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(level))
}

// Docker gives root in a container some capabilities, but not CAP_SYS_PTRACE, and
// a plain user none. Without it, its own seccomp profile lets them trace, but
// refuses process_vm_writev before Docker 23.
const (
	trace       = "--cap-add=SYS_PTRACE"
	plainUser   = "--user=1000:1000"
	anotherUser = "--user=1001:1001"
	root        = "--user=0:0"
	// AppArmor's profile for containers, where there is one, keeps a container's
	// processes from tracing those outside.
	unconfined = "--security-opt=apparmor=unconfined"
)

// rootLacksTrace is the refusal of a root without CAP_SYS_PTRACE.
func rootLacksTrace(why string) ending {
	return refused(why, "this container lacks CAP_SYS_PTRACE", "--cap-add=SYS_PTRACE")
}

// userLacksTrace is the refusal of a plain user, to whom --cap-add alone would
// give nothing.
func userLacksTrace(why string) ending {
	return refused(why, "this container lacks CAP_SYS_PTRACE", "--user 0", "--cap-add=SYS_PTRACE")
}

// bare are options for a plain user without any right.
var bare = []string{"--read-only", "--security-opt=no-new-privileges", "--cap-drop=ALL", plainUser}

var fromTheTargetsContainer = []writeCase{
	{name: "root writes into root's process", quick: true,
		from: sameContainer(), want: granted(machcompat.Auto), sameUser: true},
	{name: "a plain user writes into its own process",
		target: []string{plainUser}, from: sameContainer(), want: granted(machcompat.Auto), sameUser: true},
	{name: "a plain user can't write into root's process",
		from: sameContainer(plainUser), want: userLacksTrace("process 1 runs as uid 0 and you are uid 1000")},
	{name: "root alone can't write into a user's process",
		target: []string{plainUser}, from: sameContainer(root), want: rootLacksTrace("process 1 runs as uid 1000 and you are uid 0")},
	{name: "CAP_SYS_PTRACE writes into a user's process",
		target: []string{plainUser, trace}, from: sameContainer(root), want: granted(machcompat.ProcessVM)},
	{name: "a user without any right, read-only root",
		target: bare, from: sameContainer(), want: granted(machcompat.Auto), sameUser: true},
	{name: "a user without any right, no filter",
		target: append(bare, "--security-opt=seccomp=unconfined"), from: sameContainer(), want: granted(machcompat.ProcessVM), sameUser: true},
	{name: "a user without any right, by procmem",
		target: bare, from: sameContainer(), arguments: []string{"--backend=procmem"}, want: granted(machcompat.ProcMem), sameUser: true},
	{name: "a user without any right, stop and verify",
		target: bare, from: sameContainer(), arguments: []string{"--stop=always", "--verify"}, want: granted(machcompat.Auto), sameUser: true},
}

var fromASidecar = []writeCase{
	{name: "CAP_SYS_PTRACE writes into root's process",
		from: sidecar(trace), want: granted(machcompat.ProcessVM)},
	{name: "CAP_SYS_PTRACE writes into a user's process", quick: true,
		target: []string{plainUser}, from: sidecar(trace), want: granted(machcompat.ProcessVM)},
	{name: "CAP_SYS_PTRACE stops a user's process",
		target: []string{plainUser}, from: sidecar(trace), arguments: []string{"--backend=procmem"}, want: granted(machcompat.ProcMem)},
	{name: "root writes into root's process",
		from: sidecar(), want: granted(machcompat.Auto), sameUser: true},
	{name: "a plain user writes into its own process",
		target: []string{plainUser}, from: sidecar(plainUser), want: granted(machcompat.Auto), sameUser: true},
	{name: "root alone can't write into a user's process", quick: true,
		target: []string{plainUser}, from: sidecar(), want: rootLacksTrace("process 1 runs as uid 1000 and you are uid 0")},
	{name: "a plain user can't write into root's process",
		from: sidecar(plainUser), want: userLacksTrace("process 1 runs as uid 0 and you are uid 1000")},
	{name: "a plain user can't write into another's",
		target: []string{anotherUser}, from: sidecar(plainUser), want: userLacksTrace("process 1 runs as uid 1001 and you are uid 1000")},
	{name: "root with fewer capabilities can't write",
		from: sidecar("--cap-drop=ALL"), want: rootLacksTrace("process 1 holds capabilities that you do not")},
	{name: "--cap-add alone gives a plain user nothing",
		target: []string{anotherUser}, from: sidecar(plainUser, trace), want: refused("process 1 runs as uid 1001 and you are uid 1000", "--user 0")},
	{name: "in a pid namespace of its own there is no target",
		from: elsewhere(trace), want: refused("no such process", "pid namespace", "--pid=container:")},
}

var fromTheHostsPIDNamespace = []writeCase{
	{name: "CAP_SYS_PTRACE writes into a user's process",
		target: []string{plainUser}, from: hostSidecar(trace, unconfined), want: granted(machcompat.ProcessVM)},
	{name: "root alone can't write into a user's process",
		target: []string{plainUser}, from: hostSidecar(unconfined), want: rootLacksTrace("runs as uid 1000 and you are uid 0")},
	{name: "a plain user writes into its own process",
		target: []string{plainUser}, from: hostSidecar(plainUser, unconfined), want: granted(machcompat.Auto), sameUser: true},
}

// assertWritesOutside writes from containers into processes that are in none.
func assertWritesOutside(t *testing.T) {
	testtarget.Need(t, "root", "local engine")
	for _, c := range []struct {
		name    string
		options []string // of docker run
		want    ending
	}{
		{"CAP_SYS_PTRACE writes into root's process", []string{trace}, granted(machcompat.ProcessVM)},
		{"root alone has fewer capabilities and can't", nil, rootLacksTrace("holds capabilities that you do not")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			outside := testtarget.Start(t)
			line := container(append(c.options, unconfined, "--pid=host"), programs(t), "/vmwrite")
			assertWrite(t, outside, writer{line, outside.PID}, c.want)
		})
	}
}
