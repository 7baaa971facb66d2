/* SPDX-License-Identifier: Apache-2.0 */
/* mach/mach_init.h: the names that a process starts with. */
#ifndef _MACH_INIT_
#define _MACH_INIT_ 1

#include <stdarg.h>

#include <mach/mach_types.h>
#include <mach/vm_page_size.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The host, for host_page_size. The name is always the same, and stays. */
extern mach_port_t mach_host_self(void);
extern kern_return_t host_page_size(host_t host, vm_size_t *out_page_size);

/*
 * The calling thread: one more right to it. The name is the same as long as the thread
 * lives, whatever is given back. MACH_PORT_NULL: no name is left, /proc can't be read, or
 * this is the child of a fork.
 */
extern mach_port_t mach_thread_self(void);

/* This process: a name that stays, however often it is deallocated. */
extern mach_port_t mach_task_self_;
#define mach_task_self() mach_task_self_
#define current_task() mach_task_self()

#ifdef __cplusplus
}
#endif

#include <mach/mach_traps.h>

#endif /* _MACH_INIT_ */
