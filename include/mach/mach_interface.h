/* SPDX-License-Identifier: Apache-2.0 */
/* mach/mach_interface.h: the calls on tasks, their threads and their memory. */
#ifndef _MACH_INTERFACE_H_
#define _MACH_INTERFACE_H_

#include <mach/task.h>
#include <mach/thread_act.h>
#include <mach/vm_map.h>

#endif /* _MACH_INTERFACE_H_ */
