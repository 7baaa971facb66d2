// SPDX-License-Identifier: Apache-2.0

// Package diagnose says which rule of the kernel's refused a process to this
// program. It looks at /proc after the fact and changes nothing, so it may be
// wrong about a process that changes meanwhile.
//
// It gives the reason. What to do about it depends on who asks, and must not be
// said here.
package diagnose

import (
	"errors"
	"fmt"
	"os"

	"github.com/prometheus/procfs"
	"github.com/vmwrite/vmwrite/internal/inject"
	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/poller"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// Rule is what refused.
type Rule int

// The rules. The first are in the order in which ptrace(2) lists them under
// "Ptrace access mode checking".
const (
	OtherNamespace   Rule = iota + 1 // the process is in another user namespace
	OtherUser                        // it runs as another user
	OtherGroup                       // it runs as another group
	MoreCapabilities                 // it holds capabilities that this program does not
	Undumpable                       // prctl(2), PR_SET_DUMPABLE
	OutsideNamespace                 // it is outside of the user namespace in which the capabilities count
	OtherOwner                       // /proc/PID/mem is another user's file
	Yama                             // kernel.yama.ptrace_scope
	SecurityModule                   // some other module, or a seccomp filter: by exclusion

	BackendRefused    // a seccomp filter, or the kernel, refuses process_vm_writev to this program
	PtraceRefused     // a seccomp filter refuses ptrace to this program
	AlreadyTraced     // another program traces the process
	TracedByUs        // a thread of this program does
	OwnProcess        // the process is this program, which can't stop itself
	ThreadDoesNotStop // a thread waits in the kernel where nothing interrupts it
	StoppedByUs       // another call of this program keeps the process stopped
	HiddenFilter      // the kernel does not show this program the seccomp filter of the process

	HiddenProc       // /proc does not show the process
	ForeignProc      // /proc is of another pid namespace
	OwnPIDNamespace  // there is no such process, and this program sees one pid namespace only
	Zombie           // the process has ended
	FirstThreadEnded // its first thread has, by which process_vm_writev finds a process
	KernelThread     // it has no memory of its own
	TooManyFiles     // this program has too many open, or the system has
)

// ErrForeignProc means that pids in /proc are not the pids of system calls.
var ErrForeignProc = errors.New("/proc is mounted for another pid namespace")

// Reason is why something was refused.
type Reason struct {
	Rule Rule
	PID  int    // the process
	Text string // one sentence for a person to read

	// What can be done about it depends on this.
	Root                    bool // this program runs as root
	CapabilityInBoundingSet bool // it can be given the capability that it lacks: CAP_SYS_PTRACE, of HiddenFilter CAP_SYS_ADMIN
	YamaLevel               int  // of Yama
	OwnFilter               bool // of HiddenFilter: this program has a seccomp filter too
	InUserNamespace         bool // of HiddenFilter: its capabilities count inside a user namespace only
}

// Why says which rule refused the process pid when the kernel answered err; false
// when there is nothing to say.
func Why(pid int, err error) (Reason, bool) {
	if lack := poller.Ready(); lack != nil {
		err = lack // no file can be opened to look for the reason
	}
	r := Reason{PID: pid}
	stop, isStop := errors.AsType[*ptrace.StopError](err)
	switch {
	case errors.Is(err, ErrForeignProc):
		r.Rule, r.Text = ForeignProc, foreignProc
	case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE):
		r.Rule, r.Text = TooManyFiles, "too many open files"
	case isStop && r.whyNotStopped(stop):
	case errors.Is(err, unix.ESRCH):
		r.whyMissing()
	case errors.Is(err, unix.ENOENT) && isHidden(pid):
		r.Rule, r.Text = HiddenProc, "the process exists, but /proc does not show it: /proc is mounted with hidepid, or not at all"
	case errors.Is(err, pwrite.ErrRefused):
		r.Rule, r.Text = BackendRefused, "a seccomp filter or the kernel refuses process_vm_writev"
	case errors.Is(err, inject.ErrSeccomp) && errors.Is(err, unix.EACCES):
		r.whyHiddenFilter()
	case errors.Is(err, inject.ErrSeccomp): // the error says it all
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		r.whyRefused()
	}
	return r, r.Rule != 0
}

