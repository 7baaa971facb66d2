/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/vm_map.h: the memory of a task, with addresses of the width of this
 * program. <mach/mach_vm.h> has the same calls with 64 bits in every program.
 *
 * Each call returns KERN_SUCCESS, one of the codes named with it, or one of
 * these; on failure nothing is written through a pointer, and no memory changes
 * unless the call says so:
 *
 *   MACH_SEND_INVALID_DEST   target_task names nothing, or nothing any more, or the host
 *   KERN_INVALID_ARGUMENT    a pointer is NULL; target_task names a thread; the process
 *                            has ended, or runs another program than when task_for_pid
 *                            found it
 *   KERN_RESOURCE_SHORTAGE   no memory
 *   KERN_NOT_SUPPORTED       Linux has no such thing, or a sandbox refuses the means
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
#include <mach/mig.h>
#include <mach/mig_errors.h>
#include <mach/port.h>
#include <mach/std_types.h>
#include <mach/vm_region.h>
#include <mach/vm_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Copies size bytes of the task into new memory of this process, at *data; free it
 * with vm_deallocate(mach_task_self(), *data, *dataCnt). From two pages on they begin
 * where they do in their page; fewer begin with a page. KERN_INVALID_ADDRESS: some
 * of it is not mapped. KERN_PROTECTION_FAILURE: some of it may not be read.
 * KERN_INVALID_ARGUMENT: size is over 2^32-1.
 */
extern kern_return_t vm_read(vm_map_read_t target_task, vm_address_t address, vm_size_t size, vm_offset_t *data,
	mach_msg_type_number_t *dataCnt);

/*
 * vm_read of each of the count entries, of which the addresses become those of the
 * copies. An entry that can't be read becomes 0 and 0; the code is that of the last entry
 * that is not of size 0, and with an error nothing is kept and the entries stay as they
 * are. KERN_INVALID_ARGUMENT: more than VM_MAP_ENTRY_MAX.
 */
extern kern_return_t vm_read_list(vm_map_read_t target_task, vm_read_entry_t data_list, natural_t count);

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
 * or there is no room. KERN_INVALID_ADDRESS: no memory can be there, as at 0.
 * KERN_INVALID_ARGUMENT: unknown flags, or a size that is too large.
 */
extern kern_return_t vm_allocate(vm_map_t target_task, vm_address_t *address, vm_size_t size, int flags);

/*
 * Unmaps all pages that the range touches; what is not mapped stays so.
 * KERN_INVALID_ARGUMENT: the range wraps. KERN_PROTECTION_FAILURE: sealed memory.
 */
extern kern_return_t vm_deallocate(vm_map_t target_task, vm_address_t address, vm_size_t size);

/*
 * Maps size bytes of zeros with a protection, as vm_allocate; the bits of mask are 0 in
 * the address. Linux has no highest protection: what max_protection lacks is taken from
 * cur_protection alone. With VM_INHERIT_SHARE the children of a fork share the memory.
 * KERN_NO_SPACE: a fixed address has bits of mask. KERN_INVALID_ARGUMENT: size 0,
 * unknown flags or bits, no inheritance. KERN_NOT_SUPPORTED: an object.
 */
extern kern_return_t vm_map(vm_map_t target_task, vm_address_t *address, vm_size_t size, vm_address_t mask, int flags,
	mem_entry_name_port_t object, vm_offset_t offset, boolean_t copy, vm_prot_t cur_protection,
	vm_prot_t max_protection, vm_inherit_t inheritance);
extern kern_return_t vm_map_64(vm_map_t target_task, vm_address_t *address, vm_size_t size, vm_address_t mask,
	int flags, mem_entry_name_port_t object, memory_object_offset_t offset, boolean_t copy,
	vm_prot_t cur_protection, vm_prot_t max_protection, vm_inherit_t inheritance);

