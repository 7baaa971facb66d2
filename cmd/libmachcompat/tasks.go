// SPDX-License-Identifier: Apache-2.0

package main

import "C"

import (
	"errors"
	"sync"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

var ports = newPortTable(&heldTask{})

// codeOf is the code that C gets for an error. A name that another thread freed
// during the call was stale, only a little later.
func codeOf(err error) C.int {
	if errors.Is(err, machcompat.ErrClosed) {
		return C.int(machcompat.MACH_SEND_INVALID_DEST)
	}
	return C.int(machcompat.CodeOf(err))
}

// own is this process as a task. It is opened when first needed, because a
// program that only looks at others may run where it can't be.
var own struct {
	sync.Mutex
	task *machcompat.Task
}

func ownTask() (*machcompat.Task, error) {
	own.Lock()
	defer own.Unlock()
	if own.task == nil {
		task, err := machcompat.TaskForPID(ownPID)
		if err != nil {
			return nil, err
		}
		own.task = task
	}
	return own.task, nil
}

// taskOf returns the task of a name that C passed, and KERN_SUCCESS.
func taskOf(name C.uint) (*machcompat.Task, C.int) {
	if portName(name) == selfName {
		task, err := ownTask()
		return task, codeOf(err)
	}
	held, code := otherTask(name)
	if code != 0 {
		return nil, code
	}
	return held.Task, C.int(machcompat.KERN_SUCCESS)
}

// opening makes task_for_pid give one name to one process.
var opening sync.Mutex

// hold returns the name of a process, held once more. A task is opened each time,
// because that asks the kernel for the permission as it is now.
func hold(pid int) (portName, C.int) {
	if pid == ownPID {
		_, code := ports.change(selfName, 1)
		return selfName, C.int(code)
	}
	opening.Lock()
	defer opening.Unlock()
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		return nullName, codeOf(err)
	}
	identity := processIdentity(pid)
	if old := ports.ofPID(pid); old != nil && identity != "" && old.identity == identity && old.Check(0, 0) == nil {
		if name, code := ports.again(old); code != machcompat.KERN_INVALID_NAME {
			task.Close()
			return name, C.int(code)
		}
	}
	name, code := ports.add(&heldTask{Task: task, identity: identity})
	if code != machcompat.KERN_SUCCESS {
		task.Close()
	}
	return name, C.int(code)
}

//export machcompatTaskForPID
func machcompatTaskForPID(target C.uint, pid C.int, name *C.uint) C.int {
	if _, code := taskOf(target); code != 0 {
		return code
	}
	held, code := hold(int(pid))
	if code == 0 {
		*name = C.uint(held)
	}
	return code
}

//export machcompatPIDForTask
func machcompatPIDForTask(name C.uint, pid *C.int) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	if task.Check(0, 0) != nil {
		return C.int(machcompat.KERN_FAILURE)
	}
	*pid = C.int(task.PID())
	return 0
}

//export machcompatSuspend
func machcompatSuspend(name C.uint) C.int {
	held, code := otherTask(name)
	if code != 0 {
		return code
	}
	return codeOf(held.Suspend())
}

//export machcompatResume
func machcompatResume(name C.uint) C.int {
	held, code := otherTask(name)
	if code != 0 {
		return code
	}
	return codeOf(held.Resume())
}

// otherTask returns the task of a name that is not this process.
func otherTask(name C.uint) (*heldTask, C.int) {
	if portName(name) == selfName {
		return nil, C.int(machcompat.KERN_NOT_SUPPORTED)
	}
	held, isThread := ports.task(portName(name))
	switch {
	case isThread:
		return nil, C.int(machcompat.KERN_INVALID_ARGUMENT)
	case held == nil:
		return nil, C.int(machcompat.MACH_SEND_INVALID_DEST)
	}
	return held, 0
}

//export machcompatTerminate
func machcompatTerminate(name C.uint) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	return codeOf(task.Terminate())
}
