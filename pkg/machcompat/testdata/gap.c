/* SPDX-License-Identifier: Apache-2.0 */
/* A target that measures how long it stands still: one thread looks at the clock
 * without pause and notes each gap of more than a few microseconds, while the
 * others sleep. It prints the address of a page; when its input ends it prints
 * the median and the longest gap in nanoseconds, and how many there were.
 *
 * usage: gap THREADS
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1 << 20 };
static long gaps[MOST];
static atomic_int ending;

static void *idle(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void *input(void *unused)
{
	char c;
	while (read(0, &c, 1) > 0)
		continue;
	ending = 1;
	return unused;
}

static int compare(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;
	return (x > y) - (x < y);
}

static long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	for (int i = argc > 1 ? atoi(argv[1]) : 1; i > 2; i--)
		pthread_create(&thread, NULL, idle, NULL);
	pthread_create(&thread, NULL, input, NULL);
	printf("%p\n", mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	fflush(stdout);
	long count = 0, last = now();
	while (!ending) {
		long at = now();
		if (at - last > 8000 && count < MOST)
			gaps[count++] = at - last;
		last = at;
	}
	qsort(gaps, count, sizeof gaps[0], compare);
	printf("%ld %ld %ld\n", count ? gaps[count / 2] : 0, count ? gaps[count - 1] : 0, count);
	return 0;
}
