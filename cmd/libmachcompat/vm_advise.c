/* SPDX-License-Identifier: Apache-2.0 */
/* What a task tells of how its memory is used: vm_inherit, vm_behavior_set, vm_msync, vm_machine_attribute. */
#include <mach/mach.h>
#include <mach/mach_vm.h>
#include <stddef.h>

#include "_cgo_export.h"

kern_return_t mach_vm_inherit(vm_map_t task, mach_vm_address_t address, mach_vm_size_t size, vm_inherit_t inheritance)
{
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatInherit(task, address, size, inheritance);
}

kern_return_t vm_inherit(vm_map_t task, vm_address_t address, vm_size_t size, vm_inherit_t inheritance)
{
	return mach_vm_inherit(task, address, size, inheritance);
}

kern_return_t mach_vm_behavior_set(vm_map_t task, mach_vm_address_t address, mach_vm_size_t size,
	vm_behavior_t behavior)
{
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatBehavior(task, address, size, behavior);
}

kern_return_t vm_behavior_set(vm_map_t task, vm_address_t address, vm_size_t size, vm_behavior_t behavior)
{
	return mach_vm_behavior_set(task, address, size, behavior);
}

kern_return_t mach_vm_msync(vm_map_t task, mach_vm_address_t address, mach_vm_size_t size, vm_sync_t flags)
{
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatSync(task, address, size, flags);
}

kern_return_t vm_msync(vm_map_t task, vm_address_t address, vm_size_t size, vm_sync_t flags)
{
	return mach_vm_msync(task, address, size, flags);
}

kern_return_t mach_vm_machine_attribute(vm_map_t task, mach_vm_address_t address, mach_vm_size_t size,
	vm_machine_attribute_t attribute, vm_machine_attribute_val_t *value)
{
	if (value == NULL)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatAttribute(task, address, size, attribute);
}

kern_return_t vm_machine_attribute(vm_map_t task, vm_address_t address, vm_size_t size,
	vm_machine_attribute_t attribute, vm_machine_attribute_val_t *value)
{
	return mach_vm_machine_attribute(task, address, size, attribute, value);
}
