/* SPDX-License-Identifier: Apache-2.0 */
/* A reader of another process's memory that never comes to an end: the page that it
 * reads into is one of userfaultfd(2), and nobody brings it. It says "reading" when
 * the kernel waits for that page in the middle of the read, holding on to the
 * address space that is read. It ends with its input.
 *
 * usage: reader PID ADDRESS mem|process_vm
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE sysconf(_SC_PAGESIZE)
static char **arguments;
static char *missing;

static void fail(const char *what)
{
	perror(what);
	_exit(1);
}

static void *read_for_ever(void *unused)
{
	pid_t pid = atoi(arguments[1]);
	char *address = (char *)strtoull(arguments[2], NULL, 0);
	if (strcmp(arguments[3], "mem") == 0) {
		char path[64];
		snprintf(path, sizeof path, "/proc/%d/mem", pid);
		int memory = open(path, O_RDONLY);
		if (memory < 0)
			fail(path);
		if (pread(memory, missing, PAGE, (off_t)(uintptr_t)address) != PAGE)
			fail("pread");
	} else {
		struct iovec to = {missing, PAGE}, from = {address, PAGE};
		if (process_vm_readv(pid, &to, 1, &from, 1, 0) != PAGE)
			fail("process_vm_readv");
	}
	_exit(1);
	return unused;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 64;
	arguments = argv;
	int faults = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = {.api = UFFD_API};
	missing = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = {.range = {(uintptr_t)missing, PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) != 0 || ioctl(faults, UFFDIO_REGISTER, &range) != 0)
		fail("userfaultfd");
	pthread_t thread;
	if (pthread_create(&thread, NULL, read_for_ever, NULL) != 0)
		fail("pthread_create");
	struct uffd_msg message;
	if (read(faults, &message, sizeof message) != sizeof message)
		fail("read");
	puts("reading");
	fflush(stdout);
	char c;
	while (read(0, &c, 1) > 0)
		continue;
	_exit(0);
}
