/* SPDX-License-Identifier: Apache-2.0 */
// A target with threads that count and threads that each wait in a system call. None of
// them holds a lock, so each can be kept where it is. It reads commands, one a line, and
// answers each with a line:
//
//	counting        the numbers of the counting threads
//	counts          how far they have come
//	waiting NAME    the number of the thread that waits in read, futex, epoll or nanosleep
//	end NAME        ends its wait
//	result NAME     what the last wait of it returned: "-" until it has, or "0", "1", "EINTR"
//	land            the address of a function that only counts, and never returns
//	landed          how far that has come
//	exec            runs this program anew
//	exec when held  has another thread do so when the first one is stopped
//	exec when told  has another thread do so when it gets the next line
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define COUNTING 3

static volatile uint64_t counts[COUNTING], landed;
static volatile int tids[COUNTING];
static int bytes[2], events, poll;
static volatile uint32_t word;
static volatile int ends; // of nanosleep: how often it is made

static void pause_for(long nanoseconds) {
	struct timespec t = {0, nanoseconds};
	syscall(SYS_nanosleep, &t, NULL);
}

static void *count(void *number) {
	int i = (int)(intptr_t)number;
	tids[i] = (int)syscall(SYS_gettid);
	for (;; pause_for(1000))
		counts[i]++;
	return NULL;
}

// It does not wait by the instruction of syscall(2), as the others do: see ErrWaits of
// internal/ptrace.
static void land(void) {
	for (;; usleep(1000))
		landed++;
}

static long wait_read(void) {
	char byte;
	return syscall(SYS_read, bytes[0], &byte, 1);
}

static long wait_futex(void) {
	return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static long wait_epoll(void) {
	struct epoll_event event;
	return syscall(SYS_epoll_pwait, poll, &event, 1, -1, NULL, 8);
}

static long wait_nanosleep(void) {
	struct timespec t = {3600, 0}, end = {0, 300000000};
	return syscall(SYS_nanosleep, ends ? &end : &t, NULL);
}

static struct waiting {
	const char *name;
	long (*wait)(void);
	volatile int tid, made;
	volatile long result;
	volatile int error;
} waits[] = {
	{.name = "read", .wait = wait_read}, {.name = "futex", .wait = wait_futex},
	{.name = "epoll", .wait = wait_epoll}, {.name = "nanosleep", .wait = wait_nanosleep},
};

static void *wait_once(void *argument) {
	struct waiting *w = argument;
	w->tid = (int)syscall(SYS_gettid);
	w->result = w->wait();
	w->error = errno;
	__sync_synchronize();
	w->made = 1;
	for (;;)
		pause_for(1000000);
	return NULL;
}

static struct waiting *start_waiting(const char *name) {
	for (unsigned i = 0; i < sizeof waits / sizeof *waits; i++) {
		struct waiting *w = &waits[i];
		pthread_t thread;
		if (strcmp(w->name, name) != 0)
			continue;
		if (w->tid == 0) {
			pthread_create(&thread, NULL, wait_once, w);
			while (w->tid == 0)
				pause_for(1000);
		}
		return w;
	}
	exit(2);
}

static char **arguments;

static void *exec_when_held(void *unused) {
	char text[256] = "", path[64];
	const char *state = NULL;
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)getpid());
	while (state == NULL || state[2] != 't') {
		FILE *stat = fopen(path, "r");
		if (stat == NULL || fgets(text, sizeof text, stat) == NULL)
			exit(4);
		fclose(stat);
		state = strrchr(text, ')');
	}
	execv("/proc/self/exe", arguments);
	return unused;
}

static void *exec_when_told(void *unused) {
	char line[16];
	if (read(0, line, sizeof line) > 0)
		execv("/proc/self/exe", arguments);
	return unused;
}

static void end_wait(const char *name) {
	uint64_t one = 1;
	long done = 0;
	if (strcmp(name, "read") == 0)
		done = write(bytes[1], "b", 1);
	else if (strcmp(name, "epoll") == 0)
		done = write(events, &one, sizeof one);
	else if (strcmp(name, "futex") == 0)
		while ((done = syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0)) == 0)
			pause_for(1000000); // until it waits again
	if (done < 0)
		exit(3);
}

int main(int argc, char **argv) {
	char line[64], name[64];
	(void)argc;
	arguments = argv;
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	if (pipe(bytes) != 0)
		return 1;
	struct epoll_event event = {.events = EPOLLIN};
	events = eventfd(0, 0);
	poll = epoll_create1(0);
	epoll_ctl(poll, EPOLL_CTL_ADD, events, &event);
	for (int i = 0; i < COUNTING; i++) {
		pthread_t thread;
		pthread_create(&thread, NULL, count, (void *)(intptr_t)i);
	}
	for (int i = 0; i < COUNTING; i++)
		while (counts[i] == 0)
			pause_for(1000);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = 0;
		if (strcmp(line, "counting") == 0) {
			printf("%d %d %d\n", tids[0], tids[1], tids[2]);
		} else if (strcmp(line, "counts") == 0) {
			printf("%llu %llu %llu\n", (unsigned long long)counts[0], (unsigned long long)counts[1], (unsigned long long)counts[2]);
		} else if (strcmp(line, "land") == 0) {
			printf("%llu\n", (unsigned long long)(uintptr_t)land);
		} else if (strcmp(line, "landed") == 0) {
			printf("%llu\n", (unsigned long long)landed);
		} else if (strcmp(line, "exec") == 0) {
			execv("/proc/self/exe", argv);
		} else if (sscanf(line, "exec when %s", name) == 1) {
			pthread_t thread;
			pthread_create(&thread, NULL, strcmp(name, "held") == 0 ? exec_when_held : exec_when_told, NULL);
			printf("soon\n");
		} else if (sscanf(line, "waiting %s", name) == 1) {
			ends = 0;
			printf("%d\n", start_waiting(name)->tid);
		} else if (sscanf(line, "short %s", name) == 1) {
			ends = 1;
			printf("%d\n", start_waiting(name)->tid);
		} else if (sscanf(line, "end %s", name) == 1) {
			end_wait(name);
			printf("ended\n");
		} else if (sscanf(line, "result %s", name) == 1) {
			struct waiting *w = start_waiting(name);
			if (!w->made)
				printf("-\n");
			else if (w->result >= 0)
				printf("%ld\n", w->result);
			else
				printf("%s\n", w->error == EINTR ? "EINTR" : strerror(w->error));
		} else {
			printf("?\n");
		}
	}
	return 0;
}
