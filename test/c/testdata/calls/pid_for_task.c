/* SPDX-License-Identifier: Apache-2.0 */
/* pid_for_task. */
#include "../check.h"

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);
	int pid = 7;

	RETURNS(KERN_SUCCESS, pid_for_task(task, &pid));
	CHECK(pid == target_pid);
	RETURNS(KERN_SUCCESS, pid_for_task(mach_task_self(), &pid));
	CHECK(pid == getpid());
	RETURNS(KERN_INVALID_ARGUMENT, pid_for_task(task, NULL));
	RETURNS(MACH_SEND_INVALID_DEST, pid_for_task(TASK_NULL, &pid));
	CHECK(pid == -1);
	RETURNS(MACH_SEND_INVALID_DEST, pid_for_task(mach_host_self(), &pid));

	/* Its threads end one after the other. */
	CHECK(kill(target_pid, SIGKILL) == 0);
	WAIT_FOR(pid_for_task(task, &pid) != KERN_SUCCESS);
	RETURNS(KERN_FAILURE, pid_for_task(task, &pid));
	CHECK(pid == -1);
	return failures != 0;
}
