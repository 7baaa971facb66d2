// SPDX-License-Identifier: Apache-2.0

package main

// #include "bridge.h"
import "C"

import (
	"debug/elf"
	"sync"
	"time"
	"unsafe"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// taskWithThreads returns what holds the threads of a task that C named.
func taskWithThreads(name C.uint) (*heldTask, *machcompat.Task, C.int) {
	task, code := taskOf(name)
	if code != 0 {
		return nil, nil, code
	}
	held, _ := ports.task(portName(name))
	if held == nil { // it was let go meanwhile
		return nil, nil, C.int(machcompat.MACH_SEND_INVALID_DEST)
	}
	return held, task, 0
}

// threadOf returns the thread of a name that C passed, and its task.
func threadOf(name C.uint) (*machcompat.Task, machcompat.ThreadID, C.int) {
	held, thread := ports.thread(portName(name))
	switch {
	case held == nil && ports.has(portName(name)):
		return nil, thread, C.int(machcompat.KERN_INVALID_ARGUMENT)
	case held == nil:
		return nil, thread, C.int(machcompat.MACH_SEND_INVALID_DEST)
	case held.Task == nil: // this process
		task, err := ownTask()
		return task, thread, codeOf(err)
	}
	return held.Task, thread, 0
}

// machcompatTaskThreads names the threads of a task in memory that is the caller's from
// then on.
//
//export machcompatTaskThreads
func machcompatTaskThreads(name C.uint, list *C.uint64_t, count *C.uint) C.int {
	held, task, code := taskWithThreads(name)
	if code != 0 {
		return code
	}
	threads, err := task.Threads()
	if err != nil {
		return codeOf(err)
	}
	const entry = unsafe.Sizeof(portName(0))
	size := uintptr(len(threads)) * entry
	array, err := unix.MmapPtr(-1, 0, nil, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return C.int(machcompat.KERN_RESOURCE_SHORTAGE)
	}
	names := unsafe.Slice((*portName)(array), len(threads))
	for i, thread := range threads {
		var code machcompat.KernReturn
		if names[i], code = ports.addThread(held, thread); code != machcompat.KERN_SUCCESS {
			for _, name := range names[:i] {
				changeRefs(C.uint(name), -1)
			}
			unix.MunmapPtr(array, size)
			return C.int(code)
		}
	}
	*list, *count = C.uint64_t(uintptr(array)), C.uint(len(threads))
	return 0
}

// selves are the threads of this process that asked for their own names. Each name is held
// here once, as a pthread of macOS holds it, so it stays the same as long as the thread
// lives: programs give back what mach_thread_self returned and go on to compare it with the
// names of task_threads.
var selves = selfNames{names: map[machcompat.ThreadID]portName{}}

type selfNames struct {
	mu    sync.Mutex
	names map[machcompat.ThreadID]portName
	most  int // how many there are to be before those that have ended are let go
}

// keep holds the name of a thread of this process, if it is not held yet.
func (s *selfNames) keep(self *heldTask, task *machcompat.Task, thread machcompat.ThreadID) machcompat.KernReturn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.names[thread]; ok {
		return machcompat.KERN_SUCCESS
	}
	if len(s.names) >= s.most {
		for thread, name := range s.names {
			if now, err := task.Thread(thread.TID); err != nil || now != thread {
				changeRefs(C.uint(name), -1)
				delete(s.names, thread)
			}
		}
		s.most = max(64, 2*len(s.names))
	}
	name, code := ports.addThread(self, thread)
	if code == machcompat.KERN_SUCCESS {
		s.names[thread] = name
	}
	return code
}

// machcompatThreadSelf holds the name of the calling thread once more; it is 0 where there
// can be none.
//
//export machcompatThreadSelf
func machcompatThreadSelf() C.uint {
	task, err := ownTask()
	if err != nil {
		return 0
	}
	thread, err := task.Thread(unix.Gettid()) // C called this function on its own thread
	if err != nil {
		return 0
	}
	self, _ := ports.task(selfName)
	if code := selves.keep(self, task, thread); code != machcompat.KERN_SUCCESS {
		return 0
	}
	name, code := ports.addThread(self, thread)
	if code != machcompat.KERN_SUCCESS {
		return 0
	}
	return C.uint(name)
}

//export machcompatThreadSuspend
func machcompatThreadSuspend(name C.uint) C.int {
	task, thread, code := threadOf(name)
	if code != 0 {
		return code
	}
	return codeOf(task.SuspendThread(thread))
}

//export machcompatThreadResume
func machcompatThreadResume(name C.uint) C.int {
	task, thread, code := threadOf(name)
	if code != 0 {
		return code
	}
	return codeOf(task.ResumeThread(thread))
}

// machcompatGetState fills in the general registers by their DWARF numbers.
//
//export machcompatGetState
func machcompatGetState(name C.uint, state *C.struct_machcompat_state) C.int {
	task, thread, code := threadOf(name)
	if code != 0 {
		return code
	}
	read, err := task.ThreadState(thread)
	if err != nil {
		return codeOf(err)
	}
	// What C knows of a state does not tell that a system call is made again.
	read = read.AtSystemCall()
	state.machine = C.int(read.Machine)
	state.pc, state.flags = C.uint64_t(read.PC), C.uint64_t(read.Flags)
	for i, value := range read.Numbered {
		state.numbered[i] = C.uint64_t(value)
	}
	for i, value := range read.Selectors {
		state.selectors[i] = C.uint64_t(value)
	}
	return 0
}

//export machcompatSetState
func machcompatSetState(name C.uint, state *C.struct_machcompat_state) C.int {
	task, thread, code := threadOf(name)
	if code != 0 {
		return code
	}
	set := machcompat.ThreadState{Machine: elf.Machine(state.machine), PC: uint64(state.pc), Flags: uint64(state.flags)}
	for _, value := range state.numbered[:state.count] {
		set.Numbered = append(set.Numbered, uint64(value))
	}
	return codeOf(task.SetThreadState(thread, set))
}

//export machcompatThreadInfo
func machcompatThreadInfo(name C.uint, info *C.struct_machcompat_thread) C.int {
	task, thread, code := threadOf(name)
	if code != 0 {
		return code
	}
	found, err := task.ThreadInfo(thread)
	if err != nil {
		return codeOf(err)
	}
	info.id = C.uint64_t(thread.TID)
	info.user, info.system = C.uint64_t(found.User/time.Nanosecond), C.uint64_t(found.System/time.Nanosecond)
	info.usage = C.int32_t(found.Usage * 1000) // TH_USAGE_SCALE
	info.state, info.suspend_count = C.char(found.State), C.int32_t(found.Suspended)
	info.policy, info.nice = C.int32_t(found.Policy), C.int32_t(found.Nice)
	for i := range min(len(found.Name), len(info.name)-1) {
		info.name[i] = C.char(found.Name[i])
	}
	return 0
}
