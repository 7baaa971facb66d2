// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/prometheus/procfs"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// process is what a person knows a process by.
type process struct {
	pid     int
	name    string // of its program, whole
	comm    string // what the kernel calls it: 15 bytes at most
	command string
	uid     uint64
	memory  uint64 // that is resident, in bytes
}

func (p process) String() string { return fmt.Sprintf("%d %s", p.pid, shortCommand(p.command)) }

// shortCommand is the beginning of a command line, which may be of any length.
func shortCommand(command string) string {
	const enough = 60
	short := strings.ToValidUTF8(command[:min(len(command), enough)], "")
	if len(command) > enough {
		short += "..."
	}
	return procmaps.Printable(short)
}

// isOurs reports whether the process is one that this user would mean.
func (p process) isOurs() bool { return os.Geteuid() == 0 || p.uid == uint64(os.Geteuid()) }

// processes lists what /proc shows by pid, but this program and what has no
// memory.
func processes() ([]process, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, &fileError{fmt.Errorf("listing the processes: %w", err)}
	}
	sort.Sort(all)
	var list []process
	for _, proc := range all {
		// Unlike Comm, Stat keeps the spaces around a name.
		stat, statErr := proc.Stat()
		status, statusErr := proc.NewStatus()
		arguments, err := proc.CmdLine()
		if errors.Join(statErr, statusErr, err) != nil || proc.PID == os.Getpid() || hasNoMemory(stat) {
			continue
		}
		p := process{pid: proc.PID, name: stat.Comm, comm: stat.Comm, uid: status.UIDs[1], memory: status.VmRSS}
		if len(arguments) > 0 {
			p.name, p.command = programName(stat.Comm, arguments[0]), strings.Join(arguments, " ")
		}
		list = append(list, p)
	}
	return list, nil
}

// hasNoMemory reports whether a process is the kernel's own, or has ended. One
// whose first thread alone has ended is neither.
func hasNoMemory(stat procfs.ProcStat) bool {
	ended := stat.State == "Z" || stat.State == "X"
	return stat.Flags&procstatus.PF_KTHREAD != 0 || (ended && stat.NumThreads <= 1)
}

// programName returns the name of a program of which the kernel keeps 15 bytes.
// Wine gives the path of a Windows program as it is there, and such a program may
// name its first thread, which is what the kernel calls the process then.
func programName(comm, path string) string {
	base := path[strings.LastIndexByte(path, '/')+1:]
	windows := base[strings.LastIndexByte(base, '\\')+1:]
	switch {
	case strings.HasSuffix(strings.ToLower(windows), ".exe"):
		return windows
	case len(comm) == 15 && strings.HasPrefix(base, comm):
		return base
	}
	return comm
}

// pidOfName returns the pid of the only process of that name, or else, if asked
// to, of the only one whose name begins so.
func pidOfName(name string, orPrefix bool) (int, error) {
	list, err := processes()
	if err != nil {
		return 0, err
	}
	found := matching(list, func(p process) bool { return p.name == name || p.comm == name })
	called := "are named"
	if len(found) == 0 && orPrefix {
		found = matching(list, func(p process) bool { return strings.HasPrefix(p.name, name) })
		called = "have names that begin with"
	}
	switch len(found) {
	case 0:
		return 0, noProcess("is named", name, list, orPrefix)
	case 1:
		return found[0].pid, nil
	}
	const shown = 5
	var lines []string
	for _, p := range found[:min(len(found), shown)] {
		lines = append(lines, p.String())
	}
	if len(found) > shown {
		lines = append(lines, fmt.Sprintf("and %d more, which vmwrite ps lists", len(found)-shown))
	}
	return 0, usagef("%d processes %s %q; choose one with -p: %s", len(found), called, name, strings.Join(lines, "; "))
}

func matching(list []process, match func(process) bool) (found []process) {
	for _, p := range list {
		if match(p) {
			found = append(found, p)
		}
	}
	return found
}

// listed is what noProcess says of a process that vmwrite ps was to list.
const listed = "has a name that contains"

// noProcess is that no process is as called by a name, and offers the nearest.
func noProcess(as, name string, list []process, orPrefix bool) error {
	var names []string
	for _, p := range list {
		if p.isOurs() {
			names = append(names, p.name)
		}
	}
	if len(list) == 0 {
		own := ownProcess(os.Getpid())
		own.Err = errors.New("no process but vmwrite itself is seen here")
		return own
	}
	e := &codedError{
		message: fmt.Sprintf("no process %s %q", as, name) + didYouMean(name[strings.LastIndexByte(name, '/')+1:], names, ""),
		mach:    &machcompat.Error{Op: "task_for_pid", Code: machcompat.KERN_FAILURE, Err: unix.ESRCH, Hint: "vmwrite ps lists the processes"},
	}
	begin := matching(list, func(p process) bool { return strings.HasPrefix(p.name, name) })
	switch {
	case isPID(name):
		e.mach.Hint = "-p " + name + " names a process by its pid"
	case len(begin) == 1 && !orPrefix:
		e.mach.Hint = "with --prefix the beginning of a name is enough"
	case as == listed:
		e.mach.Hint = ""
	}
	return e
}
