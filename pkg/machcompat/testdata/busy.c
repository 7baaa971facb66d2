/* SPDX-License-Identifier: Apache-2.0 */
/* A target that would notice if a stop, or a system call that it was made to
 * make, left a trace in it: threads that check their registers, their signals,
 * their signal mask and what their system calls return. It prints the address of
 * a page, works until its input ends, then prints "ok" or has ended with a
 * message before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_int ending;
static atomic_long work;

static void fail(const char *what, long got, long want)
{
	fprintf(stderr, "busy: %s: %ld, want %ld\n", what, got, want);
	_exit(1);
}

static long since(struct timespec *start)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) * 1000000000L + now.tv_nsec - start->tv_nsec;
}

static void check_mask(int signal)
{
	sigset_t now;
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	for (int s = 1; s < 64; s++)
		if (s != 32 && s != 33 && sigismember(&now, s) != (s == signal))
			fail("signal mask", s, signal);
}

/* Registers keep values that nothing but this loop knows. */
static void *registers(void *unused)
{
	while (!ending) {
#if defined(__x86_64__)
		uint64_t bad = 0;
		__asm__ volatile(
			"mov $0x1111111111111111, %%rbx\n mov $0x2222222222222222, %%rcx\n"
			"mov $0x3333333333333333, %%rdx\n mov $0x4444444444444444, %%rsi\n"
			"mov $0x5555555555555555, %%rdi\n mov $0x6666666666666666, %%r8\n"
			"mov $0x7777777777777777, %%r9\n mov $0x0888888888888888, %%r10\n"
			"mov $0x0999999999999999, %%r11\n mov $0x0aaaaaaaaaaaaaaa, %%r12\n"
			"mov $0x0bbbbbbbbbbbbbbb, %%r13\n mov $0x0ccccccccccccccc, %%r14\n"
			"movq %%rbx, %%xmm7\n mov $20000, %%rax\n"
			"1: dec %%rax\n jnz 1b\n"
			"movq %%xmm7, %%rax\n xor %%rbx, %%rax\n mov %%rax, %0\n"
			"mov $0x1111111111111111, %%rax\n xor %%rax, %%rbx\n or %%rbx, %0\n"
			"mov $0x2222222222222222, %%rax\n xor %%rax, %%rcx\n or %%rcx, %0\n"
			"mov $0x3333333333333333, %%rax\n xor %%rax, %%rdx\n or %%rdx, %0\n"
			"mov $0x4444444444444444, %%rax\n xor %%rax, %%rsi\n or %%rsi, %0\n"
			"mov $0x5555555555555555, %%rax\n xor %%rax, %%rdi\n or %%rdi, %0\n"
			"mov $0x6666666666666666, %%rax\n xor %%rax, %%r8\n or %%r8, %0\n"
			"mov $0x7777777777777777, %%rax\n xor %%rax, %%r9\n or %%r9, %0\n"
			"mov $0x0888888888888888, %%rax\n xor %%rax, %%r10\n or %%r10, %0\n"
			"mov $0x0999999999999999, %%rax\n xor %%rax, %%r11\n or %%r11, %0\n"
			"mov $0x0aaaaaaaaaaaaaaa, %%rax\n xor %%rax, %%r12\n or %%r12, %0\n"
			"mov $0x0bbbbbbbbbbbbbbb, %%rax\n xor %%rax, %%r13\n or %%r13, %0\n"
			"mov $0x0ccccccccccccccc, %%rax\n xor %%rax, %%r14\n or %%r14, %0\n"
			: "+m"(bad)
			:
			: "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "xmm7", "cc");
		if (bad)
			fail("registers", (long)bad, 0);
#endif
		check_mask(0);
		work++;
		/* Leave the processors to the others: 40 of these would starve them. */
		usleep(2000);
	}
	return unused;
}

static void *sleeper(void *unused)
{
	while (!ending) {
		struct timespec start, pause = {0, 300000};
		clock_gettime(CLOCK_MONOTONIC, &start);
		if (nanosleep(&pause, NULL) != 0)
			fail("nanosleep", errno, 0);
		if (since(&start) < pause.tv_nsec)
			fail("nanosleep slept", since(&start), pause.tv_nsec);
		work++;
	}
	return unused;
}

static void *poller(void *unused)
{
	while (!ending) {
		struct timespec start;
		clock_gettime(CLOCK_MONOTONIC, &start);
		int n = poll(NULL, 0, 1);
		if (n != 0 || since(&start) < 1000000)
			fail("poll", n < 0 ? errno : n, 0);
		work++;
	}
	return unused;
}

static void *futexes(void *unused)
{
	int word = 7;
	while (!ending) {
		struct timespec start, limit = {0, 400000};
		clock_gettime(CLOCK_MONOTONIC, &start);
		long n = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 7, &limit, NULL, 0);
		if (n != -1 || errno != ETIMEDOUT || since(&start) < limit.tv_nsec)
			fail("futex", errno, ETIMEDOUT);
		work++;
	}
	return unused;
}

