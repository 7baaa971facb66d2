/* SPDX-License-Identifier: Apache-2.0 */
/* mach/mach_host.h: calls on the host. */
#ifndef _mach_host_user_
#define _mach_host_user_

#include <mach/host_info.h>
#include <mach/kern_return.h>
#include <mach/mach_init.h>
#include <mach/mach_types.h>
#include <mach/port.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Puts the bytes of a page into *out_page_size, whatever host is, and in the child of a
 * fork too. KERN_INVALID_ARGUMENT: out_page_size is NULL.
 */
extern kern_return_t host_page_size(host_t host, vm_size_t *out_page_size);

#ifdef __cplusplus
}
#endif

#endif /* _mach_host_user_ */
