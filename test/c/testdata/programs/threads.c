/* SPDX-License-Identifier: Apache-2.0 */
/* 16 threads that make all sorts of calls at once, on one target: threads PID BASE ROUNDS. */
#include "../check.h"

#include <pthread.h>

enum { THREADS = 16 };

static mach_port_t task;
static int rounds;

/* Writes and reads 8 bytes that belong to this thread. */
static void write_and_read(int number, int round)
{
	uint64_t value = (uint64_t)number << 32 | (uint64_t)round, seen = 0;
	mach_vm_address_t own = base + (mach_vm_size_t)number * 8;
	mach_vm_size_t size;
	vm_offset_t data;
	mach_msg_type_number_t count;

	RETURNS(KERN_SUCCESS, mach_vm_write(task, own, (vm_offset_t)&value, sizeof value));
	RETURNS(KERN_SUCCESS, mach_vm_read_overwrite(task, own, sizeof seen, (uintptr_t)&seen, &size));
	CHECK(seen == value);
	RETURNS(KERN_SUCCESS, mach_vm_read(task, own, sizeof seen, &data, &count));
	CHECK(*(uint64_t *)data == value);
	RETURNS(KERN_SUCCESS, vm_deallocate(mach_task_self(), data, count));
}

static void names(int round)
{
	mach_port_t name = MACH_PORT_NULL;
	int pid;

	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), round % 2 ? target_pid : getpid(), &name));
	RETURNS(KERN_SUCCESS, pid_for_task(name, &pid));
	CHECK(pid == (round % 2 ? target_pid : getpid()));
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), name));
	RETURNS(MACH_SEND_INVALID_DEST, pid_for_task((mach_port_name_t)round, &pid));
}

static void regions(void)
{
	vm_region_submap_info_data_64_t info;
	mach_msg_type_number_t count = VM_REGION_SUBMAP_INFO_COUNT_64;
	mach_vm_address_t address = base;
	mach_vm_size_t size;
	natural_t depth = 0;

	RETURNS(KERN_SUCCESS, mach_vm_region_recurse(task, &address, &size, &depth, (vm_region_recurse_info_t)&info, &count));
	CHECK(address == base);
	RETURNS(KERN_PROTECTION_FAILURE, mach_vm_write(task, READ_ONLY, (vm_offset_t)&info, sizeof info));
}

/* These stop the target, and take turns. */
static void stop(int number, int round)
{
	mach_vm_address_t room = 0, page = SECOND + (number == 15 ? PAGES(1) : 0);

	RETURNS(KERN_SUCCESS, mach_vm_protect(task, page, 1, FALSE, round % 2 ? VM_PROT_READ : VM_PROT_DEFAULT));
	RETURNS(KERN_SUCCESS, mach_vm_allocate(task, &room, PAGES(1), VM_FLAGS_ANYWHERE));
	RETURNS(KERN_SUCCESS, mach_vm_deallocate(task, room, PAGES(1)));
	RETURNS(KERN_SUCCESS, task_suspend(task));
	RETURNS(KERN_SUCCESS, task_resume(task));
}

static void *work(void *argument)
{
	int number = (int)(intptr_t)argument, round;

	for (round = 0; round < rounds && failures == 0; round++) {
		if (number >= 14)
			stop(number, round);
		else if (number >= 12)
			names(round);
		else if (number >= 10)
			regions();
		else
			write_and_read(number, round);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	int i;

	task = begin(argc, argv);
	if (argc != 4)
		return 2;
	rounds = atoi(argv[3]);
	for (i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i) == 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return failures != 0;
}
