/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child of a fork: every call says at once that it can't be made there, also
 * when other threads are in the library at the moment of the fork; exec works.
 */
#include "../check.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

static mach_port_t task;

/* What the child, or a child of vfork, gets. */
static int nothing_works(void)
{
	mach_vm_address_t address = base;
	mach_vm_size_t size = 7;
	vm_size_t page = 7;
	vm_offset_t data = 7;
	mach_msg_type_number_t count = 7, room = 64;
	natural_t depth = 7;
	mach_port_t name = 7;
	int info[64], pid = 7;

	RETURNS(KERN_FAILURE, task_for_pid(mach_task_self(), target_pid, &name));
	RETURNS(MACH_SEND_INVALID_DEST, pid_for_task(task, &pid));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_read(task, base, 1, &data, &count));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_read_overwrite(task, base, 1, (uintptr_t)info, &size));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_write(task, base, (vm_offset_t)info, 1));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_copy(task, base, 1, base + 1));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_protect(task, base, 1, FALSE, VM_PROT_READ));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_allocate(mach_task_self(), &address, 1, VM_FLAGS_ANYWHERE));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_deallocate(mach_task_self(), base, 1));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_region(task, &address, &size, VM_REGION_BASIC_INFO_64, info, &room, &name));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_region_recurse(task, &address, &size, &depth, info, &room));
	RETURNS(MACH_SEND_INVALID_DEST, task_info(task, MACH_TASK_BASIC_INFO, (task_info_t)info, &room));
	RETURNS(MACH_SEND_INVALID_DEST, task_suspend(task));
	RETURNS(MACH_SEND_INVALID_DEST, task_resume(task));
	RETURNS(MACH_SEND_INVALID_DEST, task_terminate(task));
	RETURNS(MACH_SEND_INVALID_DEST, mach_port_deallocate(mach_task_self(), task));
	RETURNS(MACH_SEND_INVALID_DEST, mach_port_mod_refs(mach_task_self(), task, MACH_PORT_RIGHT_SEND, 1));
	RETURNS(MACH_SEND_INVALID_DEST, mach_port_get_refs(mach_task_self(), task, MACH_PORT_RIGHT_SEND, &depth));
	RETURNS(KERN_SUCCESS, host_page_size(mach_host_self(), &page));
	CHECK(strcmp(mach_error_string(KERN_FAILURE), "(os/kern) failure") == 0 && vm_page_size >= 4096);
	CHECK(name == MACH_PORT_NULL && pid == -1 && data == 7 && size == 7 && page == vm_page_size && depth == 7);
	return failures != 0;
}

static int status_of(pid_t child)
{
	int status = -1;

	CHECK(waitpid(child, &status, 0) == child);
	return status;
}

static volatile int stop_working;

static void *work(void *unused)
{
	char byte;
	mach_vm_size_t size;

	(void)unused;
	while (!stop_working)
		RETURNS(KERN_SUCCESS, mach_vm_read_overwrite(task, base, 1, (uintptr_t)&byte, &size));
	return NULL;
}

static void with_threads(void)
{
	pthread_t threads[4];
	pid_t child;
	int i;

	for (i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
	for (i = 0; i < 20; i++) {
		child = fork();
		if (child == 0) {
			alarm(PATIENCE);
			_exit(nothing_works());
		}
		CHECK(status_of(child) == 0);
	}
	stop_working = 1;
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

/* A child that goes wrong ends as it would without the library. */
static void crash(void)
{
	struct rlimit none = { 0, 0 };
	pid_t child = fork();
	int status;

	if (child == 0) {
		alarm(PATIENCE);
		setrlimit(RLIMIT_CORE, &none);
		*(volatile int *)8 = 1;
		_exit(0);
	}
	status = status_of(child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/*
 * A process that is number 1, and its child in a pid namespace of its own, which is
 * number 1 too. It takes root to make one; status 77 says that this is not.
 */
static int as_number_1(char **argv)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		alarm(PATIENCE);
		if (unshare(CLONE_NEWPID) != 0)
			_exit(77);
		child = fork();
		if (child == 0) {
			/* Number 1 pays no heed to an alarm. */
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			execl("/proc/self/exe", "fork", argv[1], argv[2], "number 1", (char *)NULL);
			_exit(1);
		}
		status = status_of(child);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	status = status_of(child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int number_1(void)
{
	pid_t child;

	if (getpid() != 1 || unshare(CLONE_NEWPID) != 0)
		return 1;
	child = fork();
	if (child == 0) {
		alarm(PATIENCE);
		_exit(getpid() == 1 ? nothing_works() : 1);
	}
	return status_of(child) != 0;
}

int main(int argc, char **argv)
{
	int status;
	vm_offset_t data;
	mach_msg_type_number_t count;
	pid_t child;

	if (argc > 3 && strcmp(argv[3], "number 1") == 0)
		return number_1();
	task = begin(argc, argv);
	if (argc > 3) /* started by exec, below */
		return vm_read(task, base, 1, &data, &count) != KERN_SUCCESS;
	with_threads();
	crash();
	child = fork();
	if (child == 0) {
		alarm(PATIENCE);
		execl("/proc/self/exe", "fork", argv[1], argv[2], "again", (char *)NULL);
		_exit(1);
	}
	CHECK(status_of(child) == 0);
	child = vfork();
	if (child == 0)
		_exit(nothing_works());
	CHECK(status_of(child) == 0);
	status = as_number_1(argv);
	CHECK(status == 0 || status == 77);
	/* The parent goes on. */
	RETURNS(KERN_SUCCESS, vm_read(task, base, 1, &data, &count));
	return failures != 0;
}
