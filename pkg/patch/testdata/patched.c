/* SPDX-License-Identifier: Apache-2.0 */
/* Runs functions that a test patches, and counts whether they return what the old code
 * or the new code does. The argument says how; "held" is printed wherever it waits for a
 * line of its input.
 *
 *	straight        calls a function for ever
 *	signal          the same, and waits in a handler of SIGUSR1
 *	alternate       the same on an alternate stack
 *	threads COUNT   the same in threads, beside others that begin and end all the time
 *	memory          the same with a copy of the function in memory of its own
 *	call            waits in what a function calls, prints what that returns, waits again,
 *	                and so on
 *	wait            the same in a system call of the function itself
 *	share           waits while another process shares its memory, and ends that
 *	serve PATH      answers numbers at a socket with what straight returns, in threads, until
 *	                its input ends
 *	load PATH       waits, and then loads a library
 *	spawn           the same while other processes share its memory, which do it too, one
 *	                after the other
 *	sequence        stays in a restartable sequence
 *	endfirst        waits, and then ends its first thread, while another one waits for ever
 *
 * Freestanding, it can do the first alone. Code that is to be patched goes from NAME_begin
 * to NAME_end, and what is to be there is as long at NAME_new.
 */
#if __STDC_HOSTED__
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#define BEGIN(name) ".globl " #name "\n.type " #name ", %function\n" #name ":\n.cfi_startproc\n"
#define END(name) ".cfi_endproc\n.size " #name ", . - " #name "\n"

long straight(long n);                     /* ((n + 2) * 3) ^ 0x55 */
long caller(long n, void (*called)(void)); /* n + 7 */
long waiter(int fd, void *p, long size);   /* what was read, and 3 */

__asm__(".globl straight_new\n.text\n.p2align 4\n");
#if defined(__x86_64__)
__asm__(
	BEGIN(straight)
	"	lea 1(%rdi), %rax\n"
	"straight_begin:\n"
	"	add $1, %rax\n"
	"	nop\n"
	"	imul $3, %rax, %rax\n"
	"	xor $0x55, %rax\n"
	"straight_end:\n"
	"	ret\n"
	END(straight)
	"straight_new:\n"
	"	movabs $0x12345, %rcx\n"
	"	add %rcx, %rax\n"
	BEGIN(caller)
	"	push %rbx\n"
	"	.cfi_def_cfa_offset 16\n"
	"	.cfi_offset %rbx, -16\n"
	"	mov %rdi, %rbx\n"
	"caller_begin:\n"
	"	add $1, %rbx\n"
	"	call *%rsi\n"
	"caller_return:\n"
	"	add $2, %rbx\n"
	"	add $4, %rbx\n"
	"caller_end:\n"
	"	mov %rbx, %rax\n"
	"	pop %rbx\n"
	"	.cfi_def_cfa_offset 8\n"
	"	ret\n"
	END(caller)
	"caller_new:\n"
	"	add $0x10, %rbx\n"
	"	call *%rsi\n"
	"	add $0x20, %rbx\n"
	"	add $0x40, %rbx\n"
	BEGIN(waiter)
	"waiter_begin:\n"
	"	xor %eax, %eax\n"
	"waiter_call:\n"
	"	syscall\n"
	"waiter_return:\n"
	"	add $1, %rax\n"
	"	add $2, %rax\n"
	"waiter_end:\n"
	"	ret\n"
	END(waiter)
	"waiter_new:\n"
	"	sub %eax, %eax\n"
	"	syscall\n"
	"	add $0x10, %rax\n"
	"	add $0x20, %rax\n"
	BEGIN(sequence)
	"	lea descriptor(%rip), %rax\n"
	"	mov %rax, (%rdi)\n"
	"1:	jmp 1b\n"
	"2:	ret\n"
	"sequence_begin:\n"
	"	.long 0x53053053\n"
	"sequence_abort:\n"
	"	nop\n"
	"	nop\n"
	"sequence_end:\n"
	"	jmp sequence\n"
	END(sequence)
	"sequence_new:\n"
	"	.long 0x53053053\n"
	"	xchg %ax, %ax\n"
	".data\n"
	".balign 32\n"
	"descriptor: .long 0, 0\n"
	".quad 1b, 2b - 1b, sequence_abort\n"
	".text\n");
