/* SPDX-License-Identifier: Apache-2.0 */
/* vm_map and vm_remap. */
#include <mach/mach.h>
#include <mach/mach_vm.h>
#include <stddef.h>

#include "_cgo_export.h"

kern_return_t mach_vm_map(vm_map_t task, mach_vm_address_t *address, mach_vm_size_t size, mach_vm_offset_t mask,
	int flags, mem_entry_name_port_t object, memory_object_offset_t offset, boolean_t copy, vm_prot_t current,
	vm_prot_t maximum, vm_inherit_t inheritance)
{
	uint64_t at;
	kern_return_t kr;

	(void)offset; /* of an object */
	(void)copy;
	if (address == NULL)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	at = *address;
	kr = machcompatMap(task, &at, size, mask, (unsigned int)flags, object, current, maximum, inheritance);
	if (kr == KERN_SUCCESS)
		*address = at;
	return kr;
}

kern_return_t vm_map_64(vm_map_t task, vm_address_t *address, vm_size_t size, vm_address_t mask, int flags,
	mem_entry_name_port_t object, memory_object_offset_t offset, boolean_t copy, vm_prot_t current,
	vm_prot_t maximum, vm_inherit_t inheritance)
{
	mach_vm_address_t wide = 0;
	kern_return_t kr;

	if (address != NULL)
		wide = *address;
	kr = mach_vm_map(task, address == NULL ? NULL : &wide, size, mask, flags, object, offset, copy, current, maximum,
		inheritance);
	if (kr == KERN_SUCCESS)
		*address = (vm_address_t)wide;
	return kr;
}

kern_return_t vm_map(vm_map_t task, vm_address_t *address, vm_size_t size, vm_address_t mask, int flags,
	mem_entry_name_port_t object, vm_offset_t offset, boolean_t copy, vm_prot_t current, vm_prot_t maximum,
	vm_inherit_t inheritance)
{
	return vm_map_64(task, address, size, mask, flags, object, offset, copy, current, maximum, inheritance);
}

kern_return_t mach_vm_remap(vm_map_t task, mach_vm_address_t *address, mach_vm_size_t size, mach_vm_offset_t mask,
	int flags, vm_map_t source, mach_vm_address_t from, boolean_t copy, vm_prot_t *current, vm_prot_t *maximum,
	vm_inherit_t inheritance)
{
	uint64_t at;
	int now = 0, most = 0;
	kern_return_t kr;

	if (address == NULL || current == NULL || maximum == NULL)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	at = *address;
	kr = machcompatRemap(task, &at, size, mask, (unsigned int)flags, source, from, copy != 0, &now, &most,
		inheritance);
	if (kr == KERN_SUCCESS) {
		*address = at;
		*current = now;
		*maximum = most;
	}
	return kr;
}

kern_return_t vm_remap(vm_map_t task, vm_address_t *address, vm_size_t size, vm_address_t mask, int flags,
	vm_map_t source, vm_address_t from, boolean_t copy, vm_prot_t *current, vm_prot_t *maximum,
	vm_inherit_t inheritance)
{
	mach_vm_address_t wide = 0;
	kern_return_t kr;

	if (address != NULL)
		wide = *address;
	kr = mach_vm_remap(task, address == NULL ? NULL : &wide, size, mask, flags, source, from, copy, current, maximum,
		inheritance);
	if (kr == KERN_SUCCESS)
		*address = (vm_address_t)wide;
	return kr;
}
