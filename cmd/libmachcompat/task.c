/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of mach/mach_traps.h, mach/task.h and mach/mach_port.h. */
#include <mach/mach.h>
#include <stddef.h>

#include "_cgo_export.h"

kern_return_t task_for_pid(mach_port_name_t target_tport, int pid, mach_port_name_t *t)
{
	if (t == NULL)
		return KERN_INVALID_ARGUMENT;
	*t = MACH_PORT_NULL;
	if (machcompat_in_child())
		return KERN_FAILURE;
	return machcompatTaskForPID(target_tport, pid, t);
}

kern_return_t pid_for_task(mach_port_name_t t, int *x)
{
	if (x == NULL)
		return KERN_INVALID_ARGUMENT;
	*x = -1;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatPIDForTask(t, x);
}

kern_return_t task_suspend(task_read_t target_task)
{
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatSuspend(target_task);
}

kern_return_t task_resume(task_read_t target_task)
{
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatResume(target_task);
}

kern_return_t mach_port_deallocate(ipc_space_t task, mach_port_name_t name)
{
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatPortDeallocate(task, name);
}

kern_return_t mach_port_mod_refs(ipc_space_t task, mach_port_name_t name, mach_port_right_t right,
	mach_port_delta_t delta)
{
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatPortModRefs(task, name, right, delta);
}

kern_return_t mach_port_get_refs(ipc_space_t task, mach_port_name_t name, mach_port_right_t right,
	mach_port_urefs_t *refs)
{
	if (refs == NULL)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatPortGetRefs(task, name, right, refs);
}

kern_return_t task_terminate(task_t target_task)
{
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatTerminate(target_task);
}
