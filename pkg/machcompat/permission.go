package machcompat

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// hintFor says which rule made the kernel refuse, and what to do about it; ""
// when there is nothing to say. It reads only, and may be wrong about a process
// that changes meanwhile.
func hintFor(pid int, err error) string {
	if lack := linux.ReadyPoller(); lack != nil {
		err = lack // no file can be opened to look for the reason
	}
	switch {
	case errors.Is(err, errForeignProc):
		return hintForForeignProc
	case errors.Is(err, unix.ESRCH):
		return hintForMissing(pid)
	case errors.Is(err, unix.ENOENT) && processExists(pid):
		return "the process exists, but /proc does not show it: /proc is mounted with hidepid, or not at all; run as its user or as root"
	case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE):
		return "too many open files: close some, or raise the limit (ulimit -n)"
	case processVMRefused(err):
		return "a seccomp filter or the kernel refuses process_vm_writev; let the backend be auto or procmem"
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		return hintForRefusal(pid)
	}
	return ""
}

const hintForForeignProc = "run in the pid namespace of the mounted /proc, or mount a /proc of this one"

func processExists(pid int) bool {
	err := unix.Kill(pid, 0)
	return err == nil || err == unix.EPERM
}

// hintForMissing tells a zombie and a kernel thread from a process that is not.
func hintForMissing(pid int) string {
	status, err := procstatus.Read(pid)
	if err != nil && inPIDNamespace() {
		return "pids here are those of this container's pid namespace; to see those of another or of the host, start it with docker run --pid=container:NAME or --pid=host"
	}
	if err != nil {
		return ""
	}
	name := procmaps.Printable(status.Name)
	ended := status.State == "Z" || status.State == "X"
	switch {
	case procstatus.IsKernelThread(pid):
		return fmt.Sprintf("%d is the kernel thread %s, which has no memory of its own", pid, name)
	case ended && status.Threads > 1:
		return fmt.Sprintf("the first thread of %d (%s) has ended, and process_vm_writev finds a process by that; let the backend be auto or procmem", pid, name)
	case ended:
		return fmt.Sprintf("%d (%s) has ended and is a zombie, until process %d waits for it", pid, name, status.PPID)
	case !processExists(pid):
		return errForeignProc.Error() + ": " + hintForForeignProc
	}
	return ""
}

// inPIDNamespace reports whether this process is in another pid namespace than
// the first, which has a number of its own (PROC_PID_INIT_INO of the kernel's
// linux/proc_ns.h).
func inPIDNamespace() bool {
	const first = 0xeffffffc
	var stat unix.Stat_t
	return unix.Stat("/proc/self/ns/pid", &stat) == nil && stat.Ino != first
}

// rule is a reason for which the kernel refuses a tracer, in the order in which
// ptrace(2) lists them under "Ptrace access mode checking".
type rule func(us, target procstatus.Status, pid int) (hint string)

var rules = []rule{otherNamespace, otherUser, otherGroup, moreCapabilities, undumpable, outsideNamespace, otherOwner, yama}

func hintForRefusal(pid int) string {
	us, err := procstatus.Read(os.Getpid())
	if err != nil {
		return "/proc can't be read: " + err.Error()
	}
	target, err := procstatus.Read(pid)
	if err != nil {
		return "the process can't be looked at: " + err.Error()
	}
	for _, refuses := range rules {
		if hint := refuses(us, target, pid); hint != "" {
			return hint
		}
	}
	return "a security module (SELinux, AppArmor, Landlock) or a seccomp filter refuses it; its log (journalctl -k, ausearch) says more"
}

func mayTraceAll(status procstatus.Status) bool {
	return status.CapEff&(1<<unix.CAP_SYS_PTRACE) != 0
}

// addCapability is what to do where CAP_SYS_PTRACE is missing.
func addCapability(us procstatus.Status) string {
	if us.CapBnd&(1<<unix.CAP_SYS_PTRACE) == 0 {
		return "this container lacks CAP_SYS_PTRACE: start it with docker run --user 0 --cap-add=SYS_PTRACE, or in Kubernetes with kubectl debug --profile=sysadmin or securityContext.capabilities.add: [SYS_PTRACE]"
	}
	if us.UIDs[0] == 0 {
		return "you are root without CAP_SYS_PTRACE: keep that capability"
	}
	return "run it as root (sudo, or docker run --user 0), or grant it once: sudo setcap cap_sys_ptrace+ep \"$(command -v vmwrite)\""
}

func otherUser(us, target procstatus.Status, pid int) string {
	if mayTraceAll(us) {
		return ""
	}
	if areAll(target.UIDs, us.UIDs[1]) {
		return ""
	}
	return fmt.Sprintf("process %d runs as %s and you are %s; %s", pid, userName(target.UIDs[1]), userName(us.UIDs[1]), addCapability(us))
}

