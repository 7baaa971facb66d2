/* SPDX-License-Identifier: Apache-2.0 */
/* task_terminate */
#include "../check.h"

static void child_is_killed(int suspended)
{
	mach_port_t task;
	int status = 0, pid;
	pid_t child = fork_with_us();

	if (child == 0)
		for (;;)
			pause();
	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), child, &task));
	if (suspended)
		RETURNS(KERN_SUCCESS, task_suspend(task));
	RETURNS(KERN_SUCCESS, task_terminate(task));
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	RETURNS(KERN_INVALID_ARGUMENT, task_terminate(task));
	RETURNS(KERN_FAILURE, pid_for_task(task, &pid));
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), task));
	RETURNS(MACH_SEND_INVALID_DEST, task_terminate(task));
}

/* The program again, to end itself: the child of a fork can't call the library. */
static void own_task(const char *program, char **argv)
{
	int status = 0;
	pid_t child = fork_with_us();

	if (child == 0) {
		RETURNS(MACH_SEND_INVALID_DEST, task_terminate(mach_task_self()));
		execl("/proc/self/exe", program, argv[1], argv[2], "terminate", (char *)NULL);
		_exit(1);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[3], "terminate") == 0)
		return (int)task_terminate(mach_task_self());
	begin(argc, argv);
	RETURNS(MACH_SEND_INVALID_DEST, task_terminate(TASK_NULL));
	RETURNS(MACH_SEND_INVALID_DEST, task_terminate(mach_host_self()));
	child_is_killed(0);
	child_is_killed(1);
	own_task(argv[0], argv);
	return failures != 0;
}
