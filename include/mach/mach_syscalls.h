/* SPDX-License-Identifier: Apache-2.0 */
/* mach/mach_syscalls.h: an older name of <mach/mach_traps.h>. */
#ifndef _MACH_MACH_SYSCALLS_H_
#define _MACH_MACH_SYSCALLS_H_

#include <mach/mach_traps.h>

#endif /* _MACH_MACH_SYSCALLS_H_ */
