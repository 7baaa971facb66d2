/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program again and again and prints the nanoseconds of each run on
 * average, and the most memory that one of them had resident, in bytes. It
 * is small because of that memory: the kernel counts, for a child of vfork, what
 * its parent had resident before the exec.
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

int main(int argc, char **argv)
{
	if (argc < 3)
		return 64;
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	long times = atol(argv[1]), most = 0, start = now();
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
	}
	printf("%ld %ld\n", (now() - start) / times, most * 1024);
	return 0;
}
