// SPDX-License-Identifier: Apache-2.0
// Calls functions in many ways and stops in the last one for its tracer. The argument says
// which way. The names of the functions that a test looks for begin with f_.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if defined(__aarch64__)
#define STOP() __asm__ volatile("brk #0" ::: "memory")
#else
#define STOP() __asm__ volatile("int3" ::: "memory")
#endif

#define FUNCTION __attribute__((noinline, noclone, noipa))

FUNCTION void f_stop(void) { STOP(); }

FUNCTION void f_fault(int *nowhere) { *nowhere = 1; }

FUNCTION void f_handler(int signal) {
	(void)signal;
	f_stop();
	_exit(0);
}

FUNCTION void f_handle(int alternate) {
	struct sigaction action = {.sa_handler = f_handler};
	if (alternate) {
		stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
		sigaltstack(&stack, NULL);
		action.sa_flags = SA_ONSTACK;
	}
	sigaction(SIGSEGV, &action, NULL);
	int *volatile nowhere = NULL;
	f_fault(nowhere);
}

FUNCTION _Noreturn void f_never(void) {
	f_stop();
	_exit(0);
}

FUNCTION _Noreturn void f_tail(void) { f_never(); }

FUNCTION void f_jit(void) {
#if defined(__aarch64__)
	// stp x29, x30, [sp, #-16]!; blr x0; ldp x29, x30, [sp], #16; ret
	static const unsigned code[] = {0xa9bf7bfd, 0xd63f0000, 0xa8c17bfd, 0xd65f03c0};
#else
	static const unsigned char code[] = {0x55, 0xff, 0xd7, 0x5d, 0xc3}; // push %rbp; call *%rdi; pop %rbp; ret
#endif
	void *page = mmap(NULL, sizeof code, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(page, code, sizeof code);
	__builtin___clear_cache((char *)page, (char *)page + sizeof code);
	void (*call)(void (*)(void));
	memcpy(&call, &page, sizeof call);
	call(f_stop);
	STOP();
}

FUNCTION int f_compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

// f_work does much between two stops, on its stack and in libraries.
FUNCTION int f_work(int n) {
	volatile char variable[n + 16];
	char text[64];
	int numbers[] = {5, 3, 9, 1, 7, n};
	struct timespec now;
	qsort(numbers, sizeof numbers / sizeof *numbers, sizeof *numbers, f_compare);
	clock_getres(CLOCK_MONOTONIC, &now); /* clock_gettime begins again where the clock has ticked: for ever, step by step */
	snprintf(text, sizeof text, "%d %ld", numbers[0], (long)now.tv_sec);
	memset((char *)variable, n, n);
	return (int)strlen(text) + variable[n - 1] + (int)strtol(text, NULL, 10) + getppid();
}

FUNCTION void f_note(int signal) {
	(void)signal;
	STOP();
}

FUNCTION int f_stepped(int n, int handled) {
	if (handled) {
		signal(SIGUSR1, f_note);
		raise(SIGUSR1);
		STOP();
		return n;
	}
	STOP();
	n = f_work(n);
	STOP();
	return n;
}

FUNCTION int f_inner(const char *way) {
	if (!strcmp(way, "call"))
		f_stop();
	else if (!strcmp(way, "signal"))
		f_handle(0);
	else if (!strcmp(way, "alternate"))
		f_handle(1);
	else if (!strcmp(way, "never"))
		f_tail();
	else if (!strcmp(way, "jit"))
		f_jit();
	else if (!strcmp(way, "step"))
		return f_stepped(40, 0);
	else if (!strcmp(way, "handled"))
		return f_stepped(40, 1);
	return 0;
}

FUNCTION int f_middle(const char *way) { return 1 + f_inner(way); }

FUNCTION int f_outer(const char *way) { return 2 * f_middle(way); }

int main(int argc, char **argv) {
	return argc > 1 ? 1 + f_outer(argv[1]) : 0;
}
