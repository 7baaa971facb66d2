/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/mach_time.h: clocks. They count nanoseconds since the boot, so the timebase is
 * 1/1. They can be asked in the child of a fork too.
 */
#ifndef _MACH_MACH_TIME_H_
#define _MACH_MACH_TIME_H_

#include <stdint.h>

#include <mach/mach_types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mach_timebase_info {
	uint32_t numer;
	uint32_t denom;
};
typedef struct mach_timebase_info *mach_timebase_info_t;
typedef struct mach_timebase_info mach_timebase_info_data_t;

/* What to multiply a time with to have nanoseconds. KERN_INVALID_ARGUMENT: info is NULL. */
extern kern_return_t mach_timebase_info(mach_timebase_info_t info);

/* Time that goes by while the machine is awake. The second is cheap and some ms behind. */
extern uint64_t mach_absolute_time(void);
extern uint64_t mach_approximate_time(void);

/* Time that goes by while the machine sleeps, too. */
extern uint64_t mach_continuous_time(void);
extern uint64_t mach_continuous_approximate_time(void);

/* Sleeps until mach_absolute_time() is deadline. KERN_ABORTED: a signal came before. */
extern kern_return_t mach_wait_until(uint64_t deadline);

#ifdef __cplusplus
}
#endif

#endif /* _MACH_MACH_TIME_H_ */
