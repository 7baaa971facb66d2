/* SPDX-License-Identifier: Apache-2.0 */
/* mach/mach_traps.h: from a process to its task, and back. */
#ifndef _MACH_MACH_TRAPS_H_
#define _MACH_MACH_TRAPS_H_

#include <stdint.h>

#include <mach/kern_return.h>
#include <mach/mach_types.h>
#include <mach/port.h>
#include <mach/std_types.h>
#include <mach/vm_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Puts into *t a name of the process pid; target_tport is mach_task_self(). The
 * kernel must allow the caller to trace the process. One process has one name,
 * held once more by each call, and mach_task_self() for the caller's own; let go
 * of it with mach_port_deallocate.
 *
 * KERN_FAILURE: no such process, or no permission. KERN_INVALID_ARGUMENT: t is
 * NULL. KERN_RESOURCE_SHORTAGE: too many names. MACH_SEND_INVALID_DEST:
 * target_tport names no task. *t is MACH_PORT_NULL after a failure.
 */
extern kern_return_t task_for_pid(mach_port_name_t target_tport, int pid, mach_port_name_t *t);

/*
 * Puts the process id of a task into *x, or -1 after a failure: KERN_FAILURE when
 * the process has ended, or runs another program now; KERN_INVALID_ARGUMENT when
 * x is NULL; MACH_SEND_INVALID_DEST when t names no task.
 */
extern kern_return_t pid_for_task(mach_port_name_t t, int *x);

extern mach_port_name_t task_self_trap(void);

#ifdef __cplusplus
}
#endif

#endif /* _MACH_MACH_TRAPS_H_ */
