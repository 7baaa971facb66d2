/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of mach/mach_time.h. */
#define _GNU_SOURCE /* CLOCK_BOOTTIME */
#include <errno.h>
#include <mach/mach_time.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

static const uint64_t second = 1000000000;

static uint64_t now(clockid_t clock)
{
	struct timespec t = { 0, 0 };

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * second + (uint64_t)t.tv_nsec;
}

kern_return_t mach_timebase_info(mach_timebase_info_t info)
{
	static const struct mach_timebase_info nanoseconds = { 1, 1 };

	if (info == NULL)
		return KERN_INVALID_ARGUMENT;
	memcpy(info, &nanoseconds, sizeof nanoseconds);
	return KERN_SUCCESS;
}

uint64_t mach_absolute_time(void) { return now(CLOCK_MONOTONIC); }

uint64_t mach_approximate_time(void) { return now(CLOCK_MONOTONIC_COARSE); }

uint64_t mach_continuous_time(void) { return now(CLOCK_BOOTTIME); }

/* The kernel has no cheaper clock that counts the sleep. */
uint64_t mach_continuous_approximate_time(void) { return now(CLOCK_BOOTTIME); }

kern_return_t mach_wait_until(uint64_t deadline)
{
	struct timespec t = { (time_t)(deadline / second), (long)(deadline % second) };

	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR ? KERN_ABORTED : KERN_SUCCESS;
}
