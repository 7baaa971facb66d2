// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vmwrite/vmwrite/internal/diagnose"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// hintOf is what an error's second line says: the reason that the library found
// and, for a reader of this command, what to do about it. It only looks, and what it
// can't find out it leaves out.
func hintOf(e *machcompat.Error) string {
	switch {
	case e.Hint != "":
		reason, _ := diagnose.Why(e.PID, e.Err)
		return withRemedy(e.Hint, reason)
	case e.Code == machcompat.KERN_PROTECTION_FAILURE && e.Mapping != nil:
		return protectionHint(e)
	case e.Code == machcompat.KERN_INVALID_ADDRESS && e.Mapping == nil:
		return gapHint(e)
	}
	return ""
}

// withRemedy adds to the library's hint what to do about the reason, if it is still that
// one: the process may have changed since.
func withRemedy(hint string, reason diagnose.Reason) string {
	if todo := remedy(reason); todo != "" && reason.Text == hint {
		return hint + "; " + todo
	}
	return hint
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
		return "this container lacks CAP_SYS_PTRACE: start it with docker run --user 0 --cap-add=SYS_PTRACE, or in Kubernetes with kubectl debug --profile=general or securityContext.capabilities.add: [SYS_PTRACE]"
	case r.Root:
		return "you are root without CAP_SYS_PTRACE: keep that capability"
	}
	return "run it as root (sudo, or docker run --user 0), or grant it once: sudo setcap cap_sys_ptrace+ep \"$(command -v vmwrite)\" (then whoever may run it can change every process)"
}

// showFilter is what to do where the kernel does not show a seccomp filter.
func showFilter(r diagnose.Reason) string {
	const onHost = "run vmwrite as root on the host, where the process may have another pid"
	switch {
	case r.InUserNamespace:
		return onHost
	case r.OwnFilter, !r.CapabilityInBoundingSet:
		return "start vmwrite in a container of its own with docker run --user 0 --cap-add=SYS_PTRACE --cap-add=SYS_ADMIN --security-opt seccomp=unconfined --pid=container:NAME, or in Kubernetes with kubectl debug --profile=sysadmin; or " + onHost
	case r.Root:
		return "you are root without CAP_SYS_ADMIN: keep that capability"
	}
	return "run it as root (sudo, or docker run --user 0)"
}

// ownProcess is the error for a pid that is that of vmwrite itself, as pid 1 is in a
// container of its own.
func ownProcess(pid int) *machcompat.Error {
	return &machcompat.Error{
		Op: "task_for_pid", PID: pid, Code: machcompat.KERN_FAILURE, Err: errors.New("that is vmwrite itself"),
		Hint: remedy(diagnose.Reason{Rule: diagnose.OwnProcess, PID: pid}),
	}
}

// protectionHint says how to get at memory that the process itself may not access.
func protectionHint(e *machcompat.Error) string {
	m := e.Mapping
	switch {
	case strings.HasPrefix(m.Path, "[vvar") || m.Path == "[vsyscall]":
		return "it is the kernel's own memory, which no process can change"
	case e.Op == "vm_copy" && m.Shared && m.Inode != 0 && m.Perms&procmaps.Write == 0:
		return sharedFileHint(m)
	case e.Op == "vm_read" || e.Op == "vm_copy":
		want := m.Perms | procmaps.Read
		if e.Op == "vm_copy" {
			want |= procmaps.Write
		}
		size := min(e.Address+e.Size, m.End) - e.Fault
		return fmt.Sprintf("vmwrite protect -p %d %#x %d %s has the process allow it; put it back to %s afterwards", e.PID, e.Fault, size, want, m.Perms)
	case e.Op == "vm_protect":
		return protectRefusedHint(e)
	case m.Shared && m.Inode != 0:
		return "--unprotect leaves a shared mapping alone: " + sharedFileHint(m)
	}
	hint := "with --unprotect, vmwrite write makes these pages writable for the moment of the write, and then puts their protection back"
	if m.Inode != 0 {
		hint += "; the process gets a copy of them for itself, and the file stays as it is"
	}
	if m.Perms == 0 {
		hint += "; but the process can't even read there, as in a guard page or in memory that is only reserved: is the address right?"
	}
	return hint
}

// protectRefusedHint says why memory can't have a protection.
func protectRefusedHint(e *machcompat.Error) string {
	_, byKernel := errors.AsType[unix.Errno](e.Err)
	switch {
	case errors.Is(e.Err, unix.EPERM):
		return "the memory is sealed (mseal), for as long as the process runs this program"
	case !byKernel && e.Mapping.Shared:
		return "the process has not opened " + procmaps.Printable(e.Mapping.Path) + " for writing: write to the file itself"
	}
	return ""
}

// sharedFileHint says what a write to a shared mapping of a file would do.
func sharedFileHint(m *procmaps.Mapping) string {
	return "writing there would change " + procmaps.Printable(m.Path) + " itself, for every process and for good; to have that, write to the file, or if the process has opened it for writing, change the protection with vmwrite protect and then write"
}

// gapHint says what is mapped nearest to an address where nothing is.
func gapHint(e *machcompat.Error) string {
	below, above, ok := neighbours(e.PID, e.Fault)
	if !ok {
		return ""
	}
	// An offset in a file is below 4 GiB, and mappings that start by chance are not.
	const near, offsets = 1 << 20, 1 << 32
	list := fmt.Sprintf("vmwrite maps -p %d", e.PID)
	if below == nil && e.Fault < offsets {
		return "that is below all that the process has mapped; if it is an offset in a program or library, add where that begins, which " + list + " shows"
	}
	var parts []string
	if e.Fault > e.Address {
		parts = append(parts, fmt.Sprintf("only the first %d of %d bytes are mapped", e.Fault-e.Address, e.Size))
	}
	if below != nil && e.Fault-below.End < near {
		ends := "right there"
		if below.End < e.Fault {
			ends = fmt.Sprintf("%#x bytes before it", e.Fault-below.End)
		}
		parts = append(parts, fmt.Sprintf("the mapping below ends %s: %s", ends, shortMapping(below)))
	}
	if above != nil && above.Start-e.Fault < near {
		parts = append(parts, fmt.Sprintf("the mapping above begins %#x bytes behind it: %s", above.Start-e.Fault, shortMapping(above)))
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing is mapped within 1 MiB of it; addresses are others in each run of a program (ASLR), and "+list+" shows those of this one")
	}
	return strings.Join(parts, "; ")
}

// neighbours returns the mappings below and above an address of a process, nil where
// there is none; false when they can't be read, or one has come to be there.
func neighbours(pid int, address uint64) (below, above *procmaps.Mapping, ok bool) {
	maps, err := procmaps.Open(pid)
	if err != nil {
		return nil, nil, false
	}
	defer maps.Close()
	for m, err := range maps.All() {
		switch {
		case err != nil || m.Contains(address):
			return nil, nil, false
		case m.Path == "[vsyscall]": // nobody's memory
		case m.Start > address:
			return below, &m, true
		default:
			below = &m
		}
	}
	return below, nil, true
}

// shortMapping is what of a mapping's line tells a person where an address belongs.
func shortMapping(m *procmaps.Mapping) string {
	return strings.TrimSpace(fmt.Sprintf("%#x-%#x %s %s", m.Start, m.End, m.PermsText(), procmaps.Printable(m.Path)))
}
