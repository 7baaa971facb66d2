// SPDX-License-Identifier: Apache-2.0

package main

// #include "bridge.h"
import "C"

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/prometheus/procfs"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// The functions of this file return the negative of an errno when they fail.

// errnoOf returns that of an error of /proc, in macOS's terms.
func errnoOf(err error) C.int {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ESRCH):
		return -C.int(unix.ESRCH)
	case errors.Is(err, os.ErrPermission):
		return -C.int(unix.EPERM)
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return -C.int(errno)
	}
	return -C.int(unix.EIO)
}

// From sys/proc_info.h.
const (
	allPIDs  = 1
	pgrpOnly = 2
	ttyOnly  = 3
	uidOnly  = 4
	ruidOnly = 5
	ppidOnly = 6
)

// machcompatPIDs puts the ids of the processes of a kind into memory for room of them, and
// returns how many there are.
//
//export machcompatPIDs
func machcompatPIDs(kind, value C.uint32_t, out *C.int32_t, room C.size_t) C.long {
	processes, err := procfs.AllProcs()
	if err != nil {
		return C.long(errnoOf(err))
	}
	slices.SortFunc(processes, func(a, b procfs.Proc) int { return a.PID - b.PID })
	pids, found := unsafe.Slice(out, room), 0
	for _, process := range processes {
		if !isOfKind(process, uint32(kind), uint32(value)) {
			continue
		}
		if found < len(pids) {
			pids[found] = C.int32_t(process.PID)
		}
		found++
	}
	return C.long(found)
}

func isOfKind(process procfs.Proc, kind, value uint32) bool {
	switch kind {
	case allPIDs:
		return true
	case pgrpOnly, ttyOnly, ppidOnly:
		stat, err := process.Stat()
		return err == nil && (kind == pgrpOnly && stat.PGRP == int(int32(value)) ||
			kind == ttyOnly && stat.TTY != 0 && uint32(stat.TTY) == value ||
			kind == ppidOnly && stat.PPID == int(int32(value)))
	case uidOnly, ruidOnly:
		status, err := process.NewStatus()
		return err == nil && (kind == uidOnly && uint32(status.UIDs[1]) == value || kind == ruidOnly && uint32(status.UIDs[0]) == value)
	}
	return false
}

// bootTime is when the machine booted, in seconds. It is asked once: a process has begun
// at one moment, whoever sets the clock.
var bootTime = sync.OnceValue(func() uint64 {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0
	}
	stat, err := fs.Stat()
	if err != nil {
		return 0
	}
	return stat.BootTime
})

//export machcompatProcess
func machcompatProcess(pid C.int, out *C.struct_machcompat_process) C.int {
	process, err := procfs.NewProc(int(pid))
	if err != nil {
		return errnoOf(err)
	}
	stat, err := process.Stat()
	if err != nil {
		return errnoOf(err)
	}
	status, err := process.NewStatus()
	if err != nil {
		return errnoOf(err)
	}
	if status.TGID != int(pid) {
		return -C.int(unix.ESRCH) // a thread, which /proc has an unlisted folder of, too
	}
	const second = 1e9 / tick
	*out = C.struct_machcompat_process{
		pid: pid, ppid: C.int32_t(stat.PPID), pgid: C.int32_t(stat.PGRP), nice: C.int32_t(stat.Nice),
		tty: -1, tpgid: C.int32_t(stat.TPGID),
		ruid: C.uint32_t(status.UIDs[0]), uid: C.uint32_t(status.UIDs[1]), svuid: C.uint32_t(status.UIDs[2]),
		rgid: C.uint32_t(status.GIDs[0]), gid: C.uint32_t(status.GIDs[1]), svgid: C.uint32_t(status.GIDs[2]),
		state:              stateOf(stat.State),
		system:             flag(stat.Flags&procstatus.PF_KTHREAD != 0),
		traced:             flag(procstatus.TracerOf(int(pid)) != 0),
		wide:               flag(stat.Flags&procstatus.PF_KTHREAD == 0 && !isNarrow(int(pid))),
		session_leader:     flag(stat.Session == int(pid)),
		start_seconds:      C.uint64_t(bootTime() + stat.Starttime/second),
		start_microseconds: C.uint64_t(stat.Starttime % second * (tick / 1000)),
	}
	if stat.TTY != 0 {
		out.tty = C.int32_t(stat.TTY)
	}
	copyText(out.comm[:], stat.Comm)
	copyText(out.name[:], nameOf(int(pid), stat.Comm))
	return 0
}

// stateOf returns a state of sys/proc.h for a letter of /proc/PID/stat.
func stateOf(letter string) C.uint32_t {
	switch letter {
	case "R":
		return 2
	case "T", "t":
		return 4
	case "Z", "X", "x":
		return 5
	}
	return 3
}

func flag(is bool) C.uint32_t {
	if is {
		return 1
	}
	return 0
}

// copyText copies as much of a text as there is room for, and a NUL.
func copyText(out []C.char, text string) {
	n := min(len(out)-1, len(text))
	for i := range n {
		out[i] = C.char(text[i])
	}
	out[n] = 0
}

