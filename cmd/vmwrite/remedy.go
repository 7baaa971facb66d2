package main

import (
	"errors"
	"fmt"

	"github.com/vmwrite/vmwrite/internal/diagnose"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// hintOf is what an error's second line says: the reason that the library found
// and, for a reader of this command, what to do about it.
func hintOf(e *machcompat.Error) string {
	// The process may have changed since; then the library's word stands.
	reason, _ := diagnose.Why(e.PID, e.Err)
	if todo := remedy(reason); todo != "" && reason.Text == e.Hint {
		return e.Hint + "; " + todo
	}
	return e.Hint
}

// remedy says what to do about a reason in the words of this command; "" when
// there is nothing to be done.
func remedy(r diagnose.Reason) string {
	switch r.Rule {
	case diagnose.OtherNamespace:
		return fmt.Sprintf("run there (nsenter --user --target %d), or as root outside of it", r.PID)
	case diagnose.OtherUser, diagnose.OtherGroup, diagnose.MoreCapabilities, diagnose.Undumpable:
		return addCapability(r)
	case diagnose.OutsideNamespace:
		return "run it there"
	case diagnose.OtherOwner:
		return "let --backend be auto or process_vm"
	case diagnose.Yama:
		switch r.YamaLevel {
		case 1:
			return addCapability(r) + "; or for all: sudo sysctl kernel.yama.ptrace_scope=0"
		case 2:
			return addCapability(r)
		}
	case diagnose.SecurityModule:
		return "its log (journalctl -k, ausearch) says more"
	case diagnose.BackendRefused, diagnose.FirstThreadEnded:
		return "let --backend be auto or procmem"
	case diagnose.PtraceRefused, diagnose.ThreadDoesNotStop:
		return "if you have stopped the process yourself, write without the stop (--stop never)"
	case diagnose.AlreadyTraced:
		return "a write needs no stop while that tracer keeps the process stopped (--stop never); for anything else, do it with the tracer, or detach it first"
	case diagnose.OwnProcess:
		return fmt.Sprintf("%d is the pid of vmwrite itself here; for a process of another container start it with docker run --pid=container:NAME, in Kubernetes with kubectl debug --target=CONTAINER, and for one of the host with docker run --pid=host", r.PID)
	case diagnose.HiddenFilter:
		return showFilter(r)
	case diagnose.HiddenProc:
		return "run as its user or as root"
	case diagnose.ForeignProc:
		return "run in the pid namespace of the mounted /proc, or mount a /proc of this one"
	case diagnose.OwnPIDNamespace:
		return "start vmwrite with docker run --pid=container:NAME or --pid=host"
	case diagnose.TooManyFiles:
		return "close some, or raise the limit (ulimit -n)"
	}
	return ""
}

// addCapability is what to do where CAP_SYS_PTRACE is missing.
func addCapability(r diagnose.Reason) string {
	switch {
	case !r.CapabilityInBoundingSet:
		return "this container lacks CAP_SYS_PTRACE: start it with docker run --user 0 --cap-add=SYS_PTRACE, or in Kubernetes with kubectl debug --profile=sysadmin or securityContext.capabilities.add: [SYS_PTRACE]"
	case r.Root:
		return "you are root without CAP_SYS_PTRACE: keep that capability"
	}
	return "run it as root (sudo, or docker run --user 0), or grant it once: sudo setcap cap_sys_ptrace+ep \"$(command -v vmwrite)\""
}

// showFilter is what to do where the kernel does not show a seccomp filter.
func showFilter(r diagnose.Reason) string {
	const outside = "run vmwrite as root outside of containers, where the process has another pid"
	switch {
	case r.InUserNamespace:
		return outside
	case r.OwnFilter, !r.CapabilityInBoundingSet:
		return "start vmwrite in a container of its own with docker run --user 0 --cap-add=SYS_PTRACE --cap-add=SYS_ADMIN --security-opt seccomp=unconfined --pid=container:NAME, or in Kubernetes with kubectl debug --profile=sysadmin; or " + outside
	case r.Root:
		return "you are root without CAP_SYS_ADMIN: keep that capability"
	}
	return "run it as root (sudo, or docker run --user 0)"
}

// ownProcess is the error for a pid that is that of vmwrite itself, as pid 1 is in a
// container of its own.
func ownProcess(pid int) error {
	return &machcompat.Error{
		Op: "task_for_pid", PID: pid, Code: machcompat.KERN_FAILURE, Err: errors.New("that is vmwrite itself"),
		Hint: remedy(diagnose.Reason{Rule: diagnose.OwnProcess, PID: pid}),
	}
}
