/* SPDX-License-Identifier: Apache-2.0 */
/* mach_port_deallocate. */
#include "../check.h"

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv), other;
	int pid, i;

	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), target_pid, &other));
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), task));
	RETURNS(KERN_SUCCESS, pid_for_task(task, &pid));
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), task));
	RETURNS(MACH_SEND_INVALID_DEST, pid_for_task(task, &pid));
	RETURNS(KERN_INVALID_NAME, mach_port_deallocate(mach_task_self(), task));
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), MACH_PORT_NULL));
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), MACH_PORT_DEAD));
	RETURNS(KERN_INVALID_NAME, mach_port_deallocate(mach_task_self(), 0x77770001));

	/* A name that was freed is not given away again soon. */
	for (i = 0; i < 1000; i++) {
		RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), target_pid, &other));
		CHECK(other != task);
		RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), other));
	}
	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), target_pid, &other));
	RETURNS(KERN_INVALID_TASK, mach_port_deallocate(other, other));
	RETURNS(MACH_SEND_INVALID_DEST, mach_port_deallocate(TASK_NULL, other));
	RETURNS(MACH_SEND_INVALID_DEST, mach_port_deallocate(task, other));
	RETURNS(KERN_SUCCESS, pid_for_task(other, &pid));
	return failures != 0;
}
