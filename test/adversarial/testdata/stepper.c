/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program and holds it at one of its system calls.
 *
 *	stepper STEP PROGRAM...
 *
 * Between the program's close(-4711) and its close(-4712), it counts the system
 * calls by which a process looks at another or changes it. At the entry of that
 * with the number STEP it prints "opening NAME", or "using NAME" after the
 * program's close(-4713), and waits for a line. It returns the status of the
 * program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
	long number;
	const char *name;
} counted[] = {
	{SYS_pidfd_open, "pidfd_open"},
	{SYS_pidfd_send_signal, "pidfd_send_signal"},
	{SYS_openat, "openat"},
	{SYS_ioctl, "ioctl"},
	{SYS_pread64, "pread64"},
	{SYS_pwrite64, "pwrite64"},
	{SYS_process_vm_readv, "process_vm_readv"},
	{SYS_process_vm_writev, "process_vm_writev"},
	{SYS_ptrace, "ptrace"},
	{SYS_getdents64, "getdents64"},
};

static int step, at, counting, opened;

static void entry(pid_t thread)
{
	/* The libraries name it differently, and the kernel's header collides with
	 * theirs: struct ptrace_syscall_info of linux/ptrace.h. */
	struct {
		uint8_t op, pad[3];
		uint32_t arch;
		uint64_t instruction_pointer, stack_pointer;
		struct {
			uint64_t nr, args[6];
		} entry;
		uint64_t rest[4];
	} info;
	memset(&info, 0, sizeof info);
	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	if (info.entry.nr == SYS_close && (int)info.entry.args[0] == -4711)
		counting = 1;
	if (info.entry.nr == SYS_close && (int)info.entry.args[0] == -4712)
		counting = 0;
	if (info.entry.nr == SYS_close && (int)info.entry.args[0] == -4713)
		opened = 1;
	for (size_t i = 0; counting && i < sizeof counted / sizeof *counted; i++)
		if ((long)info.entry.nr == counted[i].number && ++at == step) {
			char line[16];
			printf("%s %s\n", opened ? "using" : "opening", counted[i].name);
			fflush(stdout);
			if (!fgets(line, sizeof line, stdin))
				exit(1);
		}
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 64;
	step = atoi(argv[1]);
	pid_t program = fork();
	if (program == 0) {
		raise(SIGSTOP);
		execv(argv[2], argv + 2);
		_exit(127);
	}
	int status;
	if (waitpid(program, &status, WUNTRACED) != program)
		return 70;
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC;
	if (ptrace(PTRACE_SEIZE, program, 0, options) != 0)
		return 70;
	kill(program, SIGCONT);
	for (;;) {
		pid_t thread = waitpid(-1, &status, __WALL);
		if (thread < 0)
			return 70;
		if (thread == program && WIFEXITED(status))
			return WEXITSTATUS(status);
		if (thread == program && WIFSIGNALED(status))
			return 128 + WTERMSIG(status);
		if (!WIFSTOPPED(status))
			continue;
		int signal = WSTOPSIG(status), event = status >> 16;
		if (signal == (SIGTRAP | 0x80)) {
			entry(thread);
			signal = 0;
		} else if (event != 0) {
			signal = 0;
		}
		ptrace(PTRACE_SYSCALL, thread, 0, signal);
	}
}
