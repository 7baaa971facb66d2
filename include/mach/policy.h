/* SPDX-License-Identifier: Apache-2.0 */
/* mach/policy.h: how threads are scheduled. */
#ifndef _MACH_POLICY_H_
#define _MACH_POLICY_H_

typedef int policy_t;

#define POLICY_NULL 0
#define POLICY_TIMESHARE 1
#define POLICY_RR 2
#define POLICY_FIFO 4

#endif /* _MACH_POLICY_H_ */
