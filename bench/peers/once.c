/* SPDX-License-Identifier: Apache-2.0 */
/* A whole program that does what "vmwrite write" does for 4 bytes: hold the
 * process, ask what is mapped, write, ask again whether it is still the same.
 *
 * usage: once PID ADDRESS VALUE
 */
#include "common.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITABLE = 2 };

int main(int argc, char **argv)
{
	if (argc != 4)
		return 64;
	char path[64];
	pid_t pid = atoi(argv[1]);
	uint64_t address = strtoull(argv[2], NULL, 0);
	int32_t value = atoi(argv[3]);
	struct procmap_query_args q = {.size = sizeof q, .flags = COVERING_OR_NEXT, .address = address};
	if (syscall(SYS_pidfd_open, pid, 0) < 0)
		return 1;
	snprintf(path, sizeof path, "/proc/%d/maps", pid);
	int maps = open(path, O_RDONLY);
	if (maps < 0 || ioctl(maps, PROCMAP_QUERY_REQUEST, &q) != 0 || q.start > address || !(q.vma_flags & WRITABLE))
		return 2;
	struct iovec local = {&value, sizeof value}, remote = {(void *)address, sizeof value};
	if (process_vm_writev(pid, &local, 1, &remote, 1, 0) != sizeof value)
		return 3;
	q.address = address;
	if (ioctl(maps, PROCMAP_QUERY_REQUEST, &q) != 0)
		return 4;
	printf("wrote %zu bytes at %#lx of process %d\n", sizeof value, (unsigned long)address, pid);
	return 0;
}
