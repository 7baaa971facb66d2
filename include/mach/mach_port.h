/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/mach_port.h: how often a name is held.
 *
 * task is mach_task_self() in each of these, for the names are those of this
 * process: the name of another task gives KERN_INVALID_TASK, what names nothing
 * MACH_SEND_INVALID_DEST. The names of this task and of the host are never lost.
 */
#ifndef _mach_port_user_
#define _mach_port_user_

#include <mach/kern_return.h>
#include <mach/mach_types.h>
#include <mach/mig.h>
#include <mach/mig_errors.h>
#include <mach/port.h>
#include <mach/std_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Holds name once less. When nothing holds it any more it names nothing, and what
 * task_suspend of this process has suspended is resumed. What thread_suspend has
 * suspended is resumed when neither the task nor a thread of it has a name any more.
 * KERN_INVALID_NAME: it names nothing now; KERN_SUCCESS for MACH_PORT_NULL and
 * MACH_PORT_DEAD.
 */
extern kern_return_t mach_port_deallocate(ipc_space_t task, mach_port_name_t name);

/*
 * Holds name delta times more; right is MACH_PORT_RIGHT_SEND. KERN_INVALID_VALUE:
 * it would be held less than 0 times, or right is none; KERN_UREFS_OVERFLOW: too
 * often; KERN_INVALID_RIGHT: it is held by no such right; KERN_INVALID_NAME.
 */
extern kern_return_t mach_port_mod_refs(ipc_space_t task, mach_port_name_t name, mach_port_right_t right,
	mach_port_delta_t delta);

/* Puts into *refs how often the right holds name: 0 for all but MACH_PORT_RIGHT_SEND. */
extern kern_return_t mach_port_get_refs(ipc_space_t task, mach_port_name_t name, mach_port_right_t right,
	mach_port_urefs_t *refs);

#ifdef __cplusplus
}
#endif

#endif /* _mach_port_user_ */