/* A ring of readers hands on bytes; a short read, or EINTR, is an error. */
#define READERS 20
static int pipes[READERS][2];

static void *reader(void *place)
{
	long i = (long)place;
	char text[16];
	while (!ending) {
		ssize_t n = read(pipes[i][0], text, sizeof text);
		if (n != (ssize_t)sizeof text || memcmp(text, "sixteen bytes ..", 16) != 0)
			fail("read", n < 0 ? -errno : n, sizeof text);
		if (write(pipes[(i + 1) % READERS][1], text, sizeof text) != (ssize_t)sizeof text)
			fail("write", errno, 0);
		work++;
		usleep(100);
	}
	return place;
}

/* Queued signals arrive all, in their order. */
static atomic_long received;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (info->si_value.sival_ptr != (void *)(received + 1))
		fail("queued signal", (long)info->si_value.sival_ptr, received + 1);
	received++;
}

static pthread_t receiver_thread;

static void *receiver(void *unused)
{
	sigset_t none;
	sigemptyset(&none);
	sigaddset(&none, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	while (!ending) {
		check_mask(SIGUSR2);
		work++;
	}
	return unused;
}

static void *sender(void *unused)
{
	long sent = 0;
	while (!ending) {
		union sigval value = {.sival_ptr = (void *)(sent + 1)};
		if (pthread_sigqueue(receiver_thread, SIGRTMIN + 3, value) == 0)
			sent++;
		while (!ending && received < sent - 8)
			usleep(100);
	}
	for (int i = 0; i < 120000 && received < sent; i++)
		usleep(1000);
	if (received != sent)
		fail("signals received", received, sent);
	return unused;
}

static void start(pthread_t *thread, void *(*run)(void *), void *argument)
{
	if (pthread_create(thread, NULL, run, argument) != 0)
		fail("pthread_create", errno, 0);
}

int main(void)
{
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* its writers are siblings, which Yama keeps away */
	enum { COUNT = 100 };
	pthread_t threads[COUNT];
	int n = 0;
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigaction(SIGRTMIN + 3, &action, NULL);
	for (int i = 0; i < READERS; i++)
		if (pipe(pipes[i]) != 0)
			fail("pipe", errno, 0);
	for (int i = 0; i < 37; i++)
		start(&threads[n++], registers, NULL);
	for (int i = 0; i < 15; i++)
		start(&threads[n++], sleeper, NULL);
	for (int i = 0; i < 13; i++)
		start(&threads[n++], poller, NULL);
	for (int i = 0; i < 13; i++)
		start(&threads[n++], futexes, NULL);
	for (long i = 0; i < READERS; i++)
		start(&threads[n++], reader, (void *)i);
	for (int i = 0; i < 5; i++)
		if (write(pipes[i * 4][1], "sixteen bytes ..", 16) != 16)
			fail("write", errno, 0);
	start(&receiver_thread, receiver, NULL);
	start(&threads[n++], sender, NULL);
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("%p\n", page);
	fflush(stdout);
	char c;
	while (read(0, &c, 1) > 0)
		continue;
	long before = work;
	for (int i = 0; i < 120000 && work == before; i++)
		usleep(1000);
	if (work == before)
		fail("work goes on", work, before + 1);
	ending = 1;
	for (int i = 0; i < READERS; i++)
		if (write(pipes[i][1], "sixteen bytes ..", 16) != 16)
			fail("write", errno, 0);
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	pthread_join(receiver_thread, NULL);
	printf("ok %ld rounds of work, %ld signals\n", (long)work, (long)received);
	return 0;
}
