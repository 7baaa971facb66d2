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
	if task == nil || uint64(len(data)) > math.MaxUint32 {
		return KERN_INVALID_ARGUMENT
	}
	return CodeOf(task.Write(uint64(address), data))
}