// otherGroup: the kernel compares the group ids as it does the user ids.
func otherGroup(us, target procstatus.Status, pid int) string {
	if mayTraceAll(us) || areAll(target.GIDs, us.GIDs[1]) {
		return ""
	}
	return fmt.Sprintf("process %d runs as group %d and you are group %d, which must be the same too; %s", pid, target.GIDs[1], us.GIDs[1], addCapability(us))
}

// areAll reports whether the real, effective and saved id are all the given one.
func areAll(ids [4]uint64, id uint64) bool { return ids[0] == id && ids[1] == id && ids[2] == id }

func userName(uid uint64) string {
	id := strconv.FormatUint(uid, 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username + " (uid " + id + ")"
	}
	return "uid " + id
}

func otherNamespace(_, _ procstatus.Status, pid int) string {
	ours, err := os.Readlink("/proc/self/ns/user")
	theirs, err2 := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/user")
	if err != nil || err2 != nil || ours == theirs {
		return ""
	}
	return fmt.Sprintf("process %d is in another user namespace; run there (nsenter --user --target %d), or as root outside of it", pid, pid)
}

func moreCapabilities(us, target procstatus.Status, pid int) string {
	if mayTraceAll(us) || target.CapPrm&^us.CapPrm == 0 {
		return ""
	}
	return fmt.Sprintf("process %d holds capabilities that you do not (%#x); %s", pid, target.CapPrm&^us.CapPrm, addCapability(us))
}

// undumpable: the kernel gives the files in /proc/PID of such a process to root,
// though not the directory.
func undumpable(us, target procstatus.Status, pid int) string {
	var stat unix.Stat_t
	if mayTraceAll(us) || unix.Stat("/proc/"+strconv.Itoa(pid)+"/maps", &stat) != nil || uint64(stat.Uid) == target.UIDs[1] {
		return ""
	}
	return fmt.Sprintf("process %d has made itself unreadable (prctl PR_SET_DUMPABLE), or its program file is not readable or changes its user; %s", pid, addCapability(us))
}

// outsideNamespace: capabilities count inside their user namespace. Which one the
// process is in is not to be seen from here, so this comes late.
func outsideNamespace(us, _ procstatus.Status, pid int) string {
	const first = "0 0 4294967295"
	text, err := os.ReadFile("/proc/self/uid_map")
	_, err2 := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/user")
	if err != nil || err2 == nil || !mayTraceAll(us) || strings.Join(strings.Fields(string(text)), " ") == first {
		return ""
	}
	return fmt.Sprintf("your capabilities count in your user namespace only, and process %d seems to be outside of it; run it there", pid)
}

// otherOwner: the capability to trace does not open files of other users.
func otherOwner(us, target procstatus.Status, pid int) string {
	if !mayTraceAll(us) || us.CapEff&(1<<unix.CAP_DAC_OVERRIDE) != 0 || target.UIDs[1] == us.UIDs[1] {
		return ""
	}
	return fmt.Sprintf("/proc/%d/mem is a file of %s, which takes CAP_DAC_OVERRIDE besides CAP_SYS_PTRACE; let the backend be auto or process_vm", pid, userName(target.UIDs[1]))
}

const yamaFile = "/proc/sys/kernel/yama/ptrace_scope"

func yama(us, _ procstatus.Status, pid int) string {
	text, err := os.ReadFile(yamaFile)
	if err != nil {
		return ""
	}
	return yamaHint(strings.TrimSpace(string(text)), us, pid)
}

// yamaHint explains a level of Documentation/admin-guide/LSM/Yama.rst.
func yamaHint(level string, us procstatus.Status, pid int) string {
	switch {
	case level == "3":
		return "Yama forbids it for everyone until the next boot (kernel.yama.ptrace_scope=3)"
	case mayTraceAll(us):
	case level == "2":
		return "Yama allows it only with CAP_SYS_PTRACE (kernel.yama.ptrace_scope=2); " + addCapability(us)
	case level == "1":
		return fmt.Sprintf("Yama allows it only for processes that you started (kernel.yama.ptrace_scope=1), and process %d is not; %s; or for all: sudo sysctl kernel.yama.ptrace_scope=0", pid, addCapability(us))
	}
	return ""
}

// tracerOf names the process that traces pid, "" when none does.
func tracerOf(pid int) string {
	tracer := procstatus.TracerOf(pid)
	if tracer == 0 {
		return ""
	}
	name := strconv.Itoa(tracer)
	if command, err := procstatus.Command(tracer); err == nil {
		return procmaps.Printable(command) + " (pid " + name + ")"
	}
	return "process " + name
}

// tracedByUs reports whether a thread of this program traces pid.
func tracedByUs(pid int) bool {
	tracer := procstatus.TracerOf(pid)
	if tracer == 0 {
		return false
	}
	_, err := os.Stat("/proc/self/task/" + strconv.Itoa(tracer))
	return err == nil
}
