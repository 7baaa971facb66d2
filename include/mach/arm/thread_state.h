/* SPDX-License-Identifier: Apache-2.0 */
/* mach/arm/thread_state.h: see mach/machine/thread_state.h. */
#ifndef _MACH_ARM_THREAD_STATE_H_
#define _MACH_ARM_THREAD_STATE_H_

#include <mach/machine/thread_state.h>

#endif /* _MACH_ARM_THREAD_STATE_H_ */
