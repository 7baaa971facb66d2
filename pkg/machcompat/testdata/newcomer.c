/* SPDX-License-Identifier: Apache-2.0 */
/* A target that gives its pid to another address space, in which all is at the same
 * addresses. It says "ready PID" when three pages of one byte each are mapped where
 * PAGES is, the third of them read-only. Commands, one a line:
 *
 *   exec [PROGRAM]  runs this program anew, or another one of this source
 *   threadexec      does so in a thread that is not the first
 *   endfirst        ends the first thread alone
 *   fork            starts a child, a copy of this process that does nothing
 *   replace PID     kills that child and gives its pid to the next copy
 *
 * usage: newcomer fixed|random   whether addresses are the same in each exec
 */
#define _GNU_SOURCE
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE sysconf(_SC_PAGESIZE)
#define PAGES ((char *)0x200000000000)

static char **arguments;

static void fail(const char *what)
{
	perror(what);
	_exit(1);
}

static void run(char *program)
{
	execv(program, arguments);
	fail(program);
}

static void *run_anew(void *unused)
{
	run(arguments[0]);
	return unused;
}

/* A pid of 0 lets the kernel choose one. */
static void start_copy(pid_t pid)
{
	struct clone_args clone = {.exit_signal = SIGCHLD, .set_tid = pid ? (uintptr_t)&pid : 0, .set_tid_size = pid ? 1 : 0};
	pid_t child = syscall(SYS_clone3, &clone, sizeof clone);
	if (child < 0)
		fail("clone3");
	while (child == 0)
		pause();
	printf("ready %d\n", child);
}

static void *obey(void *unused)
{
	pid_t child;
	char line[4096];
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = 0;
		pthread_t thread;
		if (strcmp(line, "exec") == 0)
			run(arguments[0]);
		else if (strncmp(line, "exec ", 5) == 0)
			run(line + 5);
		else if (strcmp(line, "threadexec") == 0)
			pthread_create(&thread, NULL, run_anew, NULL);
		else if (strcmp(line, "endfirst") == 0) {
			pthread_create(&thread, NULL, obey, NULL);
			syscall(SYS_exit, 0);
		} else if (strcmp(line, "fork") == 0)
			start_copy(0);
		else if (sscanf(line, "replace %d", &child) == 1) {
			if (kill(child, SIGKILL) != 0 || waitpid(child, NULL, 0) != child)
				fail("waitpid");
			start_copy(child);
		} else
			printf("no command %s\n", line);
		fflush(stdout);
	}
	exit(0);
	return unused;
}

int main(int argc, char **argv)
{
	arguments = argv;
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* its writers are siblings, which Yama keeps away */
	int now = personality(0xffffffff);
	if (argc > 1 && strcmp(argv[1], "fixed") == 0 && !(now & ADDR_NO_RANDOMIZE)) {
		personality(now | ADDR_NO_RANDOMIZE);
		run(argv[0]);
	}
	char *pages = mmap(PAGES, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (pages != PAGES)
		fail("mmap");
	memset(pages, 'n', 3 * PAGE);
	mprotect(pages + 2 * PAGE, PAGE, PROT_READ);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	obey(NULL);
}
