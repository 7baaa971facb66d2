/* SPDX-License-Identifier: Apache-2.0 */
/* What a debugger debugs: "debuggee N" has N more threads, which wait in different
 * ways, and one of which computes. It says "ready", and answers each line: "break"
 * with "broke" behind a breakpoint, "signal" with "caught" when it has taken SIGUSR1,
 * and others with themselves, if its threads go on.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static atomic_ulong counts[16];
static int never[2];
static volatile sig_atomic_t caught;

static void on_signal(int signal)
{
	(void)signal;
	caught = 1;
}

static void *work(void *argument)
{
	long number = (long)argument;
	char byte;

	if (number % 3 == 1)
		return (void *)read(never[0], &byte, 1);
	for (;;) {
		struct timespec moment = {0, 1000000};

		counts[number]++;
		if (number % 3 == 2)
			nanosleep(&moment, NULL);
	}
}

int main(int argc, char **argv)
{
	long threads = argc > 1 ? atol(argv[1]) : 0;
	pthread_t thread;
	char line[64];

	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	signal(SIGUSR1, on_signal);
	if (pipe(never) != 0)
		return 1;
	for (long i = 0; i < threads; i++)
		pthread_create(&thread, NULL, work, (void *)i);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) != NULL) {
		for (long i = 0; i < threads; i++) {
			unsigned long before = counts[i];

			while (i % 3 != 1 && counts[i] == before)
				usleep(100);
		}
		if (strcmp(line, "break\n") == 0) {
#if defined(__x86_64__) || defined(__i386__)
			__asm__ volatile("int3");
#else
			raise(SIGTRAP);
#endif
			puts("broke");
		} else if (strcmp(line, "signal\n") == 0) {
			raise(SIGUSR1);
			puts(caught ? "caught" : "not caught");
		} else {
			fputs(line, stdout);
		}
		fflush(stdout);
	}
	return 0;
}
