// SPDX-License-Identifier: Apache-2.0

package machcompat

import "math"

// VMAddress is Mach's vm_address_t: a machine word.
type VMAddress uintptr

// MachVMAddress is Mach's mach_vm_address_t: 64 bits on every machine.
type MachVMAddress uint64

// VMWrite is Mach's vm_write(task, address, data, data_count): [Task.Write] in
// its shape. It returns KERN_SUCCESS or one of the codes of [Task.Write];
// KERN_INVALID_ARGUMENT also for a nil task, and for more than 2^32-1 bytes,
// which Mach's data_count can't hold.
func VMWrite(task *Task, address VMAddress, data []byte) KernReturn {
	return MachVMWrite(task, MachVMAddress(address), data)
}

// MachVMWrite is Mach's mach_vm_write: [VMWrite] with an address of 64 bits on
// every machine, and with the same codes.
func MachVMWrite(task *Task, address MachVMAddress, data []byte) KernReturn {
	if uint64(len(data)) > math.MaxUint32 {
		return KERN_INVALID_ARGUMENT
	}
	return CodeOf(task.Write(uint64(address), data))
}

// VMRead is Mach's vm_read: [Task.Read] in its shape. It returns
// KERN_INVALID_ARGUMENT also for a nil task and for more than 2^32-1 bytes, and
// no data unless the code is KERN_SUCCESS.
func VMRead(task *Task, address VMAddress, size uint64) ([]byte, KernReturn) {
	return MachVMRead(task, MachVMAddress(address), size)
}

// MachVMRead is Mach's mach_vm_read: [VMRead] with an address of 64 bits on every
// machine.
func MachVMRead(task *Task, address MachVMAddress, size uint64) ([]byte, KernReturn) {
	if size > math.MaxUint32 {
		return nil, KERN_INVALID_ARGUMENT
	}
	data, err := task.Read(uint64(address), size)
	return data, CodeOf(err)
}

// VMReadOverwrite is Mach's vm_read_overwrite: [Task.ReadOverwrite] in its shape.
// It returns how many bytes were read: len(data), or 0 unless the code is
// KERN_SUCCESS.
func VMReadOverwrite(task *Task, address VMAddress, data []byte) (uint64, KernReturn) {
	return MachVMReadOverwrite(task, MachVMAddress(address), data)
}

// MachVMReadOverwrite is Mach's mach_vm_read_overwrite: [VMReadOverwrite] with an
// address of 64 bits on every machine.
func MachVMReadOverwrite(task *Task, address MachVMAddress, data []byte) (uint64, KernReturn) {
	if err := task.ReadOverwrite(uint64(address), data); err != nil {
		return 0, CodeOf(err)
	}
	return uint64(len(data)), KERN_SUCCESS
}

// VMCopy is Mach's vm_copy: [Task.Copy] in its shape.
func VMCopy(task *Task, source VMAddress, size uint64, destination VMAddress) KernReturn {
	return MachVMCopy(task, MachVMAddress(source), size, MachVMAddress(destination))
}

// MachVMCopy is Mach's mach_vm_copy: [VMCopy] with addresses of 64 bits on every
// machine.
func MachVMCopy(task *Task, source MachVMAddress, size uint64, destination MachVMAddress) KernReturn {
	return CodeOf(task.Copy(uint64(source), size, uint64(destination)))
}

// VMProtect is Mach's vm_protect: [Task.Protect] in its shape.
func VMProtect(task *Task, address VMAddress, size uint64, setMaximum bool, prot VMProt) KernReturn {
	return MachVMProtect(task, MachVMAddress(address), size, setMaximum, prot)
}

// MachVMProtect is Mach's mach_vm_protect: [VMProtect] with an address of 64 bits
// on every machine.
func MachVMProtect(task *Task, address MachVMAddress, size uint64, setMaximum bool, prot VMProt) KernReturn {
	return CodeOf(task.Protect(uint64(address), size, setMaximum, prot))
}

// VMAllocate is Mach's vm_allocate: [Task.Allocate] in its shape. The address is
// a hint, or with VM_FLAGS_FIXED a requirement. After KERN_SUCCESS it is where
// the memory is; otherwise it is left alone.
func VMAllocate(task *Task, address *VMAddress, size uint64, flags int) KernReturn {
	if address == nil {
		return KERN_INVALID_ARGUMENT
	}
	wide := MachVMAddress(*address)
	code := MachVMAllocate(task, &wide, size, flags)
	if code == KERN_SUCCESS {
		*address = VMAddress(wide)
	}
	return code
}

// MachVMAllocate is Mach's mach_vm_allocate: [VMAllocate] with an address of 64
// bits on every machine.
func MachVMAllocate(task *Task, address *MachVMAddress, size uint64, flags int) KernReturn {
	if address == nil {
		return KERN_INVALID_ARGUMENT
	}
	got, err := task.Allocate(uint64(*address), size, flags)
	if err == nil {
		*address = MachVMAddress(got)
	}
	return CodeOf(err)
}

// VMDeallocate is Mach's vm_deallocate: [Task.Deallocate] in its shape.
func VMDeallocate(task *Task, address VMAddress, size uint64) KernReturn {
	return MachVMDeallocate(task, MachVMAddress(address), size)
}

// MachVMDeallocate is Mach's mach_vm_deallocate: [VMDeallocate] with an address
// of 64 bits on every machine.
func MachVMDeallocate(task *Task, address MachVMAddress, size uint64) KernReturn {
	return CodeOf(task.Deallocate(uint64(address), size))
}

// MachVMRegion is Mach's mach_vm_region with VM_REGION_BASIC_INFO_64, and
// vm_region and vm_region_64 with it: [Task.Region] in its shape. The address is
// moved to the start of the region, and size is set, only with KERN_SUCCESS.
func MachVMRegion(task *Task, address *MachVMAddress, size *uint64) (Region, KernReturn) {
	if address == nil || size == nil {
		return Region{}, KERN_INVALID_ARGUMENT
	}
	region, err := task.Region(uint64(*address))
	if err != nil {
		return Region{}, CodeOf(err)
	}
	*address, *size = MachVMAddress(region.Start), region.Size
	return region, KERN_SUCCESS
}

// TaskSuspend is Mach's task_suspend: [Task.Suspend] in its shape.
func TaskSuspend(task *Task) KernReturn {
	return CodeOf(task.Suspend())
}

// TaskResume is Mach's task_resume: [Task.Resume] in its shape.
func TaskResume(task *Task) KernReturn {
	return CodeOf(task.Resume())
}

// TaskTerminate is Mach's task_terminate: [Task.Terminate] in its shape.
func TaskTerminate(task *Task) KernReturn {
	return CodeOf(task.Terminate())
}
