// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/diagnose"
	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// Every rule, and what to do about it.
func TestRemedies(t *testing.T) {
	const setcap, container, root = "sudo setcap", "docker run --user 0 --cap-add=SYS_PTRACE", "you are root without CAP_SYS_PTRACE"
	const showAll = "docker run --user 0 --cap-add=SYS_PTRACE --cap-add=SYS_ADMIN --security-opt seccomp=unconfined --pid=container:NAME"
	able := diagnose.Reason{CapabilityInBoundingSet: true}
	yama := func(level int) diagnose.Reason {
		return diagnose.Reason{CapabilityInBoundingSet: true, YamaLevel: level}
	}
	for _, c := range []struct {
		rule   diagnose.Rule
		reason diagnose.Reason
		want   string // "" for nothing
	}{
		{diagnose.OtherNamespace, diagnose.Reason{PID: 12}, "nsenter --user --target 12"},
		{diagnose.OtherUser, able, setcap},
		{diagnose.OtherUser, diagnose.Reason{}, container},
		{diagnose.OtherUser, diagnose.Reason{Root: true}, container},
		{diagnose.OtherUser, diagnose.Reason{Root: true, CapabilityInBoundingSet: true}, root},
		{diagnose.OtherGroup, able, setcap},
		{diagnose.MoreCapabilities, able, setcap},
		{diagnose.Undumpable, able, setcap},
		{diagnose.OutsideNamespace, able, "run it there"},
		{diagnose.OtherOwner, able, "--backend be auto or process_vm"},
		{diagnose.Yama, yama(1), setcap},
		{diagnose.Yama, yama(1), "sudo sysctl kernel.yama.ptrace_scope=0"},
		{diagnose.Yama, yama(2), setcap},
		{diagnose.Yama, yama(3), ""},
		{diagnose.SecurityModule, able, "ausearch"},
		{diagnose.BackendRefused, able, "--backend be auto or procmem"},
		{diagnose.PtraceRefused, able, "--stop never"},
		{diagnose.AlreadyTraced, able, "--stop never"}, // a write
		{diagnose.AlreadyTraced, able, "detach"},       // protect and --unprotect
		{diagnose.TracedByUs, able, ""},
		{diagnose.OwnProcess, diagnose.Reason{PID: 12}, "12 is the pid of vmwrite itself"},
		{diagnose.OwnProcess, able, "kubectl debug --target="},
		{diagnose.HiddenFilter, diagnose.Reason{Root: true}, showAll},                                                             // root of a container
		{diagnose.HiddenFilter, diagnose.Reason{Root: true, CapabilityInBoundingSet: true, OwnFilter: true}, showAll},             // with the capability
		{diagnose.HiddenFilter, able, "run it as root"},                                                                           // a user, in no container
		{diagnose.HiddenFilter, diagnose.Reason{Root: true, CapabilityInBoundingSet: true}, "you are root without CAP_SYS_ADMIN"}, // which was dropped
		{diagnose.HiddenFilter, diagnose.Reason{Root: true, OwnFilter: true, InUserNamespace: true}, "run vmwrite as root on the host"},
		{diagnose.ThreadDoesNotStop, able, "--stop never"},
		{diagnose.StoppedByUs, able, ""},
		{diagnose.HiddenProc, able, "as root"},
		{diagnose.ForeignProc, able, "mount a /proc of this one"},
		{diagnose.OwnPIDNamespace, able, "--pid=container:NAME"},
		{diagnose.Zombie, able, ""},
		{diagnose.FirstThreadEnded, able, "--backend be auto or procmem"},
		{diagnose.KernelThread, able, ""},
		{diagnose.TooManyFiles, able, "ulimit -n"},
	} {
		c.reason.Rule = c.rule
		if got := remedy(c.reason); !strings.Contains(got, c.want) || (c.want == "" && got != "") {
			t.Errorf("the remedy for rule %d (%+v) is %q; want %q in it", c.rule, c.reason, got, c.want)
		}
	}
}

func TestHintIsTheReasonAndTheRemedy(t *testing.T) {
	err := &ptrace.StopError{TID: os.Getppid(), Err: ptrace.ErrTimeout}
	reason, ok := diagnose.Why(os.Getppid(), err)
	if !ok {
		t.Fatal("no reason")
	}
	for _, c := range []struct {
		name, hint string
		err        error
		want       string
	}{
		{"a reason", reason.Text, err, reason.Text + "; " + remedy(reason)},
		{"a reason that is another by now", "it was stopped", err, "it was stopped"},
		{"a hint that is no rule's", "press Enter", unix.EIO, "press Enter"},
		{"no hint", "", err, ""},
	} {
		if got := hintOf(&machcompat.Error{PID: os.Getppid(), Err: c.err, Hint: c.hint}); got != c.want {
			t.Errorf("%s: %q; want %q", c.name, got, c.want)
		}
	}
}

// What to do about memory that may not be accessed, beside what the scripts try.
func TestProtectionHints(t *testing.T) {
	shared := procmaps.Mapping{Start: 0x1000, End: 0x3000, Perms: procmaps.Read, Shared: true, Inode: 7, Path: "/tmp/\x1b[31mred"}
	vvar := procmaps.Mapping{Start: 0x1000, End: 0x3000, Perms: procmaps.Read, Path: "[vvar_vclock]"}
	private := procmaps.Mapping{Start: 0x1000, End: 0x3000, Perms: procmaps.Execute}
	for _, c := range []struct {
		name, op string
		mapping  *procmaps.Mapping
		err      error
		want     string // "" for nothing
	}{
		{"a name that acts on a terminal", "vm_write", &shared, unix.EFAULT, `change /tmp/\x1b[31mred itself`},
		{"the same, for a copy", "vm_copy", &shared, unix.EFAULT, `change /tmp/\x1b[31mred itself`},
		{"the same, when its protection is to change", "vm_protect", &shared, errors.New("it may be r-x at most"), `not opened /tmp/\x1b[31mred for writing`},
		{"shared memory that a security module guards", "vm_protect", &shared, unix.EACCES, ""},
		{"sealed memory", "vm_protect", &private, unix.EPERM, "sealed (mseal)"},
		{"the kernel's own memory", "vm_write", &vvar, unix.EFAULT, "the kernel's own memory"},
		{"a read that goes on behind the mapping", "vm_read", &private, unix.EFAULT, "vmwrite protect -p 12 0x2000 4096 r-x has"},
		{"what was unmapped since", "vm_write", nil, unix.EFAULT, ""},
	} {
		got := hintOf(&machcompat.Error{Op: c.op, PID: 12, Address: 0x2000, Size: 0x8000, Fault: 0x2000, Code: machcompat.KERN_PROTECTION_FAILURE, Mapping: c.mapping, Err: c.err})
		if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s: %q; want %q in it", c.name, got, c.want)
		}
	}
}
