/* SPDX-License-Identifier: Apache-2.0 */
/* A target that uses io_uring, so that threads which the kernel made belong to it and
 * never return to its code. It prints "ready ADDRESS", of a page, when they are there,
 * and then answers each line with how many rounds its own thread has made.
 *
 * usage: rings KIND [STATE]
 *   KIND   sqpoll: a thread that looks for work; workers: threads in a read of a pipe
 *          that nobody writes to; both
 *   STATE  of the first thread: reads its input, the default; gone: it has ended, and
 *          another one reads; computes; waits: in a futex
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, ENTRIES = 8, READS = 4 };
static atomic_long rounds;
static char *page;

static void fail(const char *what)
{
	perror(what);
	_exit(1);
}

static int set_up(unsigned flags, struct io_uring_params *p)
{
	*p = (struct io_uring_params){.flags = flags, .sq_thread_idle = 1};
	int ring = syscall(SYS_io_uring_setup, ENTRIES, p);
	if (ring < 0)
		fail("io_uring_setup");
	return ring;
}

/* Each read is of a pipe of its own and asks for a worker at once. */
static void start_workers(void)
{
	static char bytes[READS];
	struct io_uring_params p;
	int ring = set_up(0, &p);
	char *queue = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	struct io_uring_sqe *entries = mmap(NULL, p.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (queue == MAP_FAILED || entries == MAP_FAILED)
		fail("mmap");
	for (unsigned i = 0; i < READS; i++) {
		int ends[2];
		if (pipe(ends) != 0)
			fail("pipe");
		entries[i] = (struct io_uring_sqe){.opcode = IORING_OP_READ, .flags = IOSQE_ASYNC, .fd = ends[0], .addr = (uintptr_t)&bytes[i], .len = 1};
		((unsigned *)(queue + p.sq_off.array))[i] = i;
	}
	atomic_store((atomic_uint *)(queue + p.sq_off.tail), READS);
	if (syscall(SYS_io_uring_enter, ring, READS, 0, 0, NULL, 0) != READS)
		fail("io_uring_enter");
}

/* The thread that asks for them keeps its workers. */
static void *work(void *kind)
{
	struct io_uring_params p;
	if (strcmp(kind, "workers") != 0)
		set_up(IORING_SETUP_SQPOLL, &p);
	if (strcmp(kind, "sqpoll") != 0)
		start_workers();
	for (;;) {
		rounds++;
		nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
	}
	return kind;
}

static void *answer(void *unused)
{
	printf("ready %p\n", (void *)page);
	fflush(stdout);
	char line[64];
	while (fgets(line, sizeof line, stdin)) {
		printf("%ld\n", (long)rounds);
		fflush(stdout);
	}
	exit(0);
	return unused;
}

int main(int argc, char **argv)
{
	static atomic_int word;
	pthread_t thread;
	if (argc < 2)
		return 64;
	const char *state = argc > 2 ? argv[2] : "reads";
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* its writers are siblings, which Yama keeps away */
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_create(&thread, NULL, work, argv[1]);
	while (rounds == 0)
		usleep(1000);
	if (strcmp(state, "reads") == 0)
		answer(NULL);
	pthread_create(&thread, NULL, answer, NULL);
	if (strcmp(state, "gone") == 0)
		syscall(SYS_exit, 0);
	while (strcmp(state, "computes") == 0)
		rounds++;
	for (;;)
		syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}
