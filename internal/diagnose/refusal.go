// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"golang.org/x/sys/unix"
)

// facts are what the kernel goes by when it lets one process trace another.
type facts struct {
	us, target procfs.ProcStatus
	// The user namespaces; that of the target is "" where it is not to be seen.
	ourNamespace, itsNamespace string
	ourUIDMap                  string // /proc/self/uid_map, with single spaces
	ourFilter                  bool   // this program is under a seccomp filter
	fileOwner                  uint64 // of the files in /proc/PID
	yama                       string // kernel.yama.ptrace_scope, "" where the kernel has none
}

// whyRefused looks for the rule that keeps this program from tracing the process.
func (r *Reason) whyRefused() {
	f, err := gather(r.PID)
	if err != nil {
		r.Rule, r.Text = HiddenProc, "the process can't be looked at: "+err.Error()
		return
	}
	r.Root, r.CapabilityInBoundingSet = f.us.UIDs[0] == 0, has(f.us.CapBnd, unix.CAP_SYS_PTRACE)
	r.YamaLevel, _ = strconv.Atoi(f.yama)
	r.Rule, r.Text = f.rule(r.PID)
}

func gather(pid int) (f facts, err error) {
	if f.us, err = ask(os.Getpid(), procfs.Proc.NewStatus); err != nil {
		return f, err
	}
	if f.target, err = ask(pid, procfs.Proc.NewStatus); err != nil {
		return f, err
	}
	// A file that can't be read is a fact too.
	directory := "/proc/" + strconv.Itoa(pid)
	f.ourNamespace, _ = os.Readlink("/proc/self/ns/user")
	f.itsNamespace, _ = os.Readlink(directory + "/ns/user")
	uidMap, _ := os.ReadFile("/proc/self/uid_map")
	f.ourUIDMap = strings.Join(strings.Fields(string(uidMap)), " ")
	ourStatus, _ := procstatus.ReadThread(os.Getpid(), os.Getpid())
	f.ourFilter = ourStatus.Seccomp != unix.SECCOMP_MODE_DISABLED
	yama, _ := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	f.yama = strings.TrimSpace(string(yama))
	f.fileOwner = f.target.UIDs[1]
	var stat unix.Stat_t
	if unix.Stat(directory+"/maps", &stat) == nil {
		f.fileOwner = uint64(stat.Uid)
	}
	return f, nil
}

// whyHiddenFilter says what this program lacks to be shown the seccomp filter of the
// process.
func (r *Reason) whyHiddenFilter() {
	f, err := gather(r.PID)
	if err != nil {
		return // the process has ended since
	}
	r.Root, r.CapabilityInBoundingSet = f.us.UIDs[0] == 0, has(f.us.CapBnd, unix.CAP_SYS_ADMIN)
	r.OwnFilter, r.InUserNamespace = f.ourFilter, f.inUserNamespace()
	r.Rule, r.Text = HiddenFilter, f.hiddenFilter(r.PID)
}

// hiddenFilter follows seccomp_get_filter of the kernel's kernel/seccomp.c: it wants
// CAP_SYS_ADMIN in the first user namespace, and no filter on whoever asks.
func (f facts) hiddenFilter(pid int) string {
	var lacks []string
	switch {
	case !has(f.us.CapEff, unix.CAP_SYS_ADMIN):
		lacks = append(lacks, "it lacks CAP_SYS_ADMIN")
	case f.inUserNamespace():
		lacks = append(lacks, "its CAP_SYS_ADMIN counts in its user namespace only")
	}
	if f.ourFilter {
		lacks = append(lacks, "it is under a seccomp filter itself")
	}
	if lacks == nil {
		lacks = append(lacks, "a security module may refuse it")
	}
	return fmt.Sprintf("process %d is under a seccomp filter, which the kernel does not show to this program: %s", pid, strings.Join(lacks, ", and "))
}

// inUserNamespace reports whether this program is in another user namespace than the
// first, as far as can be told.
func (f facts) inUserNamespace() bool {
	return f.ourUIDMap != "" && f.ourUIDMap != "0 0 4294967295"
}

// rule returns the first rule that refuses, and the reason.
func (f facts) rule(pid int) (Rule, string) {
	owner, ours := f.target.UIDs[1], f.us.UIDs[1]
	mayTraceAll := has(f.us.CapEff, unix.CAP_SYS_PTRACE)
	switch {
	case f.ourNamespace != "" && f.itsNamespace != "" && f.ourNamespace != f.itsNamespace:
		return OtherNamespace, fmt.Sprintf("process %d is in another user namespace", pid)
	case !mayTraceAll && !areAll(f.target.UIDs, ours):
		return OtherUser, fmt.Sprintf("process %d runs as %s and you are %s", pid, userName(owner), userName(ours))
	case !mayTraceAll && !areAll(f.target.GIDs, f.us.GIDs[1]):
		return OtherGroup, fmt.Sprintf("process %d runs as group %d and you are group %d, which must be the same too", pid, f.target.GIDs[1], f.us.GIDs[1])
	case !mayTraceAll && f.target.CapPrm&^f.us.CapPrm != 0:
		return MoreCapabilities, fmt.Sprintf("process %d holds capabilities that you do not (%#x)", pid, f.target.CapPrm&^f.us.CapPrm)
	case !mayTraceAll && f.fileOwner != owner:
		// The kernel gives the files in /proc/PID to root then.
		return Undumpable, fmt.Sprintf("process %d has made itself unreadable (prctl PR_SET_DUMPABLE), or its program file is not readable or changes its user", pid)
	case mayTraceAll && f.itsNamespace == "" && f.inUserNamespace():
		// Capabilities count inside their user namespace. Which one the process is
		// in is not to be seen from here.
		return OutsideNamespace, fmt.Sprintf("your capabilities count in your user namespace only, and process %d seems to be outside of it", pid)
	case mayTraceAll && !has(f.us.CapEff, unix.CAP_DAC_OVERRIDE) && owner != ours:
		return OtherOwner, fmt.Sprintf("/proc/%d/mem is a file of %s, which takes CAP_DAC_OVERRIDE besides CAP_SYS_PTRACE", pid, userName(owner))
	// The levels of Documentation/admin-guide/LSM/Yama.rst:
	case f.yama == "3":
		return Yama, "Yama forbids it for everyone until the next boot (kernel.yama.ptrace_scope=3)"
	case f.yama == "2" && !mayTraceAll:
		return Yama, "Yama allows it only with CAP_SYS_PTRACE (kernel.yama.ptrace_scope=2)"
	case f.yama == "1" && !mayTraceAll:
		return Yama, fmt.Sprintf("Yama allows it only for processes that you started (kernel.yama.ptrace_scope=1), and process %d is not", pid)
	}
	return SecurityModule, "a security module (SELinux, AppArmor, Landlock) or a seccomp filter refuses it"
}

func has(capabilities uint64, capability int) bool { return capabilities&(1<<capability) != 0 }

// areAll reports whether the real, effective and saved id are all the given one.
func areAll(ids [4]uint64, id uint64) bool { return ids[0] == id && ids[1] == id && ids[2] == id }

func userName(uid uint64) string {
	id := strconv.FormatUint(uid, 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username + " (uid " + id + ")"
	}
	return "uid " + id
}