/*
 * Maps memory of src_task once more, in this process, with the protection that it has:
 * from the page of src_address on, or with VM_FLAGS_RETURN_DATA_ADDR the pages of the
 * range, and *target_address is that of its first byte. With copy it is a copy, by
 * reading. Without, it is the same memory, which must be shared memory of this process;
 * children of a fork share it unless VM_INHERIT_NONE. *cur_protection is what all of it
 * has, *max_protection what it may ever have. KERN_NOT_SUPPORTED: the target is another
 * process; without copy, the source is another process, or private. KERN_INVALID_ADDRESS:
 * some of the source is not mapped. KERN_PROTECTION_FAILURE: some of it can't be copied.
 * Else the codes of vm_map.
 */
extern kern_return_t vm_remap(vm_map_t target_task, vm_address_t *target_address, vm_size_t size, vm_address_t mask,
	int flags, vm_map_t src_task, vm_address_t src_address, boolean_t copy, vm_prot_t *cur_protection,
	vm_prot_t *max_protection, vm_inherit_t inheritance);

/*
 * Sets what the child of a fork gets of all pages that the range touches; what is not
 * mapped is passed over. VM_INHERIT_NONE is for any memory. Private memory is copied, and
 * shared memory shared: KERN_NOT_SUPPORTED for the reverse, and then nothing changes.
 * vm_region does not show what was set. KERN_INVALID_ARGUMENT: no inheritance, or the
 * range wraps. KERN_RESOURCE_SHORTAGE: too many mappings; those at lower addresses
 * were changed.
 */
extern kern_return_t vm_inherit(vm_map_t target_task, vm_address_t address, vm_size_t size,
	vm_inherit_t new_inheritance);

/*
 * Tells the kernel how all pages that the range touches will be used. What the kernel has
 * no such advice for stays as it is, with KERN_SUCCESS. Bytes are lost only by
 * VM_BEHAVIOR_FREE and VM_BEHAVIOR_REUSABLE, and only those of private memory of no file.
 * KERN_INVALID_ADDRESS: some of it is not mapped. KERN_PROTECTION_FAILURE:
 * VM_BEHAVIOR_REUSABLE or VM_BEHAVIOR_ZERO_WIRED_PAGES of what may not be written; sealed
 * memory. KERN_INVALID_ARGUMENT: no behavior, or the range wraps.
 */
extern kern_return_t vm_behavior_set(vm_map_t target_task, vm_address_t address, vm_size_t size,
	vm_behavior_t new_behavior);

/*
 * Writes what is shared with files to them, in all pages that the range touches, or drops
 * pages: see <mach/vm_sync.h>. What is not mapped is passed over.
 * KERN_INVALID_ADDRESS: the range wraps, or has a hole, with VM_SYNC_CONTIGUOUS.
 * KERN_INVALID_ARGUMENT: synchronous and asynchronous. KERN_FAILURE: the file can't be
 * written.
 */
extern kern_return_t vm_msync(vm_map_t target_task, vm_address_t address, vm_size_t size, vm_sync_t sync_flags);

/*
 * With MATTR_CACHE, and whatever *value, makes the bytes in memory what the task's threads
 * execute; *value stays. On x86 the processor does that, and on arm64 it is needed for
 * code that was written before it became executable. KERN_NOT_SUPPORTED: another
 * attribute; on arm64, shared memory of another process. KERN_FAILURE: some of it is not
 * mapped. KERN_INVALID_ADDRESS: the range wraps.
 */
extern kern_return_t vm_machine_attribute(vm_map_t target_task, vm_address_t address, vm_size_t size,
	vm_machine_attribute_t attribute, vm_machine_attribute_val_t *value);

/*
 * Tells where the page at offset is: VM_PAGE_QUERY_* of <mach/vm_statistics.h>, and 0 where
 * nothing is mapped. *ref_count is 1 in a region, else 0. KERN_INVALID_ADDRESS: the last
 * page of all addresses.
 */
extern kern_return_t vm_map_page_query(vm_map_read_t target_map, vm_offset_t offset, integer_t *disposition,
	integer_t *ref_count);

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
