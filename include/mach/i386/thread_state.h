/* SPDX-License-Identifier: Apache-2.0 */
/* mach/i386/thread_state.h: see mach/machine/thread_state.h. */
#ifndef _MACH_I386_THREAD_STATE_H_
#define _MACH_I386_THREAD_STATE_H_

#include <mach/machine/thread_state.h>

#endif /* _MACH_I386_THREAD_STATE_H_ */
