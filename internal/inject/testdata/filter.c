/* SPDX-License-Identifier: Apache-2.0 */
/* A process that reads "NUMBER ADDRESS" and is killed from then on when it makes
 * that system call with the processor at that address behind it. It says "loaded" when
 * its libraries are, then "ready",
 * and then whatever it reads.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>

int main(void)
{
	unsigned number;
	unsigned long address;
	char line[64];

	puts("loaded");
	fflush(stdout);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	if (fgets(line, sizeof line, stdin) == NULL || sscanf(line, "%u %lx", &number, &address) != 2)
		return 1;
	struct sock_filter program[] = {
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 3, number},
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, instruction_pointer)},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (unsigned)address},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
	};
	struct sock_fprog filter = {sizeof program / sizeof *program, program};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
		return 1;
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) != NULL) {
		fputs(line, stdout);
		fflush(stdout);
	}
	return 0;
}
