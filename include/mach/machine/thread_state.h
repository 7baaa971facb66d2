/* SPDX-License-Identifier: Apache-2.0 */
/* mach/machine/thread_state.h: the lengths of the longest states, in ints. */
#ifndef _MACH_MACHINE_THREAD_STATE_H_
#define _MACH_MACHINE_THREAD_STATE_H_

#define I386_THREAD_STATE_MAX 614
#define ARM_THREAD_STATE_MAX 1296

/* That of any processor. */
#define THREAD_STATE_MAX ARM_THREAD_STATE_MAX

#endif /* _MACH_MACHINE_THREAD_STATE_H_ */
