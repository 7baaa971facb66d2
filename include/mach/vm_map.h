/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/vm_map.h: the memory of a task, with addresses of the width of this
 * program. <mach/mach_vm.h> has the same calls with 64 bits in every program.
 *
 * Each call returns KERN_SUCCESS, one of the codes named with it, or one of
 * these; on failure nothing is written through a pointer, and no memory changes
 * unless the call says so:
 *
 *   MACH_SEND_INVALID_DEST   target_task names no task, or nothing any more
 *   KERN_INVALID_ARGUMENT    a pointer is NULL; the process has ended, or runs
 *                            another program than when task_for_pid found it
 *   KERN_RESOURCE_SHORTAGE   no memory
 *   KERN_NOT_SUPPORTED       the kernel or a sandbox refuses the means
 *   KERN_FAILURE             anything else, such as a permission taken away
 *
 * Where a range offends in several ways, the first in address order decides.
 * Nothing is ever done to a page that the task could not do to it itself.
 */
#ifndef _vm_map_user_
#define _vm_map_user_

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

/*
 * Copies size bytes of the task into new memory of this process, at *data; free it
 * with vm_deallocate(mach_task_self(), *data, *dataCnt). KERN_INVALID_ADDRESS: some
 * of it is not mapped. KERN_PROTECTION_FAILURE: some of it may not be read.
 * KERN_INVALID_ARGUMENT: size is over 2^32-1.
 */
extern kern_return_t vm_read(vm_map_read_t target_task, vm_address_t address, vm_size_t size, vm_offset_t *data,
	mach_msg_type_number_t *dataCnt);

/*
 * Copies size bytes of the task to the address data of this process. The codes of
 * vm_read for the source, and the same for the destination, if it can't be written.
 */
extern kern_return_t vm_read_overwrite(vm_map_read_t target_task, vm_address_t address, vm_size_t size,
	vm_address_t data, vm_size_t *outsize);

/*
 * Writes dataCnt bytes from the address data of this process to the task.
 * KERN_INVALID_ADDRESS: some of it is not mapped. KERN_PROTECTION_FAILURE: the
 * task may not write some of it. KERN_MEMORY_ERROR: it may, but the page can't be
 * had; what comes before that page was written then. KERN_INVALID_ARGUMENT: data
 * is 0. MACH_SEND_INVALID_MEMORY: data can't be read.
 */
extern kern_return_t vm_write(vm_map_t target_task, vm_address_t address, vm_offset_t data,
	mach_msg_type_number_t dataCnt);

/* Copies within the task; the ranges may overlap. The codes of vm_read, then of vm_write. */
extern kern_return_t vm_copy(vm_map_t target_task, vm_address_t source_address, vm_size_t size,
	vm_address_t dest_address);

/*
 * Changes the protection of all pages that the range touches. See VM_PROT_COPY in
 * <mach/vm_prot.h>. KERN_INVALID_ADDRESS: some of it is not mapped.
 * KERN_PROTECTION_FAILURE: the kernel doesn't permit it, as with a shared mapping of
 * a file that was opened for reading. KERN_INVALID_ARGUMENT: unknown bits, or the
 * range wraps. KERN_NOT_SUPPORTED: set_maximum, unless the maximum is that already;
 * VM_PROT_COPY of shared memory; a seccomp filter of the task that might act on it.
 */
extern kern_return_t vm_protect(vm_map_t target_task, vm_address_t address, vm_size_t size, boolean_t set_maximum,
	vm_prot_t new_protection);

/*
 * Maps size bytes of zeros, readable and writable: anywhere with VM_FLAGS_ANYWHERE,
 * else at *address. KERN_NO_SPACE: something is there (unless VM_FLAGS_OVERWRITE),
 * or there is no room. KERN_INVALID_ADDRESS: no memory can be there.
 * KERN_INVALID_ARGUMENT: unknown flags, or a size that is too large.
 */
extern kern_return_t vm_allocate(vm_map_t target_task, vm_address_t *address, vm_size_t size, int flags);

/*
 * Unmaps all pages that the range touches; what is not mapped stays so.
 * KERN_INVALID_ARGUMENT: the range wraps. KERN_PROTECTION_FAILURE: sealed memory.
 */
extern kern_return_t vm_deallocate(vm_map_t target_task, vm_address_t address, vm_size_t size);

/*
 * Tells of the region at *address, or of the next above it, and puts its start and
 * size there. A region is one line of /proc/PID/maps. *infoCnt is the room at info
 * in ints, and then what was written; *object_name becomes MACH_PORT_NULL.
 * KERN_INVALID_ADDRESS: no region at or above *address. KERN_INVALID_ARGUMENT: no
 * such flavor here, or too little room.
 */
extern kern_return_t vm_region(vm_map_read_t target_task, vm_address_t *address, vm_size_t *size,
	vm_region_flavor_t flavor, vm_region_info_t info, mach_msg_type_number_t *infoCnt, mach_port_t *object_name);
extern kern_return_t vm_region_64(vm_map_read_t target_task, vm_address_t *address, vm_size_t *size,
	vm_region_flavor_t flavor, vm_region_info_t info, mach_msg_type_number_t *infoCnt, mach_port_t *object_name);

/*
 * The same, with a struct vm_region_submap_info, or of _64 the version that the
 * room is enough for. *nesting_depth becomes 0.
 */
extern kern_return_t vm_region_recurse(vm_map_read_t target_task, vm_address_t *address, vm_size_t *size,
	natural_t *nesting_depth, vm_region_recurse_info_t info, mach_msg_type_number_t *infoCnt);
extern kern_return_t vm_region_recurse_64(vm_map_read_t target_task, vm_address_t *address, vm_size_t *size,
	natural_t *nesting_depth, vm_region_recurse_info_t info, mach_msg_type_number_t *infoCnt);

#ifdef __cplusplus
}
#endif

#endif /* _vm_map_user_ */
