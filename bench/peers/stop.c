/* SPDX-License-Identifier: Apache-2.0 */
/* The least that a debugger must do around a write while all threads stand
 * still: seize, interrupt and await each, write, detach each. It looks at the
 * list of threads once, so unlike the library it can miss one that is born
 * meanwhile. */
#include "common.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_THREADS = 4096 };

static int list_threads(pid_t pid, pid_t *threads)
{
	char path[64];
	int count = 0;
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	DIR *directory = opendir(path);
	if (!directory)
		return 0;
	for (struct dirent *e; (e = readdir(directory)) && count < MOST_THREADS;)
		if (e->d_name[0] != '.')
			threads[count++] = atoi(e->d_name);
	closedir(directory);
	return count;
}

int stop_and_write(pid_t pid, int memory, uint64_t address, const void *data, size_t size)
{
	static pid_t threads[MOST_THREADS];
	int count = list_threads(pid, threads), status, ok = count > 0;
	for (int i = 0; i < count; i++)
		ok &= ptrace(PTRACE_SEIZE, threads[i], 0, 0) == 0 && ptrace(PTRACE_INTERRUPT, threads[i], 0, 0) == 0;
	for (int i = 0; ok && i < count; i++)
		ok &= waitpid(threads[i], &status, __WALL) == threads[i];
	ok = ok && pwrite(memory, data, size, address) == (ssize_t)size;
	for (int i = 0; i < count; i++)
		ptrace(PTRACE_DETACH, threads[i], 0, 0);
	return ok;
}
