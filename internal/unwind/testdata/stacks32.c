// SPDX-License-Identifier: Apache-2.0
// A 32-bit program without a library, which stops for its tracer in a signal handler: one
// with SA_SIGINFO if there is an argument. The handler returns to code of the kernel.

#define FUNCTION __attribute__((noinline, noclone, noipa, used))

struct action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask[2];
};

static int call(int number, long a, long b, long c, long d) {
	int result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
	return result;
}

FUNCTION void f_handler(int signal) {
	(void)signal;
	__asm__ volatile("int3");
}

FUNCTION int f_kill(void) { return call(37, call(20, 0, 0, 0, 0), 10, 0, 0); } // kill(getpid(), SIGUSR1)

FUNCTION int f_inner(int information) {
	struct action action = {.handler = f_handler, .flags = information ? 4 : 0}; // SA_SIGINFO
	call(174, 10, (long)&action, 0, sizeof action.mask);                         // rt_sigaction
	return 1 + f_kill();
}

FUNCTION void f_outer(int arguments) { call(1, f_inner(arguments > 1), 0, 0, 0); } // exit

__asm__(".globl _start\n"
        ".type _start, @function\n"
        "_start:\n"
        ".cfi_startproc\n"
        ".cfi_undefined eip\n"
        "push (%esp)\n"
        "call f_outer\n"
        "hlt\n"
        ".cfi_endproc\n"
        ".size _start, . - _start\n");
