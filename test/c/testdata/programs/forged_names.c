/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that name nothing, or nothing any more: forged, stale, of a process that
 * has ended or runs another program. Each is an error, and never more than that.
 */
#include "../check.h"

/* Every call on a task must give code, and write nothing. */
static void all_give(kern_return_t code, mach_port_t name)
{
	mach_vm_address_t address = base;
	mach_vm_size_t size = 7;
	vm_offset_t data = 7;
	mach_msg_type_number_t count = 7, room = 64;
	natural_t depth = 7;
	mach_port_t object = 7;
	char byte = 7;
	int info[64];

	info[0] = 7;
	RETURNS(code, mach_vm_read(name, base, 1, &data, &count));
	RETURNS(code, mach_vm_read_overwrite(name, base, 1, (uintptr_t)&byte, &size));
	RETURNS(code, mach_vm_write(name, base, (vm_offset_t)&byte, 1));
	RETURNS(code, mach_vm_copy(name, base, 1, base + 1));
	RETURNS(code, mach_vm_protect(name, base, 1, FALSE, VM_PROT_READ));
	RETURNS(code, mach_vm_allocate(name, &address, 1, VM_FLAGS_ANYWHERE));
	RETURNS(code, mach_vm_deallocate(name, base, 1));
	RETURNS(code, mach_vm_region(name, &address, &size, VM_REGION_BASIC_INFO_64, info, &room, &object));
	RETURNS(code, mach_vm_region(name, &address, &size, VM_REGION_EXTENDED_INFO, info, &room, &object));
	RETURNS(code, mach_vm_region_recurse(name, &address, &size, &depth, info, &room));
	RETURNS(code, task_info(name, MACH_TASK_BASIC_INFO, (task_info_t)info, &room));
	RETURNS(code, task_info(name, TASK_EVENTS_INFO, (task_info_t)info, &room));
	RETURNS(code, task_suspend(name));
	RETURNS(code, task_terminate(name));
	CHECK(data == 7 && count == 7 && size == 7 && address == base && room == 64 && depth == 7 && object == 7);
	CHECK(byte == 7 && info[0] == 7);
}

/* Runs through some 500 names a round. */
static void forged(mach_port_t task, int rounds)
{
	uint32_t name = 1;
	int i, pid, all = rounds * 500;

	all_give(MACH_SEND_INVALID_DEST, MACH_PORT_NULL);
	all_give(MACH_SEND_INVALID_DEST, MACH_PORT_DEAD);
	all_give(MACH_SEND_INVALID_DEST, mach_host_self());
	all_give(MACH_SEND_INVALID_DEST, task ^ 1);
	all_give(MACH_SEND_INVALID_DEST, task + 0x10000);
	all_give(MACH_SEND_INVALID_DEST, (mach_port_t)target_pid);
	for (i = 0; i < all && failures == 0; i++) {
		/* All low numbers, then numbers from all over. */
		name = i < all / 2 ? (uint32_t)i : name * 1664525 + 1013904223;
		if (name != task && name != mach_task_self())
			RETURNS(MACH_SEND_INVALID_DEST, pid_for_task(name, &pid));
	}
}

static void stale(void)
{
	mach_port_t task;

	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), target_pid, &task));
	RETURNS(KERN_SUCCESS, mach_port_mod_refs(mach_task_self(), task, MACH_PORT_RIGHT_SEND, -2));
	all_give(MACH_SEND_INVALID_DEST, task);
}

static int runs(pid_t pid, const char *program)
{
	char path[64], name[64] = "";
	FILE *comm;

	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	comm = fopen(path, "r");
	if (comm == NULL)
		return 0;
	if (fgets(name, sizeof name, comm) == NULL)
		name[0] = 0;
	fclose(comm);
	return strcmp(name, program) == 0;
}

static void ended_and_replaced(void)
{
	mach_port_t ended, before, after;
	pid_t child, other;

	child = fork_with_us();
	if (child == 0)
		for (;;)
			pause();
	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), child, &ended));
	kill(child, SIGKILL);
	waitid(P_PID, (id_t)child, NULL, WEXITED | WNOWAIT);
	all_give(KERN_INVALID_ARGUMENT, ended);
	waitpid(child, NULL, 0);
	all_give(KERN_INVALID_ARGUMENT, ended);
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), ended));

	other = fork_with_us();
	if (other == 0) {
		raise(SIGSTOP);
		execlp("sleep", "sleep", "600", (char *)NULL);
		_exit(1);
	}
	waitpid(other, NULL, WUNTRACED);
	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), other, &before));
	kill(other, SIGCONT);
	WAIT_FOR(runs(other, "sleep\n"));
	all_give(KERN_INVALID_ARGUMENT, before);
	/* The same pid, but another program: another name. */
	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), other, &after));
	CHECK(after != before);
	all_give(KERN_INVALID_ARGUMENT, before);
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
}

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);

	if (argc != 4)
		return 2;
	forged(task, atoi(argv[3]));
	stale();
	ended_and_replaced();
	return failures != 0;
}
