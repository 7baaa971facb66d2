/* SPDX-License-Identifier: Apache-2.0 */
/* A process that has its own system calls dispatched to itself, as Wine has those of
 * Windows programs: each would be a SIGSYS. It counts, and prints where.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif

static volatile char selector; /* 0 allows system calls, 1 blocks them */
static volatile uint64_t counter;

int main(void)
{
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) != 0)
		return 1;
	printf("%#llx\n", (unsigned long long)(uintptr_t)&counter);
	fflush(stdout);
	selector = 1;
	for (;;)
		counter++;
}