#elif defined(__i386__)
__asm__(
	BEGIN(straight)
	"	mov 4(%esp), %eax\n"
	"	add $1, %eax\n"
	"straight_begin:\n"
	"	add $1, %eax\n"
	"	nop\n"
	"	imul $3, %eax, %eax\n"
	"	xor $0x55, %eax\n"
	"straight_end:\n"
	"	ret\n"
	END(straight)
	"straight_new:\n"
	"	mov $0x12345, %ecx\n"
	"	add %ecx, %eax\n"
	"	nop\n"
	"	nop\n"
	"	nop\n");
#elif defined(__aarch64__)
__asm__(
	BEGIN(straight)
	"	add x0, x0, #1\n"
	"straight_begin:\n"
	"	add x0, x0, #1\n"
	"	add x0, x0, x0, lsl #1\n"
	"	mov x1, #0x55\n"
	"	eor x0, x0, x1\n"
	"straight_end:\n"
	"	ret\n"
	END(straight)
	"straight_new:\n"
	"	mov x1, #0x2345\n"
	"	movk x1, #1, lsl #16\n"
	"	add x0, x0, x1\n"
	"	nop\n"
	BEGIN(caller)
	"	stp x29, x30, [sp, #-32]!\n"
	"	.cfi_def_cfa_offset 32\n"
	"	.cfi_offset 29, -32\n"
	"	.cfi_offset 30, -24\n"
	"	str x19, [sp, #16]\n"
	"	.cfi_offset 19, -16\n"
	"	mov x19, x0\n"
	"caller_begin:\n"
	"	add x19, x19, #1\n"
	"	blr x1\n"
	"caller_return:\n"
	"	add x19, x19, #2\n"
	"	add x19, x19, #4\n"
	"caller_end:\n"
	"	mov x0, x19\n"
	"	ldr x19, [sp, #16]\n"
	"	ldp x29, x30, [sp], #32\n"
	"	.cfi_def_cfa_offset 0\n"
	"	.cfi_restore 29\n"
	"	.cfi_restore 30\n"
	"	.cfi_restore 19\n"
	"	ret\n"
	END(caller)
	"caller_new:\n"
	"	add x19, x19, #0x10\n"
	"	blr x1\n"
	"	add x19, x19, #0x20\n"
	"	add x19, x19, #0x40\n"
	BEGIN(waiter)
	"waiter_begin:\n"
	"	mov x8, #63\n"
	"waiter_call:\n"
	"	svc #0\n"
	"waiter_return:\n"
	"	add x0, x0, #1\n"
	"	add x0, x0, #2\n"
	"waiter_end:\n"
	"	ret\n"
	END(waiter)
	"waiter_new:\n"
	"	movz w8, #63\n"
	"	svc #0\n"
	"	add x0, x0, #0x10\n"
	"	add x0, x0, #0x20\n");
#endif

/* What straight returned: that of the old code, that of the new one, and something else. */
unsigned long results[3];

static void run(long (*f)(long), long n)
{
	long got = f(n);
	int which = got == (((n + 2) * 3) ^ 0x55) ? 0 : got == n + 1 + 0x12345 ? 1 : 2;
	__atomic_fetch_add(&results[which], 1, __ATOMIC_RELAXED);
}

static void run_for_ever(long (*f)(long))
{
	for (long n = 0;; n++)
		run(f, n & 0xffff);
}

#if !__STDC_HOSTED__
void run_straight(void);
void run_straight(void) { run_for_ever(straight); }
__asm__(
	BEGIN(_start)
	".cfi_undefined eip\n"
	"	and $-16, %esp\n"
	"	call run_straight\n"
	"	hlt\n"
	END(_start));
#else
static void hold(void)
{
	char line;
	if (write(1, "held\n", 5) < 0 || read(0, &line, 1) <= 0)
		_exit(1);
}

static void handle(int signal)
{
	(void)signal;
	hold();
}

static void catch(int flags)
{
	static char stack[1 << 16];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
	struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
	sigaltstack(&alternate, NULL);
	sigaction(SIGUSR1, &action, NULL);
}

/* The pauses leave some of the processors to whoever patches it. */
static void *run_with_pauses(void *count)
{
	for (long n = 0; n < (intptr_t)count || !count; n++) {
		run(straight, n & 0xffff);
		if (n % 1000 == 0)
			usleep(1000);
	}
	return NULL;
}

