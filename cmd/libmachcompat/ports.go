// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

import (
	"math"
	"sync"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// A portName is what C holds of a task or of the host: the number of a slot in
// the upper half, and in the lower how often that slot was given away. So a name
// that was freed is recognised until its slot was used 65535 times more, and no
// name is as low as a process id.
type portName uint32

const (
	nullName portName = 0
	deadName portName = math.MaxUint32
	// selfName and hostName are known to C (see process.c) and never freed.
	selfName portName = 1<<16 | 3
	hostName portName = 2<<16 | 3

	maxSlots = math.MaxUint16 - 1 // 65535 is that of deadName
	maxRefs  = math.MaxInt32
)

func makeName(slot int, generation uint16) portName {
	return portName(slot<<16) | portName(generation)
}

func (n portName) slot() int          { return int(n >> 16) }
func (n portName) generation() uint16 { return uint16(n) }

// heldTask is a task that has a name.
type heldTask struct {
	*machcompat.Task
	identity string // see processIdentity
}

// slot is a place in the table; it is free when refs is 0.
type slot struct {
	generation uint16
	refs       int64
	task       *heldTask // nil for the host
}

// portTable is the names of this process. It is safe for concurrent use. No lock
// of it is held during a call on a task.
type portTable struct {
	mu    sync.RWMutex
	slots []slot // slots[0] is never used: no name is 0
	// free slots are used again only when there can be no new ones, and then the
	// one first that was freed first.
	free  []int
	names map[int]portName // of each process id, the last name that it got
}

// newPortTable returns a table that holds this process and the host.
func newPortTable(self *heldTask) *portTable {
	t := &portTable{slots: make([]slot, 3), names: map[int]portName{}}
	t.slots[selfName.slot()] = slot{generation: selfName.generation(), refs: 1, task: self}
	t.slots[hostName.slot()] = slot{generation: hostName.generation(), refs: 1}
	return t
}

// at returns the slot of a name, or nil if it names nothing, or nothing any more.
func (t *portTable) at(name portName) *slot {
	if i := name.slot(); i > 0 && i < len(t.slots) {
		if s := &t.slots[i]; s.refs > 0 && s.generation == name.generation() {
			return s
		}
	}
	return nil
}

// task returns the task of a name, or nil.
func (t *portTable) task(name portName) *heldTask {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if s := t.at(name); s != nil {
		return s.task
	}
	return nil
}

// ofPID returns the name and task that the process pid has, if it has.
func (t *portTable) ofPID(pid int) (portName, *heldTask) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if name, ok := t.names[pid]; ok {
		return name, t.slots[name.slot()].task
	}
	return nullName, nil
}

// add gives a name to a task.
func (t *portTable) add(task *heldTask) (portName, machcompat.KernReturn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var i int
	switch {
	case len(t.slots) <= maxSlots:
		i = len(t.slots)
		t.slots = append(t.slots, slot{})
	case len(t.free) > 0:
		i = t.free[0]
		t.free = t.free[1:]
	default:
		return nullName, machcompat.KERN_RESOURCE_SHORTAGE
	}
	s := &t.slots[i]
	s.generation++
	s.refs, s.task = 1, task
	name := makeName(i, s.generation)
	t.names[task.PID()] = name
	return name, machcompat.KERN_SUCCESS
}

// change adds delta to how often a name is held, and frees it at 0. The task that
// is returned then is to be closed.
func (t *portTable) change(name portName, delta int64) (*heldTask, machcompat.KernReturn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.at(name)
	if s == nil {
		return nil, machcompat.KERN_INVALID_NAME
	}
	fixed := name == selfName || name == hostName
	switch refs := s.refs + delta; {
	case refs < 0 && !fixed:
		return nil, machcompat.KERN_INVALID_VALUE
	case refs > maxRefs:
		return nil, machcompat.KERN_UREFS_OVERFLOW
	case fixed:
		s.refs = max(refs, 1)
	case refs > 0:
		s.refs = refs
	default:
		task := s.task
		if t.names[task.PID()] == name {
			delete(t.names, task.PID())
		}
		s.refs, s.task = 0, nil
		t.free = append(t.free, name.slot())
		return task, machcompat.KERN_SUCCESS
	}
	return nil, machcompat.KERN_SUCCESS
}

// refs returns how often a name is held.
func (t *portTable) refs(name portName) (uint32, machcompat.KernReturn) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if s := t.at(name); s != nil {
		return uint32(s.refs), machcompat.KERN_SUCCESS
	}
	return 0, machcompat.KERN_INVALID_NAME
}

// has reports whether a name names anything.
func (t *portTable) has(name portName) bool {
	_, code := t.refs(name)
	return code == machcompat.KERN_SUCCESS
}
