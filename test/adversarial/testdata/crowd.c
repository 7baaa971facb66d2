/* The first process of a pid namespace, which fills its table of pids.
 *
 *	crowd PIDS TARGET LETTER -- WRITER...
 *
 * It starts the target, process 2, with the descriptors 3 and 4 for its input and
 * output, and the writer with 5, 6, and 7 for its errors. Only then is PIDS the highest pid, which
 * from Linux 6.14 on is a limit of the namespace and not of the machine. At "fill
 * ROOM" it starts threads until there is no room for another, ends ROOM of them,
 * and prints "full" and how many there are. It ends with its input, and all of the
 * namespace with it.
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

static void fail(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(1);
}

static pid_t run(char **program, int in, int out, int errors)
{
	pid_t pid = fork();
	if (pid == 0) {
		dup2(in, 0);
		dup2(out, 1);
		dup2(errors, 2);
		for (int fd = 3; fd <= 7; fd++)
			close(fd);
		execv(program[0], program);
		_exit(127);
	}
	return pid;
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
	char *target[] = {argv[2], argv[3], NULL};
	if (run(target, 3, 4, 2) != 2 || run(argv + 5, 5, 6, 7) < 0)
		fail("fork");
	for (int fd = 3; fd <= 7; fd++)
		close(fd);
	while (fgets(line, sizeof line, stdin))
		if (strncmp(line, "fill ", 5) == 0) {
			limit(argv[1]);
			fill(atoi(line + 5));
		}
	return 0;
}
