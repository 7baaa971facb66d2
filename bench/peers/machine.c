/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine takes for the things that everything else is made of, and for
 * taking turns on its cores. It takes commands on its input, a line each, and
 * answers with the nanoseconds that all took together.
 *
 *   call CALLS      getppid, a system call that does next to nothing
 *   fault CALLS     the first touch of a page of 4 KiB, anonymous and private
 *   handover CALLS  a byte to a process on the same core, through a pipe: a write,
 *                   a context switch, a read
 *   spin NS         keeps a core busy for so long
 */
#include "common.h"
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int empty_calls(long calls)
{
	long start = now();
	for (long i = 0; i < calls; i++)
		syscall(SYS_getppid);
	printf("ok %ld\n", now() - start);
	return 1;
}

/* A mapping of some pages at a time, so that many calls need little memory. */
static int faults(long calls)
{
	enum { PAGES = 4096 };
	size_t page = sysconf(_SC_PAGESIZE);
	long took = 0;
	for (long done = 0; done < calls; done += PAGES) {
		long count = calls - done < PAGES ? calls - done : PAGES;
		char *fresh = mmap(NULL, count * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (fresh == MAP_FAILED)
			return 0;
		madvise(fresh, count * page, MADV_NOHUGEPAGE); /* refused where there are none */
		long start = now();
		for (long i = 0; i < count; i++)
			((volatile char *)fresh)[i * page] = 1;
		took += now() - start;
		munmap(fresh, count * page);
	}
	printf("ok %ld\n", took);
	return 1;
}

static int pass(int from, int to)
{
	char byte = 0;
	return read(from, &byte, 1) == 1 && write(to, &byte, 1) == 1;
}

/* There and back are two. */
static int handovers(long calls)
{
	cpu_set_t all, one;
	int there[2], back[2], ok;
	char byte = 0;
	if (sched_getaffinity(0, sizeof all, &all) != 0 || pipe(there) != 0 || pipe(back) != 0)
		return 0;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof one, &one) != 0)
		return 0;
	pid_t child = fork();
	if (child == 0) {
		close(there[1]);
		while (pass(there[0], back[1]))
			continue;
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	ok = child > 0 && write(there[1], &byte, 1) == 1 && pass(back[0], there[1]); /* it runs */
	long turns = (calls + 1) / 2, start = now();
	for (long i = 0; ok && i < turns; i++)
		ok = pass(back[0], there[1]);
	long took = now() - start;
	close(there[1]);
	close(back[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	sched_setaffinity(0, sizeof all, &all);
	if (ok)
		printf("ok %ld\n", took * calls / (2 * turns));
	return ok;
}

static int spin(long ns)
{
	long start = now();
	while (now() - start < ns)
		continue;
	printf("ok %ld\n", now() - start);
	return 1;
}

int main(void)
{
	char line[64], word[16];
	long number;
	while (fgets(line, sizeof line, stdin)) {
		int ok = 0;
		if (sscanf(line, "%15s %ld", word, &number) == 2) {
			if (strcmp(word, "call") == 0)
				ok = empty_calls(number);
			else if (strcmp(word, "fault") == 0)
				ok = faults(number);
			else if (strcmp(word, "handover") == 0)
				ok = handovers(number);
			else if (strcmp(word, "spin") == 0)
				ok = spin(number);
		}
		if (!ok)
			printf("error %s: %m\n", strtok(line, "\n"));
		fflush(stdout);
	}
	return 0;
}
