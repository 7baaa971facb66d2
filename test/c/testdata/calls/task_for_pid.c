/* SPDX-License-Identifier: Apache-2.0 */
/* task_for_pid. */
#include "../check.h"

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv), again = MACH_PORT_NULL, none = 7;
	mach_port_urefs_t refs = 0;
	pid_t child;

	/* One process has one name, and this one its own. */
	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), target_pid, &again));
	CHECK(again == task && task != mach_task_self() && MACH_PORT_VALID(task));
	RETURNS(KERN_SUCCESS, mach_port_get_refs(mach_task_self(), task, MACH_PORT_RIGHT_SEND, &refs));
	CHECK(refs == 2);
	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), getpid(), &again));
	CHECK(again == mach_task_self());

	RETURNS(KERN_FAILURE, task_for_pid(mach_task_self(), 0, &none));
	CHECK(none == MACH_PORT_NULL);
	none = 7;
	RETURNS(KERN_FAILURE, task_for_pid(mach_task_self(), -1, &none));
	CHECK(none == MACH_PORT_NULL);
	RETURNS(KERN_FAILURE, task_for_pid(mach_task_self(), 0x7fffffff, &none));
	RETURNS(KERN_INVALID_ARGUMENT, task_for_pid(mach_task_self(), target_pid, NULL));
	RETURNS(MACH_SEND_INVALID_DEST, task_for_pid(TASK_NULL, target_pid, &none));
	RETURNS(MACH_SEND_INVALID_DEST, task_for_pid(0xdead0001, target_pid, &none));

	/* A process that has ended, and is not yet waited for. */
	child = fork();
	if (child == 0)
		_exit(0);
	waitid(P_PID, (id_t)child, NULL, WEXITED | WNOWAIT);
	RETURNS(KERN_FAILURE, task_for_pid(mach_task_self(), child, &none));
	waitpid(child, NULL, 0);
	return failures != 0;
}