static void begin_and_end_threads(void)
{
	for (;;) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, run_with_pauses, (void *)1000) == 0)
			pthread_join(thread, NULL);
	}
}

static void *answer(void *listening)
{
	for (;;) {
		long n;
		int client = accept((int)(intptr_t)listening, NULL, NULL);
		while (read(client, &n, sizeof n) == sizeof n) {
			n = straight(n);
			if (write(client, &n, sizeof n) != sizeof n)
				break;
		}
		close(client);
	}
	return NULL;
}

static void serve(const char *path)
{
	enum { THREADS = 8 };
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listening = socket(AF_UNIX, SOCK_STREAM, 0);
	char byte;
	pthread_t thread;
	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	if (bind(listening, (struct sockaddr *)&address, sizeof address) != 0 || listen(listening, 128) != 0)
		_exit(1);
	for (int n = 0; n < THREADS; n++)
		if (pthread_create(&thread, NULL, answer, (void *)(intptr_t)listening) != 0)
			_exit(1);
	puts("ready");
	while (read(0, &byte, 1) > 0)
		;
	_exit(0);
}

static void *wait_for_ever(void *ready)
{
	puts(ready);
	for (;;)
		pause();
	return ready;
}

static void end_first(void)
{
	pthread_t thread;
	hold();
	if (pthread_create(&thread, NULL, wait_for_ever, "ready") == 0)
		pthread_exit(NULL);
}

extern const char straight_new[];

static void *copied(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(page, (void *)straight, straight_new - (char *)straight);
	__builtin___clear_cache(page, (char *)page + 4096);
	return page;
}

static int pause_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused != NULL;
}

static void share(void)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	pid_t child = clone(pause_for_ever, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
	if (child < 0)
		_exit(1);
	printf("%d\n", child);
	hold();
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	puts("ended");
}

static int run_a_while(void *unused)
{
	for (long n = 0; n < 1000; n++)
		run(straight, n);
	return unused != NULL;
}

static void spawn(void)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	for (int n = 0;; n++) {
		int flags = CLONE_VM | SIGCHLD | (n % 2 ? CLONE_VFORK : 0);
		pid_t child = clone(run_a_while, stack + sizeof stack, flags, NULL);
		if (child < 0 || waitpid(child, NULL, 0) != child)
			_exit(1);
		run_a_while(NULL);
		usleep(1000);
	}
}

#if defined(__x86_64__)
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned __rseq_size __attribute__((weak));
void sequence(void *pointer);

static void stay_in_sequence(void)
{
	enum { POINTER = 8 }; /* of rseq_cs in struct rseq */
	if (!&__rseq_offset || !__rseq_size) {
		puts("none");
		return;
	}
	/* A thread in a sequence makes no system call for whoever patches it. */
	long page = sysconf(_SC_PAGESIZE);
	void *code = (void *)((uintptr_t)sequence & -page);
	if (mprotect(code, 2 * page, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
		return;
	puts("ready");
	sequence((char *)__builtin_thread_pointer() + __rseq_offset + POINTER);
}
#else
static void stay_in_sequence(void) { puts("none"); }
#endif

void *copy; /* of straight */

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	char byte;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(how, "signal"))
		catch(0);
	if (!strcmp(how, "alternate"))
		catch(SA_ONSTACK);
	if (!strcmp(how, "serve"))
		serve(argv[2]);
	if (!strcmp(how, "share"))
		share();
	if (!strcmp(how, "load")) {
		hold();
		if (!dlopen(argv[2], RTLD_NOW))
			return 1;
	}
	if (!strcmp(how, "endfirst"))
		end_first();
	if (!strcmp(how, "memory"))
		copy = copied();
	for (; !strcmp(how, "call"); hold())
		printf("%ld\n", caller(100, hold));
	for (; !strcmp(how, "wait"); hold()) {
		puts("held");
		printf("%ld\n", waiter(0, &byte, 1));
	}
	if (!strcmp(how, "sequence")) {
		stay_in_sequence();
		return 0;
	}
	puts("ready");
	if (!strcmp(how, "spawn"))
		spawn();
	for (long n = strcmp(how, "threads") ? 0 : atol(argv[2]); n > 0; n--) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, run_with_pauses, NULL) != 0)
			return 1;
		if (n == 1)
			begin_and_end_threads();
	}
	run_for_ever(copy ? (long (*)(long))copy : straight);
}
#endif
