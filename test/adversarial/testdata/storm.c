/* SPDX-License-Identifier: Apache-2.0 */
/* A target whose threads map, unmap, protect, move and drop a range of pages
 * without pause, and that knows of each page whether it may be written.
 *
 *	storm shared|private THREADS
 *
 * Descriptor 3 is the control page, shared with the test; 4 is the file that the
 * range maps when it is shared, so that what arrives stays to be seen whatever
 * happens to the mapping. It prints the address of the range, storms until its
 * input ends, and prints "ok".
 *
 * Each page belongs to one thread. That thread makes an epoch of each time in
 * which it has made sure that the page can't be written: the epoch's number is
 * odd, and a byte that changes in it is a fault, counted here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { PAGES = 64, GROUP = 4 };
#define PAGE sysconf(_SC_PAGESIZE)

struct control {
	_Atomic uint64_t epoch[PAGES]; /* odd while the page can't be written */
	_Atomic uint64_t faults;       /* epochs in which a byte arrived */
	_Atomic uint64_t fault_page, fault_kind;
	_Atomic uint64_t denials, disturbances;
};

static struct control *control;
static char *range = (char *)0x100000010000;
static char *const elsewhere = (char *)0x200000010000;
static const char *alias; /* the file of a shared range, at a place that nobody writes to */
static int shared, threads, own_memory, sees_all;
static atomic_int ending;

static void fail(const char *what)
{
	fprintf(stderr, "storm: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void linger(uint32_t *random)
{
	uint32_t n = next(random);
	if (n % 4 == 0) {
		usleep(n / 4 % 100);
		return;
	}
	for (volatile uint32_t i = n / 4 % 20000; i > 0; i--)
		continue;
}

static void map(int page, int count, int prot)
{
	char *at = range + page * PAGE;
	int flags = shared ? MAP_SHARED | MAP_FIXED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	if (mmap(at, count * PAGE, prot, flags, shared ? 4 : -1, shared ? page * PAGE : 0) != at)
		fail("mmap");
}

static void protect(int page, int count, int prot)
{
	if (mprotect(range + page * PAGE, count * PAGE, prot) != 0)
		fail("mprotect");
}

static void move(char *from, char *to, int count)
{
	if (mremap(from, count * PAGE, count * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		fail("mremap");
}

/* look copies pages whatever their protection, unless the kernel was started with
 * proc_mem.force_override: sees_all is 0 then.
 */
static void look(char *to, int page, int count, int moved)
{
	char *at = (moved ? elsewhere : range) + page * PAGE;
	if (shared)
		memcpy(to, alias + page * PAGE, count * PAGE);
	else if (pread(own_memory, to, count * PAGE, (off_t)at) != count * PAGE)
		fail("look");
}

enum { READ_ONLY, NO_ACCESS, EXECUTABLE, MOVED, UNMAPPED, MAPPED_READ_ONLY, KINDS };

static void deny(int kind, int page, int count)
{
	switch (kind) {
	case READ_ONLY:
		return protect(page, count, PROT_READ);
	case NO_ACCESS:
		return protect(page, count, PROT_NONE);
	case EXECUTABLE:
		return protect(page, count, PROT_READ | PROT_EXEC);
	case MOVED:
		return move(range + page * PAGE, elsewhere + page * PAGE, count);
	case UNMAPPED:
		if (munmap(range + page * PAGE, count * PAGE) != 0)
			fail("munmap");
		return;
	case MAPPED_READ_ONLY:
		return map(page, count, PROT_READ);
	}
}

static void allow(int kind, int page, int count)
{
	if (kind == MOVED)
		move(elsewhere + page * PAGE, range + page * PAGE, count);
	else if (kind == UNMAPPED)
		map(page, count, PROT_READ | PROT_WRITE);
	else
		protect(page, count, PROT_READ | PROT_WRITE);
}

static void denied_epoch(int page, int count, uint32_t *random)
{
	char before[GROUP * PAGE], after[GROUP * PAGE];
	/* What is mapped anew in private memory is empty: it would lose the bytes. */
	int kind = next(random) % (shared ? KINDS : MOVED + 1);
	if (kind == NO_ACCESS && !shared && !sees_all)
		kind = READ_ONLY;
	deny(kind, page, count);
	look(before, page, count, kind == MOVED);
	for (int i = page; i < page + count; i++)
		control->epoch[i]++;
	linger(random);
	look(after, page, count, kind == MOVED);
	/* The far end of a move may be written; its old place is what counts. */
	if (kind != MOVED && memcmp(before, after, count * PAGE) != 0) {
		control->fault_page = page;
		control->fault_kind = kind;
		control->faults++;
	}
	for (int i = page; i < page + count; i++)
		control->epoch[i]++;
	control->denials++;
	allow(kind, page, count);
}

/* disturb leaves the page writable but for moments. */
static void disturb(int page, int count, uint32_t *random)
{
	if (shared && next(random) % 2) {
		if (madvise(range + page * PAGE, count * PAGE, MADV_DONTNEED) != 0)
			fail("madvise");
	} else if (shared && next(random) % 2) {
		map(page, count, PROT_READ | PROT_WRITE);
	} else {
		move(range + page * PAGE, elsewhere + page * PAGE, count);
		move(elsewhere + page * PAGE, range + page * PAGE, count);
	}
	control->disturbances++;
}

static void *storm(void *place)
{
	int thread = (int)(long)place;
	uint32_t random = 2463534242u + thread;
	while (!ending) {
		int groups = PAGES / GROUP / threads;
		int group = thread + threads * (next(&random) % groups);
		int first = next(&random) % GROUP;
		int count = 1 + next(&random) % (GROUP - first);
		if (next(&random) % 3)
			denied_epoch(group * GROUP + first, count, &random);
		else
			disturb(group * GROUP + first, count, &random);
		linger(&random);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* its writers are siblings, which Yama keeps away */
	pthread_t all[PAGES];
	if (argc != 3)
		return 64;
	shared = strcmp(argv[1], "shared") == 0;
	threads = atoi(argv[2]);
	control = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
	own_memory = open("/proc/self/mem", O_RDONLY);
	char byte, *hidden = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (control == MAP_FAILED || hidden == MAP_FAILED || own_memory < 0)
		fail("start");
	sees_all = pread(own_memory, &byte, 1, (off_t)hidden) == 1;
	if (shared) {
		alias = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, 4, 0);
		if (alias == MAP_FAILED)
			fail("alias");
	}
	map(0, PAGES, PROT_READ | PROT_WRITE);
	printf("%p\n", (void *)range);
	fflush(stdout);
	for (long i = 0; i < threads; i++)
		if (pthread_create(&all[i], NULL, storm, (void *)i) != 0)
			fail("pthread_create");
	char c;
	while (read(0, &c, 1) > 0)
		continue;
	ending = 1;
	for (int i = 0; i < threads; i++)
		pthread_join(all[i], NULL);
	printf("ok\n");
	return 0;
}
