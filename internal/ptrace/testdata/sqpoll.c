/* SPDX-License-Identifier: Apache-2.0 */
/* Has the kernel make a thread of its own in this process, which polls for requests
   of io_uring, then says "ready" and reads lines until the end. */
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	struct io_uring_params parameters;
	char line[16];

	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	memset(&parameters, 0, sizeof parameters);
	parameters.flags = IORING_SETUP_SQPOLL;
	parameters.sq_thread_idle = 1000000000;
	if (syscall(__NR_io_uring_setup, 4, &parameters) < 0)
		perror("io_uring_setup");
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) != NULL)
		fputs(line, stdout), fflush(stdout);
	return 0;
}
