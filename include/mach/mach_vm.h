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
#include <mach/port.h>
#include <mach/std_types.h>
#include <mach/vm_region.h>
#include <mach/vm_types.h>

#ifdef __cplusplus
extern "C" {
#endif

extern kern_return_t mach_vm_read(vm_map_read_t target_task, mach_vm_address_t address, mach_vm_size_t size,
	vm_offset_t *data, mach_msg_type_number_t *dataCnt);

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
