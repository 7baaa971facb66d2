/* SPDX-License-Identifier: Apache-2.0 */
/* mach/machine/thread_state.h: the length of the longest state, in ints. */
#ifndef _MACH_MACHINE_THREAD_STATE_H_
#define _MACH_MACHINE_THREAD_STATE_H_

#define I386_THREAD_STATE_MAX 614
#define ARM_THREAD_STATE_MAX 1296

#if defined(__i386__) || defined(__x86_64__)
#define THREAD_STATE_MAX I386_THREAD_STATE_MAX
#else
#define THREAD_STATE_MAX ARM_THREAD_STATE_MAX
#endif

#endif /* _MACH_MACHINE_THREAD_STATE_H_ */
