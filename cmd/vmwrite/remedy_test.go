package main

import (
	"os"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/diagnose"
	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
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
		{diagnose.HiddenFilter, diagnose.Reason{Root: true, OwnFilter: true, InUserNamespace: true}, "run vmwrite as root outside of containers"},
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
