/* SPDX-License-Identifier: Apache-2.0 */
/* mach/semaphore.h: the types of semaphores. There are no calls; use <semaphore.h>. */
#ifndef _MACH_SEMAPHORE_H_
#define _MACH_SEMAPHORE_H_

#include <mach/kern_return.h>
#include <mach/mach_types.h>
#include <mach/port.h>
#include <mach/sync_policy.h>

#endif /* _MACH_SEMAPHORE_H_ */