// nameOf returns the name of a process: comm holds no more than 15 bytes of that of its
// program, or what the process calls itself.
func nameOf(pid int, comm string) string {
	const most = 15
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if name := strings.TrimSuffix(filepath.Base(path), " (deleted)"); err == nil && name[:min(len(name), most)] == comm {
		return name
	}
	return comm
}

// isNarrow reports whether a process runs a 32-bit program, by the pairs of words that the
// kernel gives to a program (proc_pid_auxv(5)). Those of another user's are not shown.
func isNarrow(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	return err == nil && len(text) >= 8 && binary.NativeEndian.Uint32(text) != 0 && binary.NativeEndian.Uint32(text[4:]) != 0
}

// machcompatProcessUsage is machcompatTaskInfo for a process that is no task.
//
//export machcompatProcessUsage
func machcompatProcessUsage(pid C.int, out *C.struct_machcompat_task) C.int {
	if err := fillTask(out, int(pid), C.MACHCOMPAT_THREADS); err != nil {
		return errnoOf(err)
	}
	return 0
}

// put puts a text and a NUL into memory of C, and returns its length.
func put(text string, out *C.char, size C.size_t) C.int {
	if len(text) >= int(size) {
		return -C.int(unix.ENOSPC)
	}
	copyText(unsafe.Slice(out, size), text)
	return C.int(len(text))
}

//export machcompatProcessPath
func machcompatProcessPath(pid C.int, out *C.char, size C.size_t) C.int {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return errnoOf(err)
	}
	if strings.HasSuffix(path, " (deleted)") {
		if _, err := os.Lstat(path); err != nil {
			return -C.int(unix.ENOENT)
		}
	}
	return put(path, out, size)
}

// machcompatProcessRegion tells of the region at the address or of the next above it, and
// puts the path of its file into memory of C, or nothing.
//
//export machcompatProcessRegion
func machcompatProcessRegion(pid C.int, address C.uint64_t, countPages C.int, region *C.struct_machcompat_region, file *C.struct_machcompat_file, out *C.char, size C.size_t) C.int {
	maps, err := procmaps.Open(int(pid))
	if err != nil {
		return errnoOf(err)
	}
	defer maps.Close()
	for mapping, err := range maps.Range(uint64(address), math.MaxUint64) {
		if err != nil {
			return errnoOf(err)
		}
		var pages pageCounts
		if countPages != 0 {
			pages = countPagesOf(int(pid), mapping.Start, mapping.End-mapping.Start)
		}
		fillRegion(region, regionOf(mapping), pages, countPages != 0)
		if mapping.Inode == 0 {
			return put("", out, size)
		}
		file.inode, file.device = C.uint64_t(mapping.Inode), C.uint64_t(unix.Mkdev(mapping.Dev.Major, mapping.Dev.Minor))
		return put(mapping.Path, out, size)
	}
	return -C.int(unix.EINVAL)
}

// regionOf is what is known of a mapping without a task.
func regionOf(mapping procmaps.Mapping) machcompat.Region {
	region := machcompat.Region{
		Start: mapping.Start, Size: mapping.End - mapping.Start, Offset: mapping.Offset,
		Protection: machcompat.VMProt(mapping.Perms), MaxProtection: machcompat.VM_PROT_ALL,
		Inheritance: machcompat.VM_INHERIT_COPY, Shared: mapping.Shared, Mapping: mapping,
	}
	if mapping.Shared {
		region.Inheritance = machcompat.VM_INHERIT_SHARE
	}
	if mapping.IsKernelData() {
		region.MaxProtection = machcompat.VM_PROT_NONE
	}
	return region
}

// machcompatArguments puts the program's path, the arguments and the environment of a
// process into memory of C, as much as there is room for, and tells the number of
// arguments. It returns the bytes of all. An environment that is not shown is left out.
//
//export machcompatArguments
func machcompatArguments(pid C.int, count *C.int32_t, out *C.char, room C.size_t) C.long {
	folder := fmt.Sprintf("/proc/%d/", pid)
	arguments, err := os.ReadFile(folder + "cmdline")
	if err != nil || len(arguments) == 0 { // none: it has ended, or is the kernel's
		return -C.long(unix.EINVAL)
	}
	if arguments[len(arguments)-1] != 0 { // the process has written over them
		arguments = append(arguments, 0)
	}
	path, err := os.Readlink(folder + "exe")
	if err != nil {
		return -C.long(unix.EINVAL)
	}
	environment, _ := os.ReadFile(folder + "environ")
	text := slices.Concat([]byte(path), []byte{0}, arguments, environment)
	*count = C.int32_t(bytes.Count(arguments, []byte{0}))
	copy(unsafe.Slice((*byte)(unsafe.Pointer(out)), room), text)
	return C.long(len(text))
}

//export machcompatBootTime
func machcompatBootTime() C.uint64_t { return C.uint64_t(bootTime()) }
