/* SPDX-License-Identifier: Apache-2.0 */
/* The floor that a checked write is measured against: process_vm_writev of 8
 * bytes, and of batches of segments, with no check at all. Prints nanoseconds
 * per call.
 *
 * usage: raw_write PID ADDRESS CALLS SEGMENTS STRIDE BYTES
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>

int main(int argc, char **argv)
{
	if (argc != 7)
		return 64;
	pid_t pid = atoi(argv[1]);
	char *address = (char *)strtoull(argv[2], NULL, 0);
	long calls = atol(argv[3]), segments = atol(argv[4]), stride = atol(argv[5]), bytes = atol(argv[6]);
	static char data[1 << 16];
	struct iovec local[1024], remote[1024];
	for (long i = 0; i < segments; i++) {
		local[i] = (struct iovec){data, bytes};
		remote[i] = (struct iovec){address + i * stride, bytes};
	}
	struct timespec start, end;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (long i = 0; i < calls; i++)
		if (process_vm_writev(pid, local, segments, remote, segments, 0) != segments * bytes) {
			perror("process_vm_writev");
			return 1;
		}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%.1f\n", ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / calls);
	return 0;
}
