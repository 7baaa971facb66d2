/* SPDX-License-Identifier: Apache-2.0 */
/* The first process of a pid namespace, which fills its table of pids.
 *
 *	crowd PIDS TARGET LETTER -- WRITER...
 *
 * It starts the target, process 2, and the writer, and prints the first line of
 * each. Only then is PIDS the highest pid, which from Linux 6.14 on is a limit of
 * the namespace and not of the machine. At "fill ROOM" it starts threads until
 * there is no room for another, ends ROOM of them, and prints "full" and how many
 * there are. It hands "go" to the writer and all other lines to the target, and
 * prints a line of answer, an empty one for an end. It ends with its input, and
 * all of the namespace with it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum { MOST = 4096 };

static sem_t ends[MOST];

struct child {
	pid_t pid;
	FILE *to, *from;
};

static void fail(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void answer(struct child *child)
{
	char line[1 << 14];
	puts(fgets(line, sizeof line, child->from) ? strtok(line, "\n") : "");
	fflush(stdout);
}

static struct child run(char **program)
{
	int in[2], out[2];
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
		fail("pipe");
	struct child child = {fork(), fdopen(in[1], "w"), fdopen(out[0], "r")};
	if (child.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execv(program[0], program);
		_exit(127);
	}
	if (child.pid < 0)
		fail("fork");
	close(in[0]);
	close(out[1]);
	answer(&child);
	return child;
}

static void limit(const char *pids)
{
	int file = open("/proc/sys/kernel/pid_max", O_WRONLY);
	if (file < 0 || write(file, pids, strlen(pids)) < 0)
		fail("pid_max");
	close(file);
}

static void *stay(void *end)
{
	while (sem_wait(end) != 0)
		continue;
	return NULL;
}

static int threads_now(void)
{
	char line[256];
	int count = 0;
	FILE *status = fopen("/proc/self/status", "r");
	while (status && fgets(line, sizeof line, status))
		sscanf(line, "Threads: %d", &count);
	if (status)
		fclose(status);
	return count;
}

static void fill(int room)
{
	static pthread_t threads[MOST];
	pthread_attr_t small;
	int count = 0, error = 0;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 1 << 16);
	while (count < MOST && (error = pthread_create(&threads[count], &small, stay, &ends[count])) == 0)
		count++;
	if (error != EAGAIN || count < room)
		fail("the table is not full");
	/* The last ones: the kernel gives no low number again. */
	for (int i = 0; i < room; i++) {
		count--;
		sem_post(&ends[count]);
		pthread_join(threads[count], NULL);
	}
	while (threads_now() > count + 1) /* a number is free a moment after the join */
		usleep(1000);
	printf("full %d\n", count);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[64];
	if (argc < 6 || strcmp(argv[4], "--") != 0)
		return 64;
	if (mount("", "/", "", MS_REC | MS_PRIVATE, NULL) != 0 || mount("proc", "/proc", "proc", 0, NULL) != 0)
		fail("mount");
	argv[4] = NULL;
	struct child target = run(argv + 2), writer = run(argv + 5);
	while (fgets(line, sizeof line, stdin)) {
		struct child *child = strcmp(line, "go\n") == 0 ? &writer : &target;
		if (strncmp(line, "fill ", 5) == 0) {
			limit(argv[1]);
			fill(atoi(line + 5));
			continue;
		}
		fputs(line, child->to);
		fflush(child->to);
		answer(child);
	}
	return 0;
}
