/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program again and again and prints, of each run on average, the
 * nanoseconds, the voluntary context switches, the minor page faults, and the
 * threads and processes; at the end the most memory that one of them had resident,
 * in bytes. It is small because of that memory: the kernel counts, for a child of
 * vfork, what its parent had resident before the exec.
 *
 * usage: run TIMES PROGRAM ARGUMENT...
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* The number that was given to a thread or process last: each takes the next. */
static long last_number(void)
{
	long number = 0;
	FILE *file = fopen("/proc/loadavg", "r");
	if (file) {
		if (fscanf(file, "%*s %*s %*s %*s %ld", &number) != 1)
			number = 0;
		fclose(file);
	}
	return number;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 64;
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	long times = atol(argv[1]), most = 0, switches = 0, faults = 0, before = last_number(), start = now();
	for (long i = 0; i < times; i++) {
		pid_t child;
		int status;
		struct rusage usage;
		if (posix_spawnp(&child, argv[2], &actions, NULL, argv + 2, environ) != 0)
			return 1;
		if (wait4(child, &status, 0, &usage) != child || status != 0) {
			fprintf(stderr, "%s ended with status %#x\n", argv[2], status);
			return 2;
		}
		if (usage.ru_maxrss > most)
			most = usage.ru_maxrss;
		switches += usage.ru_nvcsw;
		faults += usage.ru_minflt;
	}
	long took = now() - start, threads = last_number() - before;
	printf("%ld %g %g %g %ld\n", took / times, (double)switches / times, (double)faults / times,
		threads < 0 ? 0 : (double)threads / times, most * 1024);
	return 0;
}
