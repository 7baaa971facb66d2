/* SPDX-License-Identifier: Apache-2.0 */
/* A process that waits for a time in the named system call: it prints "ready", waits
 * for as many milliseconds as the second argument says, and prints how many it took,
 * what the call returned and how many signals it caught meanwhile.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void on_signal(int signal)
{
	(void)signal;
	caught++;
}

static long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	long wait = atol(argv[2]);
	struct timespec time = {wait / 1000, wait % 1000 * 1000000};
	unsigned word = 0;
	sigset_t none;
	int sockets[2], from[2], to[2];
	struct mmsghdr message = {0};
	long result = -1;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0 || pipe(from) != 0 || pipe(to) != 0)
		return 2;
	sigemptyset(&none);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* its writers are siblings, which Yama keeps away */
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_signal}, NULL);
	puts("ready");
	fflush(stdout);
	long start = now();
	errno = 0;
	if (strcmp(argv[1], "nanosleep") == 0)
		result = syscall(SYS_nanosleep, &time, NULL);
	else if (strcmp(argv[1], "clock_nanosleep") == 0)
		result = syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &time, NULL);
	else if (strcmp(argv[1], "futex") == 0)
		result = syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &time, NULL, 0);
	else if (strcmp(argv[1], "poll") == 0)
		result = poll(NULL, 0, (int)wait);
	else if (strcmp(argv[1], "read") == 0)
		result = read(0, &word, 1);
	else if (strcmp(argv[1], "sigsuspend") == 0)
		result = sigsuspend(&none);
	else if (strcmp(argv[1], "recvmmsg") == 0)
		result = recvmmsg(sockets[0], &message, 1, 0, NULL);
	else if (strcmp(argv[1], "splice") == 0)
		result = splice(from[0], NULL, to[1], NULL, 1, 0);
	printf("%ld ms, %ld %s, %d\n", now() - start, result, strerror(errno), (int)caught);
	return 0;
}
