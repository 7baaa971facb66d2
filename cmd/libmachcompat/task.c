/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of mach/mach_traps.h, mach/task.h and mach/mach_port.h. */
#include <mach/mach.h>
#include <stddef.h>
#include <string.h>

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

static time_value_t time_value(int32_t seconds, int32_t microseconds)
{
	time_value_t t = { seconds, microseconds };
	return t;
}

static natural_t at_most_32_bits(uint64_t size) { return size > UINT32_MAX ? UINT32_MAX : (natural_t)size; }

/* The numbers of the 64-bit flavor on the two families of processors. */
enum { BASIC_INFO_64_INTEL = 5, BASIC_INFO_64_ARM = 18 };

/* Fills info in the layout of a flavor, and returns its length in ints; 0 for no flavor. */
static mach_msg_type_number_t fill_task_info(task_flavor_t flavor, int32_t *info, const struct machcompat_task *from)
{
	time_value_t user = time_value(from->user_seconds, from->user_microseconds);
	time_value_t system = time_value(from->system_seconds, from->system_microseconds);
	struct task_basic_info_32 basic_32 = { from->suspend_count, at_most_32_bits(from->virtual_size),
		at_most_32_bits(from->resident_size), user, system, POLICY_TIMESHARE };
	struct task_basic_info_64 basic_64 = { from->suspend_count, from->virtual_size, from->resident_size, user,
		system, POLICY_TIMESHARE };
	struct mach_task_basic_info basic = { from->virtual_size, from->resident_size, from->resident_size_max, user,
		system, POLICY_TIMESHARE, from->suspend_count };

	switch (flavor) {
	case TASK_BASIC_INFO_32:
		memcpy(info, &basic_32, sizeof basic_32);
		return TASK_BASIC_INFO_32_COUNT;
	case BASIC_INFO_64_INTEL:
	case BASIC_INFO_64_ARM:
		memcpy(info, &basic_64, sizeof basic_64);
		return TASK_BASIC_INFO_64_COUNT;
	case MACH_TASK_BASIC_INFO:
		memcpy(info, &basic, sizeof basic);
		return MACH_TASK_BASIC_INFO_COUNT;
	}
	return 0;
}

kern_return_t task_info(task_name_t target_task, task_flavor_t flavor, task_info_t task_info_out,
	mach_msg_type_number_t *task_info_outCnt)
{
	int32_t filled[sizeof(struct mach_task_basic_info) / sizeof(int32_t)];
	struct machcompat_task task;
	mach_msg_type_number_t count;
	kern_return_t kr;

	memset(&task, 0, sizeof task);
	count = fill_task_info(flavor, filled, &task);
	if (count == 0 || task_info_out == NULL || task_info_outCnt == NULL || *task_info_outCnt < count)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	kr = machcompatTaskInfo(target_task, &task);
	if (kr != KERN_SUCCESS)
		return kr;
	fill_task_info(flavor, filled, &task);
	memcpy(task_info_out, filled, count * sizeof(int32_t));
	*task_info_outCnt = count;
	return KERN_SUCCESS;
}
