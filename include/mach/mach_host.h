/* SPDX-License-Identifier: Apache-2.0 */
/* mach/mach_host.h: calls on the host. */
#ifndef _mach_host_user_
#define _mach_host_user_

#include <mach/host_info.h>
#include <mach/kern_return.h>
#include <mach/mach_init.h>
#include <mach/mach_types.h>
#include <mach/mig.h>
#include <mach/mig_errors.h>
#include <mach/port.h>
#include <mach/processor_info.h>
#include <mach/std_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Puts the bytes of a page into *out_page_size, whatever host is, and in the child of a
 * fork too. KERN_INVALID_ARGUMENT: out_page_size is NULL.
 */
extern kern_return_t host_page_size(host_t host, vm_size_t *out_page_size);

/*
 * The other calls take mach_host_self(), in the child of a fork too. *count is the room in
 * ints, and then what was written: the largest version that there is room for.
 *
 *   MACH_SEND_INVALID_DEST  host names nothing
 *   KERN_INVALID_ARGUMENT   a pointer is NULL; no such flavor here; host is no host
 *   KERN_INVALID_HOST       host is no host, of host_statistics and host_statistics64
 *   KERN_FAILURE            too little room, or /proc can't be read
 */
extern kern_return_t host_info(host_t host, host_flavor_t flavor, host_info_t info, mach_msg_type_number_t *count);
extern kern_return_t host_statistics(host_t host, host_flavor_t flavor, host_info_t info,
	mach_msg_type_number_t *count);
extern kern_return_t host_statistics64(host_t host, host_flavor_t flavor, host_info64_t info,
	mach_msg_type_number_t *count);

/* Which kernel this is, as uname(1) says, into KERNEL_VERSION_MAX bytes. */
extern kern_return_t host_kernel_version(host_t host, kernel_version_t out_version);

/*
 * Tells of all processors, online or not, the first one first. *out_info is *out_count ints
 * of new memory: free it with vm_deallocate(mach_task_self(), (vm_address_t)*out_info,
 * *out_count * sizeof(integer_t)).
 */
extern kern_return_t host_processor_info(host_t host, processor_flavor_t flavor, natural_t *out_processor_count,
	processor_info_array_t *out_info, mach_msg_type_number_t *out_count);

#ifdef __cplusplus
}
#endif

#endif /* _mach_host_user_ */
