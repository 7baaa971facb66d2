/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs of this test share: checks, and the target's memory as seen
 * through /proc/PID/mem, which has nothing to do with the library.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <inttypes.h>
#include <mach/mach.h>
#include <mach/mach_vm.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int failures;

#define CHECK(condition)                                                              \
	do {                                                                          \
		if (!(condition)) {                                                   \
			printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			failures++;                                                   \
		}                                                                     \
	} while (0)

#define RETURNS(code, call)                                                                           \
	do {                                                                                          \
		kern_return_t got_ = (call);                                                          \
		if (got_ != (code)) {                                                                 \
			printf("%s:%d: %s = %#x %s; want %s\n", __FILE__, __LINE__, #call, (unsigned)got_, \
				mach_error_string(got_), #code);                                      \
			failures++;                                                                   \
		}                                                                                     \
	} while (0)

/* How many seconds to wait for what must come, as internal/testtarget does. */
#define PATIENCE 180

#define WAIT_FOR(condition)                                        \
	do {                                                       \
		time_t end_ = time(NULL) + PATIENCE;               \
		while (!(condition) && time(NULL) < end_)          \
			usleep(1000);                              \
		CHECK(condition);                                  \
	} while (0)

/* A child that ends with us, however we end. */
static inline pid_t fork_with_us(void)
{
	pid_t child = fork();

	if (child == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return child;
}

/*
 * The target that the test started: 2 pages rw-, 2 r--, 1 ---, 1 of nothing, 2 rw-,
 * then nothing.
 */
static int target_pid;
static mach_vm_address_t base;
#define PAGES(n) ((n) * (mach_vm_size_t)vm_page_size)
#define READ_ONLY (base + PAGES(2))
#define FORBIDDEN (base + PAGES(4))
#define GAP (base + PAGES(5))
#define SECOND (base + PAGES(6))
#define BEHIND (base + PAGES(8))

/* Takes "PID BASE" and returns the target's task. */
static inline mach_port_t begin(int argc, char **argv)
{
	mach_port_t task = MACH_PORT_NULL;

	if (argc < 3) {
		printf("want PID BASE\n");
		exit(2);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	target_pid = atoi(argv[1]);
	base = (mach_vm_address_t)strtoull(argv[2], NULL, 0);
	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), target_pid, &task));
	if (failures)
		exit(1);
	return task;
}

static inline void peek(mach_vm_address_t address, void *data, size_t size)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/%d/mem", target_pid);
	fd = open(path, O_RDONLY);
	if (fd < 0 || pread(fd, data, size, (off_t)address) != (ssize_t)size) {
		perror(path);
		exit(2);
	}
	close(fd);
}

/* The byte that the target filled its memory with (see its layout command). */
static inline unsigned char filled(mach_vm_size_t offset)
{
	return (unsigned char)((unsigned char)offset ^ (unsigned char)(offset / PAGES(1) + 1));
}

/* The line of the target's maps that address lies in, or "". */
static inline const char *map_line(mach_vm_address_t address)
{
	static char line[4096];
	char path[64];
	uint64_t start, end;
	FILE *maps;

	snprintf(path, sizeof path, "/proc/%d/maps", target_pid);
	maps = fopen(path, "r");
	while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2 && start <= address && address < end) {
			fclose(maps);
			return line;
		}
	}
	if (maps != NULL)
		fclose(maps);
	return "";
}

/* The protection there as the kernel shows it, "rw-p", or "gap". */
static inline const char *perms(mach_vm_address_t address)
{
	static char text[5];
	const char *blank = strchr(map_line(address), ' ');

	if (blank == NULL)
		return "gap";
	memcpy(text, blank + 1, 4);
	return text;
}

#endif
