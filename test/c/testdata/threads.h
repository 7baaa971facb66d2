/* SPDX-License-Identifier: Apache-2.0 */
/* A child of the test program with threads that count, and one that waits for a byte. */
#ifndef THREADS_H
#define THREADS_H

#include "check.h"
#include <pthread.h>
#include <sys/syscall.h>

#define COUNTING 3

/* What both processes see. */
struct shared {
	volatile uint64_t counts[COUNTING];
	volatile int tids[COUNTING], waiting; /* numbers of the threads, 0 before they run */
	volatile int landed, got;
	int bytes[2]; /* a pipe */
};

static struct shared *shared;
static pid_t child;

static void *count(void *number)
{
	int i = (int)(intptr_t)number;

	shared->tids[i] = (int)syscall(SYS_gettid);
	for (;; usleep(100))
		shared->counts[i]++;
	return NULL;
}

static void *wait_for_bytes(void *unused)
{
	char byte = 0;

	(void)unused;
	shared->waiting = (int)syscall(SYS_gettid);
	while (read(shared->bytes[0], &byte, 1) == 1)
		shared->got += byte;
	shared->got = -1;
	return NULL;
}

/* Starts the child and returns its task. */
static inline mach_port_t start_child(void)
{
	mach_port_t task = MACH_PORT_NULL;
	pthread_t thread;
	intptr_t i;

	shared = (struct shared *)mmap(NULL, PAGES(1), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(pipe(shared->bytes) == 0);
	child = fork_with_us();
	if (child == 0) {
		for (i = 0; i < COUNTING; i++)
			pthread_create(&thread, NULL, count, (void *)i);
		wait_for_bytes(NULL);
		_exit(1);
	}
	for (i = 0; i < COUNTING; i++)
		WAIT_FOR(shared->tids[i] != 0);
	WAIT_FOR(shared->waiting != 0);
	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), child, &task));
	if (failures)
		exit(1);
	return task;
}

static inline void end_child(void)
{
	kill(child, SIGKILL);
	CHECK(waitpid(child, NULL, 0) == child);
}

/* The name of the thread with a number; it is held once. */
static inline thread_act_t thread_with(mach_port_t task, int tid)
{
	thread_act_array_t list = NULL;
	mach_msg_type_number_t count = 0, room, i;
	thread_act_t found = THREAD_NULL;
	thread_identifier_info_data_t info;

	RETURNS(KERN_SUCCESS, task_threads(task, &list, &count));
	for (i = 0; i < count; i++) {
		room = THREAD_IDENTIFIER_INFO_COUNT;
		RETURNS(KERN_SUCCESS, thread_info(list[i], THREAD_IDENTIFIER_INFO, (thread_info_t)&info, &room));
		if (info.thread_id == (uint64_t)tid)
			found = list[i];
		else
			RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), list[i]));
	}
	RETURNS(KERN_SUCCESS, vm_deallocate(mach_task_self(), (vm_address_t)list, count * sizeof *list));
	CHECK(found != THREAD_NULL);
	return found;
}

/* Waits until the other counting threads have counted on, and tells whether this one has. */
static inline int counts(int number)
{
	uint64_t before[COUNTING];
	int i;

	for (i = 0; i < COUNTING; i++)
		before[i] = shared->counts[i];
	for (i = 0; i < COUNTING; i++)
		if (i != number)
			WAIT_FOR(shared->counts[i] > before[i] + 10);
	return shared->counts[number] != before[number];
}

#endif
