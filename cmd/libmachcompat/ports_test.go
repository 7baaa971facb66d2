// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

import (
	"testing"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

func newTable() *portTable { return newPortTable(&heldTask{}) }

func (t *portTable) taskOf(name portName) *heldTask {
	task, _ := t.task(name)
	return task
}

func newHeldTask() *heldTask { return &heldTask{Task: &machcompat.Task{}} }

func TestANameThatWasFreedNamesNothing(t *testing.T) {
	table, task := newTable(), newHeldTask()
	name, code := table.add(task)
	if code != machcompat.KERN_SUCCESS || table.taskOf(name) != task {
		t.Fatalf("add = %#x, %v", name, code)
	}
	if name < 1<<16 {
		t.Errorf("the name %#x could be a process id", name)
	}
	if freed, code := table.change(name, -1); freed != (dropped{task, true}) || code != machcompat.KERN_SUCCESS {
		t.Errorf("change(-1) = %v, %v; want the task, to be closed", freed, code)
	}
	if table.taskOf(name) != nil || table.has(name) {
		t.Error("it still names the task")
	}
	if _, code := table.change(name, 1); code != machcompat.KERN_INVALID_NAME {
		t.Errorf("change(+1) = %v", code)
	}
}

func TestRefusedChangesOfReferencesChangeNothing(t *testing.T) {
	table := newTable()
	name, _ := table.add(newHeldTask())
	table.change(name, 9)
	if _, code := table.change(name, -11); code != machcompat.KERN_INVALID_VALUE {
		t.Errorf("change(-11) = %v", code)
	}
	if _, code := table.change(name, maxRefs); code != machcompat.KERN_UREFS_OVERFLOW {
		t.Errorf("change(max) = %v", code)
	}
	if refs, _ := table.refs(name); refs != 10 {
		t.Errorf("it is held %d times; want 10", refs)
	}
}

func TestThisProcessAndTheHostKeepTheirNames(t *testing.T) {
	table := newTable()
	for _, name := range []portName{selfName, hostName} {
		for _, delta := range []int64{-1, 5, -1000} {
			if freed, code := table.change(name, delta); freed != (dropped{}) || code != machcompat.KERN_SUCCESS {
				t.Errorf("change(%#x, %d) = %v, %v", name, delta, freed, code)
			}
		}
		if refs, code := table.refs(name); refs != 1 || code != machcompat.KERN_SUCCESS {
			t.Errorf("%#x is held %d times, %v", name, refs, code)
		}
	}
	if table.taskOf(hostName) != nil {
		t.Error("the host is a task")
	}
}

func TestNamesRunOutAndComeBackChanged(t *testing.T) {
	table := newTable()
	seen := map[portName]bool{selfName: true, hostName: true, nullName: true, deadName: true}
	var names []portName
	for {
		name, code := table.add(newHeldTask())
		if code == machcompat.KERN_RESOURCE_SHORTAGE {
			break
		}
		if seen[name] {
			t.Fatalf("%#x was given twice", name)
		}
		seen[name] = true
		names = append(names, name)
	}
	if len(names) != maxSlots-2 {
		t.Errorf("%d names; want %d", len(names), maxSlots-2)
	}
	table.change(names[7], -1)
	table.change(names[3], -1)
	for _, old := range []portName{names[7], names[3]} {
		name, _ := table.add(newHeldTask())
		if name.slot() != old.slot() || seen[name] {
			t.Errorf("after %#x was freed the name is %#x; want its slot with another generation", old, name)
		}
	}
	if table.taskOf(names[3]) != nil {
		t.Error("the old name names the new task")
	}
}

func TestNoNumberOutsideTheTableIsAName(t *testing.T) {
	table := newTable()
	name, _ := table.add(newHeldTask())
	for _, forged := range []portName{0, 1, 0xffff, 0x10000, name + 1, name - 1, name + 1<<16, name ^ 1<<31, deadName} {
		if table.has(forged) || table.taskOf(forged) != nil {
			t.Errorf("%#x names something", forged)
		}
	}
}

// A thread's name keeps its task, which is closed with the last name of either.
func TestNamesOfThreads(t *testing.T) {
	table, task := newTable(), newHeldTask()
	name, _ := table.add(task)
	id := machcompat.ThreadID{TID: 5, Start: 7}
	thread, code := table.addThread(task, id)
	if again, _ := table.addThread(task, id); code != machcompat.KERN_SUCCESS || again != thread || thread == name {
		t.Fatalf("the names of one thread are %#x and %#x, %v; its task is %#x", thread, again, code, name)
	}
	if other, _ := table.addThread(task, machcompat.ThreadID{TID: 5, Start: 8}); other == thread {
		t.Errorf("two threads have the name %#x", other)
	} else if freed, _ := table.change(other, -1); freed != (dropped{}) {
		t.Errorf("with a thread's name %v is let go", freed)
	}
	if of, found := table.thread(thread); of != task || found != id {
		t.Errorf("%#x is %v of %v", thread, found, of)
	}
	if held, isThread := table.task(thread); held != nil || !isThread {
		t.Errorf("a thread's name is that of the task %v", held)
	}
	if of, _ := table.thread(name); of != nil {
		t.Error("a task's name is that of a thread")
	}
	if freed, _ := table.change(name, -1); freed != (dropped{task: task}) {
		t.Errorf("with the task's name %v is let go", freed)
	}
	if table.ofPID(task.PID()) != task {
		t.Error("the task is let go")
	}
	name, code = table.again(task)
	if code != machcompat.KERN_SUCCESS || table.taskOf(name) != task {
		t.Errorf("a new name of the task is %#x, %v", name, code)
	}
	table.change(name, -1)
	if freed, _ := table.change(thread, -2); freed != (dropped{task, true}) {
		t.Errorf("with the last name %v is let go", freed)
	}
	if _, code := table.again(task); code != machcompat.KERN_INVALID_NAME || table.ofPID(task.PID()) != nil {
		t.Errorf("the task is held on: %v", code)
	}
	if _, code := table.addThread(task, id); code != machcompat.MACH_SEND_INVALID_DEST {
		t.Errorf("a thread of a task that was let go: %v", code)
	}
}
