package integration_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// writeCase is a write into a target in a container.
type writeCase struct {
	name      string
	target    []string // options of docker create for the target's container
	from      place
	arguments []string // more arguments of vmwrite write
	want      ending
	// sameUser is set where only that the users are the same makes the kernel
	// grant it, which is not enough under Yama.
	sameUser bool
}

func runCases(t *testing.T, cases []writeCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			target := startTarget(t, c.target...)
			expected := c.want
			if level := yamaLevel(t); c.sameUser && level != "0" {
				expected = refused("kernel.yama.ptrace_scope=" + level)
			}
			assertWrite(t, target, c.from(t, target), expected, c.arguments...)
		})
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

func TestWritingFromTheTargetsContainer(t *testing.T) {
	needDocker(t)
	bare := []string{"--read-only", "--security-opt=no-new-privileges", "--cap-drop=ALL", plainUser}
	runCases(t, []writeCase{
		{name: "root writes into root's process",
			from: sameContainer(), want: granted(machcompat.Auto), sameUser: true},
		{name: "a plain user writes into its own process",
			target: []string{plainUser}, from: sameContainer(), want: granted(machcompat.Auto), sameUser: true},
		{name: "a plain user can't write into root's process",
			from: sameContainer(plainUser), want: userLacksTrace("process 1 runs as uid 0 and you are uid 1000")},
		{name: "root without CAP_SYS_PTRACE can't write into a plain user's process",
			target: []string{plainUser}, from: sameContainer(root), want: rootLacksTrace("process 1 runs as uid 1000 and you are uid 0")},
		{name: "root with CAP_SYS_PTRACE writes into a plain user's process",
			target: []string{plainUser, trace}, from: sameContainer(root), want: granted(machcompat.ProcessVM)},
		{name: "a plain user without any right writes into its own process under a read-only root",
			target: bare, from: sameContainer(), want: granted(machcompat.Auto), sameUser: true},
		{name: "a plain user without any right writes by process_vm_writev where no filter refuses it",
			target: append(bare, "--security-opt=seccomp=unconfined"), from: sameContainer(), want: granted(machcompat.ProcessVM), sameUser: true},
		{name: "a plain user without any right stops its own process and writes through /proc/PID/mem",
			target: bare, from: sameContainer(), arguments: []string{"--backend=procmem"}, want: granted(machcompat.ProcMem), sameUser: true},
		{name: "--stop always and --verify work without any right",
			target: bare, from: sameContainer(), arguments: []string{"--stop=always", "--verify"}, want: granted(machcompat.Auto), sameUser: true},
	})
}

func TestWritingFromASidecarInTheTargetsPidNamespace(t *testing.T) {
	needDocker(t)
	runCases(t, []writeCase{
		{name: "root with CAP_SYS_PTRACE writes into root's process",
			from: sidecar(trace), want: granted(machcompat.ProcessVM)},
		{name: "root with CAP_SYS_PTRACE writes into a plain user's process",
			target: []string{plainUser}, from: sidecar(trace), want: granted(machcompat.ProcessVM)},
		{name: "root with CAP_SYS_PTRACE stops a plain user's process and writes through /proc/PID/mem",
			target: []string{plainUser}, from: sidecar(trace), arguments: []string{"--backend=procmem"}, want: granted(machcompat.ProcMem)},
		{name: "root needs no capability for root's process with the same capabilities",
			from: sidecar(), want: granted(machcompat.Auto), sameUser: true},
		{name: "a plain user needs no capability for its own process",
			target: []string{plainUser}, from: sidecar(plainUser), want: granted(machcompat.Auto), sameUser: true},
		{name: "root without the capability can't write into a plain user's process",
			target: []string{plainUser}, from: sidecar(), want: rootLacksTrace("process 1 runs as uid 1000 and you are uid 0")},
		{name: "a plain user can't write into root's process",
			from: sidecar(plainUser), want: userLacksTrace("process 1 runs as uid 0 and you are uid 1000")},
		{name: "a plain user can't write into another's process",
			target: []string{anotherUser}, from: sidecar(plainUser), want: userLacksTrace("process 1 runs as uid 1001 and you are uid 1000")},
		{name: "root without capabilities can't write into a process that has some",
			from: sidecar("--cap-drop=ALL"), want: rootLacksTrace("process 1 holds capabilities that you do not")},
		{name: "--cap-add alone gives a plain user nothing",
			target: []string{anotherUser}, from: sidecar(plainUser, trace), want: refused("process 1 runs as uid 1001 and you are uid 1000", "--user 0")},
	})
}

func TestWritingFromASidecarWithAPidNamespaceOfItsOwnIsRefused(t *testing.T) {
	needDocker(t)
	runCases(t, []writeCase{
		{name: "the target's pid on the host is no process there",
			from: elsewhere(trace), want: refused("no such process", "pid namespace", "--pid=container:")},
	})
}

func TestWritingFromASidecarInTheHostsPidNamespace(t *testing.T) {
	needDocker(t)
	runCases(t, []writeCase{
		{name: "root with CAP_SYS_PTRACE writes into a plain user's process",
			target: []string{plainUser}, from: hostSidecar(trace, unconfined), want: granted(machcompat.ProcessVM)},
		{name: "root without the capability can't write into a plain user's process",
			target: []string{plainUser}, from: hostSidecar(unconfined), want: rootLacksTrace("runs as uid 1000 and you are uid 0")},
		{name: "a plain user needs no capability for its own process",
			target: []string{plainUser}, from: hostSidecar(plainUser, unconfined), want: granted(machcompat.Auto), sameUser: true},
	})
}

func TestWritingFromASidecarIntoAProcessOutsideOfContainers(t *testing.T) {
	needDocker(t)
	testtarget.NeedRoot(t)
	needEngineHere(t)
	cases := []struct {
		name    string
		options []string // of docker run
		want    ending
	}{
		{"root with CAP_SYS_PTRACE writes into root's process", []string{trace}, granted(machcompat.ProcessVM)},
		{"root without the capability can't, for that process has more capabilities", nil, rootLacksTrace("holds capabilities that you do not")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			outside := testtarget.Start(t)
			w := writer{t, ownContainer(t, append(c.options, unconfined, "--pid=host")...), outside.PID}
			assertWrite(t, outside, w, c.want)
		})
	}
}

// needEngineHere skips the test unless the engine's processes are seen here, by
// the ids that it calls them.
func needEngineHere(t *testing.T) {
	t.Helper()
	c := startTarget(t)
	if program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", c.hostPID())); program != "/target" {
		testtarget.Skip(t, "docker", fmt.Sprintf("the engine runs on another machine or in a container: %q, %v", program, err))
	}
}
