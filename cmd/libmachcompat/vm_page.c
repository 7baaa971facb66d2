/* SPDX-License-Identifier: Apache-2.0 */
/* Where pages are: vm_map_page_query and its like. */
#include <mach/mach.h>
#include <mach/mach_vm.h>
#include <stddef.h>
#include <string.h>

#include "_cgo_export.h"

kern_return_t mach_vm_page_info(vm_map_read_t task, mach_vm_address_t address, vm_page_info_flavor_t flavor,
	vm_page_info_t info, mach_msg_type_number_t *count)
{
	struct vm_page_info_basic basic;
	struct machcompat_page page;
	kern_return_t kr;

	/* As on macOS, the padding at the end may be missing. */
	if (flavor != VM_PAGE_INFO_BASIC || info == NULL || count == NULL ||
	    (*count != VM_PAGE_INFO_BASIC_COUNT && *count != VM_PAGE_INFO_BASIC_COUNT - 1))
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	kr = machcompatPage(task, address, &page);
	if (kr != KERN_SUCCESS)
		return kr;
	memset(&basic, 0, sizeof basic);
	basic.disposition = page.disposition;
	basic.ref_count = page.ref_count;
	basic.object_id = page.object;
	basic.offset = page.offset;
	memcpy(info, &basic, *count * sizeof(int));
	return KERN_SUCCESS;
}

kern_return_t mach_vm_page_query(vm_map_read_t task, mach_vm_offset_t offset, integer_t *disposition,
	integer_t *ref_count)
{
	struct machcompat_page page;
	kern_return_t kr;

	if (disposition == NULL || ref_count == NULL)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	kr = machcompatPage(task, offset, &page);
	if (kr == KERN_SUCCESS) {
		*disposition = page.disposition;
		*ref_count = page.ref_count;
	}
	return kr;
}

kern_return_t vm_map_page_query(vm_map_read_t task, vm_offset_t offset, integer_t *disposition, integer_t *ref_count)
{
	return mach_vm_page_query(task, offset, disposition, ref_count);
}

kern_return_t mach_vm_page_range_query(vm_map_read_t task, mach_vm_offset_t address, mach_vm_size_t size,
	mach_vm_address_t dispositions, mach_vm_size_t *count)
{
	uint64_t done;
	kern_return_t kr;

	if (count == NULL)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	done = *count;
	kr = machcompatPages(task, address, size, dispositions, &done);
	if (kr == KERN_SUCCESS)
		*count = done;
	return kr;
}
