/* SPDX-License-Identifier: Apache-2.0 */
/* A target of many threads.
 *
 *	threads wait COUNT    threads in system calls that wait, which check what those return
 *	threads create COUNT  relays: threads that each create the next one and end
 *
 * It prints the address of a page, works until its input ends, and prints "ok"
 * and how often a system call that any stop may interrupt was interrupted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_int ending, word, running;
static atomic_long created, interrupted;
static int pipe_ends[2], poll_set;
static pthread_attr_t small;

static void fail(const char *what, long got, long want)
{
	fprintf(stderr, "threads: %s: %ld, want %ld\n", what, got, want);
	_exit(1);
}

static void start(void *(*run)(void *), void *argument)
{
	pthread_t thread;
	running++;
	int error = pthread_create(&thread, &small, run, argument);
	if (error != 0)
		fail("pthread_create", error, 0);
}

/* A stop must not end these: signal(7) has them start again. */
static void *in_futex(void *unused)
{
	while (!ending) {
		long n = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
		if (n != 0 && !(errno == EAGAIN && ending))
			fail("futex", errno, 0);
		if (n == 0 && !ending)
			fail("futex woke", 0, 1);
	}
	running--;
	return unused;
}

static void *in_read(void *unused)
{
	char c;
	ssize_t n = read(pipe_ends[0], &c, 1);
	if (n != 0)
		fail("read", n < 0 ? -errno : n, 0);
	running--;
	return unused;
}

static void *in_nanosleep(void *unused)
{
	while (!ending) {
		struct timespec start, end, pause = {0, 50000000};
		clock_gettime(CLOCK_MONOTONIC, &start);
		if (nanosleep(&pause, NULL) != 0)
			fail("nanosleep", errno, 0);
		clock_gettime(CLOCK_MONOTONIC, &end);
		long slept = (end.tv_sec - start.tv_sec) * 1000000000L + end.tv_nsec - start.tv_nsec;
		if (slept < pause.tv_nsec)
			fail("nanosleep slept", slept, pause.tv_nsec);
	}
	running--;
	return unused;
}

/* Any stop may end this one, by signal(7). */
static void *in_epoll(void *unused)
{
	struct epoll_event event;
	while (!ending) {
		int n = epoll_wait(poll_set, &event, 1, 100);
		if (n < 0 && errno != EINTR)
			fail("epoll_wait", errno, EINTR);
		if (n < 0)
			interrupted++;
		if (n > 0 && !ending)
			fail("epoll_wait", n, 0);
	}
	running--;
	return unused;
}

static void *relay(void *unused)
{
	created++;
	if (!ending)
		start(relay, NULL);
	running--;
	return unused;
}

int main(int argc, char **argv)
{
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* its writers are siblings, which Yama keeps away */
	if (argc != 3)
		return 64;
	int waiting = strcmp(argv[1], "wait") == 0, count = atoi(argv[2]);
	void *(*const kinds[])(void *) = {in_futex, in_read, in_nanosleep, in_epoll};
	poll_set = epoll_create1(0);
	if (pipe(pipe_ends) != 0 || poll_set < 0)
		fail("pipe", errno, 0);
	struct epoll_event event = {.events = EPOLLIN};
	epoll_ctl(poll_set, EPOLL_CTL_ADD, pipe_ends[0], &event);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 << 10);
	pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < count; i++)
		start(waiting ? kinds[i % 4] : relay, NULL);
	printf("%p\n", (void *)page);
	fflush(stdout);
	char c;
	while (read(0, &c, 1) > 0)
		continue;
	ending = 1;
	word = 1;
	close(pipe_ends[1]);
	for (int i = 0; i < 120000 && running > 0; i++) {
		syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
		usleep(1000);
	}
	if (running != 0)
		fail("threads that still run", running, 0);
	printf("ok %ld created, epoll_wait interrupted %ld times\n", (long)created, (long)interrupted);
	return 0;
}
