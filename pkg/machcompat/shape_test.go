// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"errors"
	"math"
	"path/filepath"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// Each call in Mach's shape, on a task: the code, and what it did.
func TestCallsInMachsShape(t *testing.T) {
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	base := target.Address("layout rw-:1,r--:1,gap:2")
	at, page := machcompat.VMAddress(base), machcompat.VMAddress(pageSize)
	want := func(name string, code, expected machcompat.KernReturn) {
		t.Helper()
		if code != expected {
			t.Errorf("%s = %s; want %s", name, code.String(), expected.String())
		}
	}
	want("VMWrite", machcompat.VMWrite(task, at, []byte("shape")), machcompat.KERN_SUCCESS)
	data, code := machcompat.VMRead(task, at, 5)
	want("VMRead", code, machcompat.KERN_SUCCESS)
	if string(data) != "shape" {
		t.Errorf("VMRead read %q", data)
	}
	data, code = machcompat.VMRead(task, at, math.MaxUint32+1)
	want("VMRead of 2^32 bytes", code, machcompat.KERN_INVALID_ARGUMENT)
	if data != nil {
		t.Errorf("VMRead returned %d bytes and an error", len(data))
	}
	n, code := machcompat.VMReadOverwrite(task, at+2*page-2, make([]byte, 4))
	want("VMReadOverwrite over a gap", code, machcompat.KERN_INVALID_ADDRESS)
	if n != 0 {
		t.Errorf("VMReadOverwrite read %d bytes of a range with a gap", n)
	}
	want("VMCopy", machcompat.VMCopy(task, at, 5, at+100), machcompat.KERN_SUCCESS)
	if got := target.Bytes(base+100, 5); string(got) != "shape" {
		t.Errorf("VMCopy copied %q", got)
	}
	want("VMProtect", machcompat.VMProtect(task, at+page, 1, false, machcompat.VM_PROT_DEFAULT), machcompat.KERN_SUCCESS)
	room := at + 2*page
	want("VMAllocate", machcompat.VMAllocate(task, &room, 2*pageSize, machcompat.VM_FLAGS_FIXED), machcompat.KERN_SUCCESS)
	kept := room
	want("VMAllocate again", machcompat.VMAllocate(task, &room, 2*pageSize, machcompat.VM_FLAGS_FIXED), machcompat.KERN_NO_SPACE)
	if room != kept || permsAt(t, task, base, 4) != "rw-,rw-,rw-,rw-" {
		t.Errorf("the address is %#x, the pages are %s", room, permsAt(t, task, base, 4))
	}
	want("VMDeallocate", machcompat.VMDeallocate(task, room, 2*pageSize), machcompat.KERN_SUCCESS)
	want("TaskSuspend", machcompat.TaskSuspend(task), machcompat.KERN_SUCCESS)
	want("TaskResume", machcompat.TaskResume(task), machcompat.KERN_SUCCESS)
	want("TaskResume again", machcompat.TaskResume(task), machcompat.KERN_FAILURE)
	if machcompat.HostPageSize() < 4096 {
		t.Errorf("HostPageSize() = %d", machcompat.HostPageSize())
	}
}

// Neither no task, nor no place for a result, nor a closed task may crash.
func TestCallsOnNothing(t *testing.T) {
	closed := taskFor(t, testtarget.Start(t).PID)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, task := range map[string]*machcompat.Task{"nil": nil, "closed": closed} {
		var address machcompat.VMAddress
		var wide machcompat.MachVMAddress
		var size uint64
		_, read := machcompat.VMRead(task, 0, 1)
		_, readOverwrite := machcompat.VMReadOverwrite(task, 0, make([]byte, 1))
		_, region := machcompat.MachVMRegion(task, &wide, &size)
		for call, code := range map[string]machcompat.KernReturn{
			"VMRead": read, "VMReadOverwrite": readOverwrite, "MachVMRegion": region,
			"VMWrite":      machcompat.VMWrite(task, 0, []byte{1}),
			"VMCopy":       machcompat.VMCopy(task, 0, 1, 0),
			"VMProtect":    machcompat.VMProtect(task, 0, 1, false, 0),
			"VMAllocate":   machcompat.VMAllocate(task, &address, 1, machcompat.VM_FLAGS_ANYWHERE),
			"VMDeallocate": machcompat.VMDeallocate(task, 0, 1),
			"TaskSuspend":  machcompat.TaskSuspend(task),
			"TaskResume":   machcompat.TaskResume(task),
		} {
			if code != machcompat.KERN_INVALID_ARGUMENT {
				t.Errorf("%s of a task that is %s = %s; want KERN_INVALID_ARGUMENT", call, name, code.String())
			}
		}
	}
	open := taskFor(t, testtarget.Start(t).PID)
	_, region := machcompat.MachVMRegion(open, nil, nil)
	for call, code := range map[string]machcompat.KernReturn{
		"MachVMRegion": region, "VMAllocate": machcompat.VMAllocate(open, nil, 1, 0), "MachVMAllocate": machcompat.MachVMAllocate(open, nil, 1, 0),
	} {
		if code != machcompat.KERN_INVALID_ARGUMENT {
			t.Errorf("%s without a place for its result = %s", call, code.String())
		}
	}
	if err := closed.WithWritable(0x1000, 1, func() error { return nil }); !errors.Is(err, machcompat.ErrClosed) {
		t.Errorf("WithWritable of a closed task = %v", err)
	}
}

// A task that is this process makes the system calls itself, without a stop.
func TestProtectAndAllocateInThisProcess(t *testing.T) {
	task := taskFor(t, selfPID)
	at, err := task.Allocate(0, 2*pageSize, machcompat.VM_FLAGS_ANYWHERE)
	if err != nil {
		t.Fatal(err)
	}
	if err := task.Protect(at, pageSize, false, machcompat.VM_PROT_READ); err != nil {
		t.Error(err)
	}
	if got := permsAt(t, task, at, 2); got != "r--,rw-" {
		t.Errorf("the pages are %s", got)
	}
	wantError(t, task.Write(at, []byte{1}), machcompat.KERN_PROTECTION_FAILURE)
	if err := task.WithWritable(at, 1, func() error { return task.Write(at, []byte{1}) }); err != nil {
		t.Error(err)
	}
	if err := task.Deallocate(at, 2*pageSize); err != nil {
		t.Error(err)
	}
	wantError(t, task.Write(at, []byte{1}), machcompat.KERN_INVALID_ADDRESS)
}

// The map allows the copy, and a page of the destination cannot be faulted in: the error
// speaks of the whole copy, and of what arrived.
func TestCopyThatEndsHalfWay(t *testing.T) {
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	source := target.Address("layout rw-:2")
	short := target.Address("file %s rw- 2 %d private", filepath.Join(t.TempDir(), "short"), pageSize)
	e := wantError(t, task.Copy(source, pageSize+900, short), machcompat.KERN_MEMORY_ERROR)
	if e.Op != "vm_copy" || e.Size != pageSize+900 || e.Written != pageSize || !e.Partial || e.Fault != short+pageSize {
		t.Errorf("the error is %+v; want a page of %d bytes and the fault at %#x", e, pageSize+900, short+pageSize)
	}
	e = wantError(t, task.Copy(short+pageSize-96, 200, source), machcompat.KERN_MEMORY_ERROR)
	if e.Op != "vm_copy" || e.Written != 0 || e.Partial {
		t.Errorf("the error is %+v; want nothing written", e)
	}
}
