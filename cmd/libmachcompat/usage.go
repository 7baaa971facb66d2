// SPDX-License-Identifier: Apache-2.0

package main

// #include "bridge.h"
import "C"

import (
	"math/bits"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// tick is the nanoseconds of the unit of times in /proc/PID/stat: USER_HZ is 100 on
// every architecture that Go knows.
const tick = 1e9 / 100

// processIdentity returns what tells a process, and the program that it runs, from
// another with the same pid: when it began, and where its code, stack and heap lie. It
// is "" when that can't be read.
func processIdentity(pid int) string {
	text, stat, err := procstatus.ReadStatText(pid, pid, new([procstatus.StatSize]byte))
	if err != nil {
		return ""
	}
	return strconv.FormatUint(stat.Start, 10) + stat.Layout(text)
}

//export machcompatTaskInfo
func machcompatTaskInfo(name C.uint, wants C.int, info *C.struct_machcompat_task) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	err := fillTask(info, task.PID(), wants)
	if err == nil && wants&C.MACHCOMPAT_REGIONS != 0 {
		err = fillRegions(info, task)
	}
	// Only of a task that lives on was it this process that was read.
	if aliveErr := task.Check(0, 0); aliveErr != nil {
		return codeOf(aliveErr)
	}
	if err != nil {
		return C.int(machcompat.KERN_FAILURE)
	}
	if held, code := otherTask(name); code == 0 {
		info.suspend_count = C.int32_t(held.SuspendCount())
	}
	return 0
}

// fillTask fills in what /proc tells of a process.
func fillTask(info *C.struct_machcompat_task, pid int, wants C.int) error {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return err
	}
	if wants&C.MACHCOMPAT_THREADS != 0 {
		if err := fillThreads(info, pid); err != nil {
			return err
		}
	}
	// After the threads: the sum of all has to be the larger.
	stat, err := process.Stat()
	if err != nil {
		return err
	}
	status, err := statusOf(process)
	if err != nil {
		return err
	}
	info.virtual_size = C.uint64_t(status.VmSize)
	info.resident_size = C.uint64_t(status.VmRSS)
	info.resident_size_max = C.uint64_t(status.VmHWM)
	info.anonymous, info.shared, info.file = C.uint64_t(status.RssAnon), C.uint64_t(status.RssShmem), C.uint64_t(status.RssFile)
	info.swapped = C.uint64_t(status.VmSwap)
	info.user, info.system = C.uint64_t(stat.UTime)*tick, C.uint64_t(stat.STime)*tick
	// The kernel estimates how a time divides into the two, for each thread and for the
	// process on its own, so either sum may be the larger. It is the process's that holds.
	info.threads_user, info.threads_system = min(info.threads_user, info.user), min(info.threads_system, info.system)
	info.faults, info.pageins = C.uint64_t(stat.MinFlt+stat.MajFlt), C.uint64_t(stat.MajFlt)
	info.threads, info.priority = C.int32_t(stat.NumThreads), C.int32_t(stat.Priority)
	return nil
}

// statusOf returns the status of a process, and if its first thread has ended, which has
// no memory then, that of another thread.
func statusOf(process procfs.Proc) (procfs.ProcStatus, error) {
	status, err := process.NewStatus()
	if err != nil || status.VmSize > 0 {
		return status, err
	}
	threads, _ := procfs.AllThreads(process.PID)
	for _, thread := range threads {
		if other, err := thread.NewStatus(); err == nil && other.VmSize > 0 {
			return other, nil
		}
	}
	return status, nil
}

// fillThreads sums up what the living threads have used.
func fillThreads(info *C.struct_machcompat_task, pid int) error {
	threads, err := procfs.AllThreads(pid)
	if err != nil {
		return err
	}
	for _, thread := range threads {
		stat, err := thread.Stat()
		if err != nil {
			continue // it has ended
		}
		info.threads_user += C.uint64_t(stat.UTime) * tick
		info.threads_system += C.uint64_t(stat.STime) * tick
		if stat.State == "R" {
			info.running++
		}
		if status, err := thread.NewStatus(); err == nil {
			info.switches += C.uint64_t(status.VoluntaryCtxtSwitches + status.NonVoluntaryCtxtSwitches)
		}
	}
	return nil
}

// fillRegions counts the regions, and finds between which addresses they may lie. The
// stack is near the end of the address space, which is a power of two, or lies a page or
// two below one.
func fillRegions(info *C.struct_machcompat_task, task *machcompat.Task) error {
	end := uint64(1)
	for mapping, err := range task.Regions() {
		if err != nil {
			return err
		}
		info.regions++
		end = mapping.End
	}
	if shift := bits.Len64(end - 1); shift < 64 {
		info.limit = 1 << shift
	} else {
		info.limit = C.uint64_t(end)
	}
	text, err := os.ReadFile("/proc/sys/vm/mmap_min_addr")
	if err == nil {
		lowest, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		info.lowest = C.uint64_t(lowest)
	}
	return nil
}
