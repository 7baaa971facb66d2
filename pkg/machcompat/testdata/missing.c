/* SPDX-License-Identifier: Apache-2.0 */
/* A target with four pages of which the second and the third are missing until a
 * helper brings them (userfaultfd(2)), while one of its threads counts. The helper is
 * another process, which is not stopped with the target. It prints "ready ADDRESS" and
 * then answers each line:
 *
 *   await   ok, once somebody waits for a missing page
 *   serve   ok, when both pages are there, of zeros
 *   counts  how far the thread of the target has counted
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE sysconf(_SC_PAGESIZE)
static atomic_long *count;
static char *pages;
static int faults;

static void fail(const char *what)
{
	perror(what);
	_exit(1);
}

static void *work(void *unused)
{
	for (;;) {
		++*count;
		nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
	}
	return unused;
}

static void help(void)
{
	char zeros[2 * PAGE];
	memset(zeros, 0, sizeof zeros);
	char line[64];
	while (fgets(line, sizeof line, stdin)) {
		struct uffd_msg message;
		struct uffdio_copy copy = {.dst = (uintptr_t)pages + PAGE, .src = (uintptr_t)zeros, .len = 2 * PAGE};
		if (strcmp(line, "await\n") == 0 && read(faults, &message, sizeof message) != sizeof message)
			fail("read");
		if (strcmp(line, "serve\n") == 0 && ioctl(faults, UFFDIO_COPY, &copy) != 0)
			fail("UFFDIO_COPY");
		if (strcmp(line, "counts\n") == 0)
			printf("%ld\n", (long)*count);
		else
			puts("ok");
		fflush(stdout);
	}
}

int main(void)
{
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* its writers are siblings, which Yama keeps away */
	count = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pages = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	faults = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {.range = {(uintptr_t)pages + PAGE, 2 * PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) != 0 || ioctl(faults, UFFDIO_REGISTER, &range) != 0)
		fail("userfaultfd");
	memset(pages, 'm', PAGE);
	memset(pages + 3 * PAGE, 'm', PAGE);
	pid_t child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0) {
		help();
		_exit(0);
	}
	pthread_t thread;
	if (pthread_create(&thread, NULL, work, NULL) != 0)
		fail("pthread_create");
	printf("ready %p\n", (void *)pages);
	fflush(stdout);
	for (;;)
		pause();
}
