/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of mach/mach_vm.h and mach/vm_map.h but for regions. */
#include <mach/mach.h>
#include <mach/mach_vm.h>
#include <stddef.h>
#include <string.h>

#include "_cgo_export.h"

kern_return_t mach_vm_read(vm_map_read_t task, mach_vm_address_t address, mach_vm_size_t size, vm_offset_t *data,
	mach_msg_type_number_t *count)
{
	uint64_t got = 0;
	kern_return_t kr;

	if (data == NULL || count == NULL)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	kr = machcompatRead(task, address, size, &got);
	if (kr == KERN_SUCCESS) {
		*data = (vm_offset_t)got;
		*count = (mach_msg_type_number_t)size;
	}
	return kr;
}

kern_return_t vm_read(vm_map_read_t task, vm_address_t address, vm_size_t size, vm_offset_t *data,
	mach_msg_type_number_t *count)
{
	return mach_vm_read(task, address, size, data, count);
}

kern_return_t mach_vm_read_list(vm_map_read_t task, mach_vm_read_entry_t list, natural_t count)
{
	struct mach_vm_read_entry copies[VM_MAP_ENTRY_MAX];
	uint64_t at = 0;
	natural_t i;
	kern_return_t kr;

	if (count > VM_MAP_ENTRY_MAX || (list == NULL && count > 0))
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	kr = machcompatRead(task, 0, 0, &at);
	if (kr != KERN_SUCCESS)
		return kr;
	memset(copies, 0, sizeof copies);
	for (i = 0; i < count; i++) {
		if (list[i].size == 0)
			continue;
		kr = machcompatReadEntry(task, list[i].address, list[i].size, &at);
		if (kr == KERN_SUCCESS) {
			copies[i].address = at;
			copies[i].size = list[i].size;
		}
	}
	if (kr == KERN_SUCCESS) {
		memcpy(list, copies, count * sizeof copies[0]);
		return KERN_SUCCESS;
	}
	for (i = 0; i < count; i++)
		mach_vm_deallocate(mach_task_self_, copies[i].address, copies[i].size);
	return kr;
}

kern_return_t vm_read_list(vm_map_read_t task, vm_read_entry_t list, natural_t count)
{
	struct mach_vm_read_entry wide[VM_MAP_ENTRY_MAX];
	struct vm_read_entry narrow;
	natural_t i;
	kern_return_t kr;

	if (count > VM_MAP_ENTRY_MAX || (list == NULL && count > 0))
		return KERN_INVALID_ARGUMENT;
	for (i = 0; i < count; i++) {
		wide[i].address = list[i].address;
		wide[i].size = list[i].size;
	}
	kr = mach_vm_read_list(task, wide, count);
	for (i = 0; kr == KERN_SUCCESS && i < count; i++) {
		narrow.address = (vm_address_t)wide[i].address;
		narrow.size = (vm_size_t)wide[i].size;
		memcpy(&list[i], &narrow, sizeof narrow);
	}
	return kr;
}

kern_return_t mach_vm_read_overwrite(vm_map_read_t task, mach_vm_address_t address, mach_vm_size_t size,
	mach_vm_address_t data, mach_vm_size_t *outsize)
{
	kern_return_t kr;

	if (outsize == NULL)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	kr = machcompatReadOverwrite(task, address, size, data);
	if (kr == KERN_SUCCESS)
		*outsize = size;
	return kr;
}

kern_return_t vm_read_overwrite(vm_map_read_t task, vm_address_t address, vm_size_t size, vm_address_t data,
	vm_size_t *outsize)
{
	mach_vm_size_t wide = 0;
	kern_return_t kr;

	kr = mach_vm_read_overwrite(task, address, size, data, outsize == NULL ? NULL : &wide);
	if (kr == KERN_SUCCESS)
		*outsize = (vm_size_t)wide;
	return kr;
}

kern_return_t mach_vm_write(vm_map_t task, mach_vm_address_t address, vm_offset_t data, mach_msg_type_number_t count)
{
	if (data == 0 && count > 0)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatWrite(task, address, data, count);
}

kern_return_t vm_write(vm_map_t task, vm_address_t address, vm_offset_t data, mach_msg_type_number_t count)
{
	return mach_vm_write(task, address, data, count);
}

kern_return_t mach_vm_copy(vm_map_t task, mach_vm_address_t source, mach_vm_size_t size, mach_vm_address_t destination)
{
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatCopy(task, source, size, destination);
}

kern_return_t vm_copy(vm_map_t task, vm_address_t source, vm_size_t size, vm_address_t destination)
{
	return mach_vm_copy(task, source, size, destination);
}

kern_return_t mach_vm_protect(vm_map_t task, mach_vm_address_t address, mach_vm_size_t size, boolean_t set_maximum,
	vm_prot_t protection)
{
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatProtect(task, address, size, set_maximum != 0, protection);
}

kern_return_t vm_protect(vm_map_t task, vm_address_t address, vm_size_t size, boolean_t set_maximum,
	vm_prot_t protection)
{
	return mach_vm_protect(task, address, size, set_maximum, protection);
}

kern_return_t mach_vm_allocate(vm_map_t task, mach_vm_address_t *address, mach_vm_size_t size, int flags)
{
	uint64_t at;
	kern_return_t kr;

	if (address == NULL)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	at = *address;
	kr = machcompatAllocate(task, &at, size, (unsigned int)flags);
	if (kr == KERN_SUCCESS)
		*address = at;
	return kr;
}

kern_return_t vm_allocate(vm_map_t task, vm_address_t *address, vm_size_t size, int flags)
{
	mach_vm_address_t wide = 0;
	kern_return_t kr;

	if (address != NULL)
		wide = *address;
	kr = mach_vm_allocate(task, address == NULL ? NULL : &wide, size, flags);
	if (kr == KERN_SUCCESS)
		*address = (vm_address_t)wide;
	return kr;
}

kern_return_t mach_vm_deallocate(vm_map_t task, mach_vm_address_t address, mach_vm_size_t size)
{
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatDeallocate(task, address, size);
}

kern_return_t vm_deallocate(vm_map_t task, vm_address_t address, vm_size_t size)
{
	return mach_vm_deallocate(task, address, size);
}
