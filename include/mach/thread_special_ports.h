/* SPDX-License-Identifier: Apache-2.0 */
/* mach/thread_special_ports.h: the numbers of a thread's special ports. No call here gives one. */
#ifndef _MACH_THREAD_SPECIAL_PORTS_H_
#define _MACH_THREAD_SPECIAL_PORTS_H_

#define THREAD_KERNEL_PORT 1
#define THREAD_INSPECT_PORT 2
#define THREAD_READ_PORT 3
#define THREAD_MAX_SPECIAL_PORT THREAD_READ_PORT

#endif /* _MACH_THREAD_SPECIAL_PORTS_H_ */
