/* SPDX-License-Identifier: Apache-2.0 */
/* mach/machine/thread_status.h: the registers of the processor that this is compiled for. */
#ifndef _MACH_MACHINE_THREAD_STATUS_H_
#define _MACH_MACHINE_THREAD_STATUS_H_

#include <mach/arm/thread_status.h>
#include <mach/i386/thread_status.h>

#endif /* _MACH_MACHINE_THREAD_STATUS_H_ */
