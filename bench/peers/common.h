/* SPDX-License-Identifier: Apache-2.0 */
/* What the raw writers share. */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* As in linux/fs.h since Linux 6.11; older headers lack it. */
struct procmap_query_args {
	uint64_t size, flags, address, start, end, vma_flags, page_size, offset, inode;
	uint32_t major, minor, name_size, build_id_size;
	uint64_t name, build_id;
};
#define PROCMAP_QUERY_REQUEST 0xc0686611ul
#define COVERING_OR_NEXT 0x10

static inline long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* stop.c: stops every thread of a process, writes, lets it go; the time from
 * the first thread that is seized to the last that is released. */
int stop_and_write(pid_t pid, int memory, uint64_t address, const void *data, size_t size);