const foreignProc = "/proc is mounted for another pid namespace, so that its pids mean other processes"

// Exists reports whether there is a process or thread of that number, which /proc
// may not show.
func Exists(pid int) bool {
	err := unix.Kill(pid, 0)
	return err == nil || err == unix.EPERM
}

// isHidden reports whether the process, or thread, exists and /proc does not have
// it.
func isHidden(pid int) bool {
	_, err := procfs.NewProc(pid)
	return err != nil && Exists(pid)
}

// whyNotStopped finds what is the matter with a stop, rather than with every use
// of the process.
func (r *Reason) whyNotStopped(stop *ptrace.StopError) bool {
	thread, _ := procstatus.ReadThread(r.PID, stop.TID)
	switch {
	case linux.PtraceDetach(unix.Gettid(), 0) != unix.ESRCH:
		r.Rule, r.Text = PtraceRefused, "a seccomp filter refuses ptrace, so the process can't be stopped"
	case r.PID == os.Getpid():
		r.Rule, r.Text = OwnProcess, "a process can't stop itself"
	case errors.Is(stop, ptrace.ErrTimeout):
		r.Rule, r.Text = ThreadDoesNotStop, fmt.Sprintf("thread %d waits in the kernel where nothing interrupts it, as for a disk or for the child of a vfork", stop.TID)
	case errors.Is(stop, ptrace.ErrBusy):
		r.Rule, r.Text = StoppedByUs, "this program keeps the process stopped already"
	case errors.Is(stop, unix.EPERM) && thread.Tracer != 0:
		tracer := nameOf(thread.Tracer)
		r.Rule = AlreadyTraced
		if procstatus.IsOwnThread(thread.Tracer) {
			r.Rule, tracer = TracedByUs, "this program"
		}
		r.Text = fmt.Sprintf("process %d is already traced by %s, and can have only one tracer", r.PID, tracer)
	}
	return r.Rule != 0
}

// ask reads something of a process.
func ask[T any](pid int, read func(procfs.Proc) (T, error)) (answer T, err error) {
	proc, err := procfs.NewProc(pid)
	if err != nil {
		return answer, err
	}
	return read(proc)
}

// nameOf names a process as a person knows it.
func nameOf(pid int) string {
	stat, err := ask(pid, procfs.Proc.Stat)
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("%s (pid %d)", procmaps.Printable(stat.Comm), pid)
}

// whyMissing tells a zombie and a kernel thread from a process that is not.
func (r *Reason) whyMissing() {
	stat, err := ask(r.PID, procfs.Proc.Stat)
	name := procmaps.Printable(stat.Comm)
	ended := stat.State == "Z" || stat.State == "X"
	switch {
	case err != nil && inPIDNamespace():
		r.Rule, r.Text = OwnPIDNamespace, "pids here are those of this container's pid namespace, and those of another or of the host are not seen"
	case err != nil:
	case stat.Flags&procstatus.PF_KTHREAD != 0:
		r.Rule, r.Text = KernelThread, fmt.Sprintf("%d is the kernel thread %s, which has no memory of its own", r.PID, name)
	case ended && stat.NumThreads > 1:
		r.Rule, r.Text = FirstThreadEnded, fmt.Sprintf("the first thread of %d (%s) has ended, and process_vm_writev finds a process by that", r.PID, name)
	case ended:
		r.Rule, r.Text = Zombie, fmt.Sprintf("%d (%s) has ended and is a zombie, until process %d waits for it", r.PID, name, stat.PPID)
	case !Exists(r.PID):
		r.Rule, r.Text = ForeignProc, foreignProc
	}
}

// inPIDNamespace reports whether this process is in another pid namespace than
// the first, which has a number of its own (PROC_PID_INIT_INO of the kernel's
// linux/proc_ns.h).
func inPIDNamespace() bool {
	const first = 0xeffffffc
	var stat unix.Stat_t
	return unix.Stat("/proc/self/ns/pid", &stat) == nil && stat.Ino != first
}
