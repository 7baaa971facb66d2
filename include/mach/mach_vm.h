/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/mach_vm.h: the memory of a task, with addresses of 64 bits. What each call
 * does, and its codes, stand with the call of the same name in <mach/vm_map.h>.
 */
#ifndef _mach_vm_user_
#define _mach_vm_user_

#include <mach/kern_return.h>
#include <mach/mach_types.h>
#include <mach/message.h>
#include <mach/mig.h>
#include <mach/mig_errors.h>
#include <mach/port.h>
#include <mach/std_types.h>
#include <mach/vm_region.h>
#include <mach/vm_types.h>

#ifdef __cplusplus
extern "C" {
#endif

extern kern_return_t mach_vm_read(vm_map_read_t target_task, mach_vm_address_t address, mach_vm_size_t size,
	vm_offset_t *data, mach_msg_type_number_t *dataCnt);

extern kern_return_t mach_vm_read_list(vm_map_read_t target_task, mach_vm_read_entry_t data_list, natural_t count);

extern kern_return_t mach_vm_read_overwrite(vm_map_read_t target_task, mach_vm_address_t address, mach_vm_size_t size,
	mach_vm_address_t data, mach_vm_size_t *outsize);

extern kern_return_t mach_vm_write(vm_map_t target_task, mach_vm_address_t address, vm_offset_t data,
	mach_msg_type_number_t dataCnt);

extern kern_return_t mach_vm_copy(vm_map_t target_task, mach_vm_address_t source_address, mach_vm_size_t size,
	mach_vm_address_t dest_address);

extern kern_return_t mach_vm_protect(vm_map_t target_task, mach_vm_address_t address, mach_vm_size_t size,
	boolean_t set_maximum, vm_prot_t new_protection);

extern kern_return_t mach_vm_allocate(vm_map_t target, mach_vm_address_t *address, mach_vm_size_t size, int flags);

extern kern_return_t mach_vm_deallocate(vm_map_t target, mach_vm_address_t address, mach_vm_size_t size);

extern kern_return_t mach_vm_map(vm_map_t target_task, mach_vm_address_t *address, mach_vm_size_t size,
	mach_vm_offset_t mask, int flags, mem_entry_name_port_t object, memory_object_offset_t offset, boolean_t copy,
	vm_prot_t cur_protection, vm_prot_t max_protection, vm_inherit_t inheritance);

extern kern_return_t mach_vm_remap(vm_map_t target_task, mach_vm_address_t *target_address, mach_vm_size_t size,
	mach_vm_offset_t mask, int flags, vm_map_t src_task, mach_vm_address_t src_address, boolean_t copy,
	vm_prot_t *cur_protection, vm_prot_t *max_protection, vm_inherit_t inheritance);

extern kern_return_t mach_vm_inherit(vm_map_t target_task, mach_vm_address_t address, mach_vm_size_t size,
	vm_inherit_t new_inheritance);

extern kern_return_t mach_vm_behavior_set(vm_map_t target_task, mach_vm_address_t address, mach_vm_size_t size,
	vm_behavior_t new_behavior);

extern kern_return_t mach_vm_msync(vm_map_t target_task, mach_vm_address_t address, mach_vm_size_t size,
	vm_sync_t sync_flags);

extern kern_return_t mach_vm_machine_attribute(vm_map_t target_task, mach_vm_address_t address, mach_vm_size_t size,
	vm_machine_attribute_t attribute, vm_machine_attribute_val_t *value);

/* As vm_map_page_query. */
extern kern_return_t mach_vm_page_query(vm_map_read_t target_map, mach_vm_offset_t offset, integer_t *disposition,
	integer_t *ref_count);

/*
 * The same and more, in a struct vm_page_info_basic; *infoCnt must be its count, or one
 * less. KERN_INVALID_ARGUMENT: another count or flavor.
 */
extern kern_return_t mach_vm_page_info(vm_map_read_t target_task, mach_vm_address_t address,
	vm_page_info_flavor_t flavor, vm_page_info_t info, mach_msg_type_number_t *infoCnt);

/*
 * Tells where each page of the range is, in an array of ints at the address dispositions
 * of this process, which has room for *dispositions_count, and how many it has written
 * there. KERN_INVALID_ARGUMENT: a range that wraps. If the array can't be written, the
 * codes of vm_read_overwrite.
 */
extern kern_return_t mach_vm_page_range_query(vm_map_read_t target_map, mach_vm_offset_t address, mach_vm_size_t size,
	mach_vm_address_t dispositions, mach_vm_size_t *dispositions_count);

extern kern_return_t mach_vm_region(vm_map_read_t target_task, mach_vm_address_t *address, mach_vm_size_t *size,
	vm_region_flavor_t flavor, vm_region_info_t info, mach_msg_type_number_t *infoCnt, mach_port_t *object_name);

/* With a struct vm_region_submap_info_64, as vm_region_recurse_64. */
extern kern_return_t mach_vm_region_recurse(vm_map_read_t target_task, mach_vm_address_t *address,
	mach_vm_size_t *size, natural_t *nesting_depth, vm_region_recurse_info_t info,
	mach_msg_type_number_t *infoCnt);

#ifdef __cplusplus
}
#endif

#endif /* _mach_vm_user_ */
