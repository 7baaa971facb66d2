/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach_absolute_time, mach_approximate_time, mach_continuous_time,
 * mach_continuous_approximate_time, mach_timebase_info and mach_wait_until.
 */
#include "../check.h"

#include <mach/mach_time.h>

static uint64_t clock_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int in_order(uint64_t a, uint64_t b, uint64_t c) { return a <= b && b <= c; }

static void clocks(void)
{
	mach_timebase_info_data_t base_info = { 0, 0 };
	uint64_t before, time;

	RETURNS(KERN_INVALID_ARGUMENT, mach_timebase_info(NULL));
	RETURNS(KERN_SUCCESS, mach_timebase_info(&base_info));
	CHECK(base_info.numer == 1 && base_info.denom == 1);

	before = clock_of(CLOCK_MONOTONIC);
	time = mach_absolute_time();
	CHECK(in_order(before, time, clock_of(CLOCK_MONOTONIC)));
	before = clock_of(CLOCK_BOOTTIME);
	time = mach_continuous_time();
	CHECK(in_order(before, time, clock_of(CLOCK_BOOTTIME)));
	before = clock_of(CLOCK_BOOTTIME);
	time = mach_continuous_approximate_time();
	CHECK(in_order(before, time, clock_of(CLOCK_BOOTTIME)));
	before = clock_of(CLOCK_MONOTONIC_COARSE);
	time = mach_approximate_time();
	CHECK(in_order(before, time, clock_of(CLOCK_MONOTONIC_COARSE)));
}

static void ignore(int signal) { (void)signal; }

static void wait_until(void)
{
	uint64_t deadline = mach_absolute_time() + 20000000;
	struct sigaction action;
	pid_t child;
	int status = -1;

	RETURNS(KERN_SUCCESS, mach_wait_until(0));
	RETURNS(KERN_SUCCESS, mach_wait_until(deadline));
	CHECK(mach_absolute_time() >= deadline);

	/* The child of a fork has clocks, and its parent's signals end its sleep. */
	memset(&action, 0, sizeof action);
	action.sa_handler = ignore;
	sigaction(SIGUSR1, &action, NULL);
	child = fork_with_us();
	if (child == 0) {
		clocks();
		_exit(failures != 0 || mach_wait_until(UINT64_MAX) != KERN_ABORTED);
	}
	while (waitpid(child, &status, WNOHANG) == 0) {
		usleep(10000);
		kill(child, SIGUSR1);
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
	begin(argc, argv);
	clocks();
	wait_until();
	return failures != 0;
}
