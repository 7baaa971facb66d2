// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

import (
	"math"
	"sync"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// A portName is what C holds of a task, of a thread or of the host: the number of a slot in
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

// heldTask is a task that has a name, or one of whose threads has.
type heldTask struct {
	*machcompat.Task
	identity string // see processIdentity

	// What follows belongs to the table.
	name    portName // of the task itself; nullName when it has none any more
	threads map[machcompat.ThreadID]portName
}

// slot is a place in the table; it is free when refs is 0.
type slot struct {
	generation uint16
	refs       int64
	task       *heldTask           // nil for the host
	thread     machcompat.ThreadID // of the task; zero for the task itself
}

func (s *slot) isTask() bool   { return s.task != nil && s.thread == machcompat.ThreadID{} }
func (s *slot) isThread() bool { return s.thread != machcompat.ThreadID{} }

// portTable is the names of this process. It is safe for concurrent use. No lock
// of it is held during a call on a task.
type portTable struct {
	mu    sync.RWMutex
	slots []slot // slots[0] is never used: no name is 0
	// free slots are used again only when there can be no new ones, and then the
	// one first that was freed first.
	free  []int
	tasks map[int]*heldTask // of each process id, the one that was held last
}

// newPortTable returns a table that holds this process and the host.
func newPortTable(self *heldTask) *portTable {
	t := &portTable{slots: make([]slot, 3), tasks: map[int]*heldTask{}}
	self.name = selfName
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

// task returns the task of a name, or nil. isThread is true when the name is that of a
// thread.
func (t *portTable) task(name portName) (task *heldTask, isThread bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	switch s := t.at(name); {
	case s == nil:
		return nil, false
	case s.isTask():
		return s.task, false
	default:
		return nil, s.isThread()
	}
}

// thread returns the thread of a name, and its task; nil if the name is not that of a
// thread.
func (t *portTable) thread(name portName) (*heldTask, machcompat.ThreadID) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if s := t.at(name); s != nil && s.isThread() {
		return s.task, s.thread
	}
	return nil, machcompat.ThreadID{}
}

// ofPID returns the task that is held of the process pid, by its own name or by that of a
// thread; nil if there is none.
func (t *portTable) ofPID(pid int) *heldTask {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.tasks[pid]
}

// add gives a name to a task that is not in the table yet.
func (t *portTable) add(task *heldTask) (portName, machcompat.KernReturn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.addTask(task)
}

func (t *portTable) addTask(task *heldTask) (portName, machcompat.KernReturn) {
	name, code := t.newName(slot{task: task})
	if code == machcompat.KERN_SUCCESS {
		task.name = name
		t.tasks[task.PID()] = task
	}
	return name, code
}

// again holds a task of the table once more. KERN_INVALID_NAME: it is there no longer.
func (t *portTable) again(task *heldTask) (portName, machcompat.KernReturn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case task.name == nullName && len(task.threads) == 0:
		return nullName, machcompat.KERN_INVALID_NAME
	case task.name == nullName:
		return t.addTask(task)
	}
	return task.name, t.addRef(t.at(task.name))
}

// addThread holds a thread of a task once more.
func (t *portTable) addThread(task *heldTask, thread machcompat.ThreadID) (portName, machcompat.KernReturn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if name, ok := task.threads[thread]; ok {
		return name, t.addRef(t.at(name))
	}
	if task.name == nullName && len(task.threads) == 0 { // it was let go meanwhile
		return nullName, machcompat.MACH_SEND_INVALID_DEST
	}
	name, code := t.newName(slot{task: task, thread: thread})
	if code == machcompat.KERN_SUCCESS {
		if task.threads == nil {
			task.threads = map[machcompat.ThreadID]portName{}
		}
		task.threads[thread] = name
	}
	return name, code
}

func (t *portTable) addRef(s *slot) machcompat.KernReturn {
	if s.refs == maxRefs {
		return machcompat.KERN_UREFS_OVERFLOW
	}
	s.refs++
	return machcompat.KERN_SUCCESS
}

// newName fills a free slot.
func (t *portTable) newName(with slot) (portName, machcompat.KernReturn) {
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
	with.generation, with.refs = s.generation+1, 1
	*s = with
	return makeName(i, s.generation), machcompat.KERN_SUCCESS
}

// dropped is what is no longer named: a task, which is to be closed when none of its
// threads is named either, and to be resumed otherwise.
type dropped struct {
	task  *heldTask
	whole bool // no thread of it is named either
}

// change adds delta to how often a name is held, and frees it at 0.
func (t *portTable) change(name portName, delta int64) (dropped, machcompat.KernReturn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.at(name)
	if s == nil {
		return dropped{}, machcompat.KERN_INVALID_NAME
	}
	fixed := name == selfName || name == hostName
	switch refs := s.refs + delta; {
	case refs < 0 && !fixed:
		return dropped{}, machcompat.KERN_INVALID_VALUE
	case refs > maxRefs:
		return dropped{}, machcompat.KERN_UREFS_OVERFLOW
	case fixed:
		s.refs = max(refs, 1)
	case refs > 0:
		s.refs = refs
	default:
		return t.release(name, s), machcompat.KERN_SUCCESS
	}
	return dropped{}, machcompat.KERN_SUCCESS
}

// release frees the slot of a name.
func (t *portTable) release(name portName, s *slot) (d dropped) {
	task := s.task
	if s.isThread() {
		delete(task.threads, s.thread)
	} else {
		task.name = nullName
		d.task = task
	}
	if task.name == nullName && len(task.threads) == 0 {
		d = dropped{task, true}
		if t.tasks[task.PID()] == task {
			delete(t.tasks, task.PID())
		}
	}
	s.refs, s.task, s.thread = 0, nil, machcompat.ThreadID{}
	t.free = append(t.free, name.slot())
	return d
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
