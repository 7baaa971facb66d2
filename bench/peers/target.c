/* SPDX-License-Identifier: Apache-2.0 */
/* The process that is written into. It takes commands on its input, a line each,
 * and answers each with a line; it ends with its input, so it never outlives the
 * one who commands it.
 *
 *   maps COUNT           split pages until the process has COUNT mappings:
 *                        "FIRST LAST COUNT", two writable pages and what it came to
 *   grid COUNT PAGES     COUNT writable mappings of PAGES pages, one read-only page
 *                        behind each: the address of the first
 *   region BYTES touched|untouched
 *   code BYTES           memory that can be read and run, of nop instructions
 *   dontneed ADDRESS BYTES
 *   drop ADDRESS BYTES
 *   threads COUNT        COUNT threads in all; the new ones sleep
 *   peek ADDRESS         the 4 bytes there, as a number
 *   gaps                 look at the clock until SIGUSR1: "START LENGTH ..." in ns
 *                        of each moment in which this thread stood still
 *   faults on|off        a thread that maps and touches memory without pause: on
 *                        "off" the longest page fault, madvise, mmap and munmap, in
 *                        ns, and how often it did all four
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { SHORTEST_GAP = 1000, MOST_GAPS = 1 << 16 };

static size_t page;
static struct { long start, length; } gaps[MOST_GAPS];
static atomic_int woken, faulting;
enum { FAULT, MADVISE, MMAP, MUNMAP, STEPS };
static long longest[STEPS];
static atomic_long turns;
static pthread_t faulter;

static long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static char *map(size_t size, int protection, int flags)
{
	char *p = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static long count_mappings(void)
{
	char buffer[4096];
	long count = 0;
	FILE *file = fopen("/proc/self/maps", "r");
	if (!file)
		return 0;
	for (size_t n; (n = fread(buffer, 1, sizeof buffer, file)) > 0;)
		for (size_t i = 0; i < n; i++)
			count += buffer[i] == '\n';
	fclose(file);
	return count;
}

/* Neighbours of the same protection would become one mapping. */
static void split(long total)
{
	long pages = total - count_mappings();
	if (pages < 3)
		pages = 3;
	char *base = map(pages * page, PROT_READ | PROT_WRITE, 0);
	if (!base) {
		puts("error no memory");
		return;
	}
	for (long i = 1; i < pages; i += 2)
		if (mprotect(base + i * page, page, PROT_READ) != 0) {
			puts("error too many mappings");
			return;
		}
	char *last = base + (pages - 1) / 2 * 2 * page;
	*base = *last = 1;
	printf("ok %p %p %ld\n", base, last, count_mappings());
}

static void grid(long count, long pages)
{
	size_t stride = (pages + 1) * page;
	char *base = map(count * stride, PROT_READ | PROT_WRITE, 0);
	if (!base) {
		puts("error no memory");
		return;
	}
	memset(base, 1, count * stride);
	for (long i = 0; i < count; i++)
		mprotect(base + i * stride + pages * page, page, PROT_READ);
	printf("ok %p\n", base);
}

static void region(size_t size, const char *kind)
{
	char *base = map(size, PROT_READ | PROT_WRITE, MAP_NORESERVE);
	if (!base) {
		puts("error no memory");
		return;
	}
	if (strcmp(kind, "touched") == 0)
		memset(base, 1, size);
	printf("ok %p\n", base);
}

static void code(size_t size)
{
	char *base = map(size, PROT_READ | PROT_WRITE, 0);
	if (!base) {
		puts("error no memory");
		return;
	}
	memset(base, 0x90, size);
	mprotect(base, size, PROT_READ | PROT_EXEC);
	printf("ok %p\n", base);
}

static void *sleeper(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void start_threads(long count)
{
	static long running = 1;
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 << 10);
	for (; running < count; running++)
		if (pthread_create(&thread, &attributes, sleeper, NULL) != 0) {
			puts("error no thread");
			return;
		}
	puts("ok");
}

static void wake(int signal)
{
	(void)signal;
	woken = 1;
}

/* The caller knows when it touched this process, on the same clock, and leaves
 * out the gaps that the scheduler made at other times. */
static void watch(void)
{
	long count = 0, last = now();
	while (!woken) {
		long at = now();
		if (at - last > SHORTEST_GAP && count < MOST_GAPS) {
			gaps[count].start = last;
			gaps[count++].length = at - last;
		}
		last = at;
	}
	woken = 0;
	printf("ok");
	for (long i = 0; i < count; i++)
		printf(" %ld %ld", gaps[i].start, gaps[i].length);
	putchar('\n');
}

static void note(int step, long start)
{
	long took = now() - start;
	if (took > longest[step])
		longest[step] = took;
}

/* A page fault of memory that is mapped needs the lock of that mapping alone,
 * mmap and munmap the lock of the whole address space. */
static void *fault(void *unused)
{
	enum { PAGES = 16 };
	char *own = map(PAGES * page, PROT_READ | PROT_WRITE, 0);
	for (; faulting; turns++) {
		for (int i = 0; i < PAGES; i++) {
			long start = now();
			own[i * page] = 1;
			note(FAULT, start);
		}
		long start = now();
		madvise(own, PAGES * page, MADV_DONTNEED);
		note(MADVISE, start);
		start = now();
		char *other = map(PAGES * page, PROT_READ | PROT_WRITE, 0);
		note(MMAP, start);
		*other = 1;
		start = now();
		munmap(other, PAGES * page);
		note(MUNMAP, start);
	}
	munmap(own, PAGES * page);
	return unused;
}

static void faults(const char *what)
{
	if (strcmp(what, "on") == 0) {
		memset(longest, 0, sizeof longest);
		turns = 0;
		faulting = 1;
		pthread_create(&faulter, NULL, fault, NULL);
		while (turns == 0)
			sched_yield();
		puts("ok");
		return;
	}
	faulting = 0;
	pthread_join(faulter, NULL);
	printf("ok %ld %ld %ld %ld %ld\n", longest[FAULT], longest[MADVISE], longest[MMAP], longest[MUNMAP], (long)turns);
}

static void obey(const char *line)
{
	char word[32] = "", kind[32] = "";
	unsigned long a = 0, b = 0;
	if (sscanf(line, "faults %31s", kind) == 1)
		faults(kind);
	else if (sscanf(line, "region %lu %31s", &a, kind) == 2)
		region(a, kind);
	else if (sscanf(line, "%31s %li %li", word, (long *)&a, (long *)&b) < 1)
		puts("error no command");
	else if (strcmp(word, "maps") == 0)
		split(a);
	else if (strcmp(word, "grid") == 0)
		grid(a, b);
	else if (strcmp(word, "code") == 0)
		code(a);
	else if (strcmp(word, "threads") == 0)
		start_threads(a);
	else if (strcmp(word, "gaps") == 0)
		watch();
	else if (strcmp(word, "peek") == 0)
		printf("ok %u\n", *(volatile uint32_t *)a);
	else if (strcmp(word, "dontneed") == 0)
		puts(madvise((void *)a, b, MADV_DONTNEED) == 0 ? "ok" : "error madvise");
	else if (strcmp(word, "drop") == 0)
		puts(munmap((void *)a, b) == 0 ? "ok" : "error munmap");
	else
		puts("error unknown command");
}

int main(void)
{
	static char line[256];
	page = sysconf(_SC_PAGESIZE);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* its writers are siblings, which Yama keeps away */
	signal(SIGUSR1, wake);
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	while (fgets(line, sizeof line, stdin)) {
		obey(line);
		fflush(stdout);
	}
	return 0;
}
