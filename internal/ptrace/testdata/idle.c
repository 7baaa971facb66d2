/* SPDX-License-Identifier: Apache-2.0 */
// A process with five threads besides the first one, none of which holds anything that
// another one needs. One of them, the last, answers: "caught" with how often SIGUSR1 came,
// "vfork" with the number of the child of a vfork for which another thread waits, which
// nothing but the end of that child interrupts, and anything else with "!".
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile int caught, forks, child;

static void note(int signal) {
	(void)signal;
	caught++;
}

static void *idle(void *unused) {
	for (;;)
		pause();
	return unused;
}

static void *fork_when_told(void *unused) {
	while (!forks)
		usleep(1000);
	if (syscall(SYS_clone, CLONE_VFORK | CLONE_PARENT_SETTID | SIGCHLD, NULL, &child, NULL, NULL) == 0)
		for (;;)
			pause();
	return idle(unused);
}

static void *answer(void *unused) {
	char line[64];
	printf("ready\n");
	while (fgets(line, sizeof line, stdin) != NULL) {
		if (strcmp(line, "caught\n") == 0) {
			printf("%d\n", caught);
		} else if (strcmp(line, "vfork\n") == 0) {
			forks = 1;
			while (!child)
				usleep(1000);
			printf("%d\n", child);
		} else {
			printf("!\n");
		}
	}
	_exit(0);
	return unused;
}

int main(void) {
	pthread_t thread;
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	signal(SIGUSR1, note);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < 3; i++)
		pthread_create(&thread, NULL, idle, NULL);
	pthread_create(&thread, NULL, fork_when_told, NULL);
	pthread_create(&thread, NULL, answer, NULL);
	idle(NULL);
}
