// SPDX-License-Identifier: Apache-2.0

package main

import "C"

import "github.com/vmwrite/vmwrite/pkg/machcompat"

// From mach/port.h.
const (
	rightSend     = 0
	rightSendOnce = 2
	rightNumber   = 6
)

// spaceCode says whether a task's names can be changed: only this process's can.
func spaceCode(space C.uint) machcompat.KernReturn {
	if portName(space) == selfName {
		return machcompat.KERN_SUCCESS
	}
	if task, isThread := ports.task(portName(space)); task != nil || isThread {
		return machcompat.KERN_INVALID_TASK
	}
	return machcompat.MACH_SEND_INVALID_DEST
}

func isNullOrDead(name C.uint) bool {
	return portName(name) == nullName || portName(name) == deadName
}

// changeRefs changes how often a name is held. A task that is no longer named is resumed,
// and one that nothing holds any more is closed, after the calls on it that are under way.
func changeRefs(name C.uint, delta int64) C.int {
	dropped, code := ports.change(portName(name), delta)
	switch {
	case dropped.whole:
		dropped.task.Close()
	case dropped.task != nil:
		for dropped.task.Resume() == nil {
		}
	}
	return C.int(code)
}

//export machcompatPortDeallocate
func machcompatPortDeallocate(space, name C.uint) C.int {
	if code := spaceCode(space); code != machcompat.KERN_SUCCESS {
		return C.int(code)
	}
	if isNullOrDead(name) {
		return C.int(machcompat.KERN_SUCCESS)
	}
	return changeRefs(name, -1)
}

//export machcompatPortModRefs
func machcompatPortModRefs(space, name, right C.uint, delta C.int) C.int {
	switch code := spaceCode(space); {
	case code != machcompat.KERN_SUCCESS:
		return C.int(code)
	case right >= rightNumber:
		return C.int(machcompat.KERN_INVALID_VALUE)
	case isNullOrDead(name) && (right == rightSend || right == rightSendOnce):
		return C.int(machcompat.KERN_SUCCESS)
	case !ports.has(portName(name)):
		return C.int(machcompat.KERN_INVALID_NAME)
	case right != rightSend:
		return C.int(machcompat.KERN_INVALID_RIGHT)
	}
	return changeRefs(name, int64(delta))
}

//export machcompatPortGetRefs
func machcompatPortGetRefs(space, name, right C.uint, refs *C.uint) C.int {
	code := spaceCode(space)
	var held uint32
	switch {
	case code != machcompat.KERN_SUCCESS:
	case right >= rightNumber:
		code = machcompat.KERN_INVALID_VALUE
	case isNullOrDead(name) && (right == rightSend || right == rightSendOnce):
	default:
		held, code = ports.refs(portName(name))
	}
	if code == machcompat.KERN_SUCCESS {
		if right != rightSend {
			held = 0
		}
		*refs = C.uint(held)
	}
	return C.int(code)
}

//export machcompatHasName
func machcompatHasName(name C.uint) C.int {
	if ports.has(portName(name)) {
		return 1
	}
	return 0
}
