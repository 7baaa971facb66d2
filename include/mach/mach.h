/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/mach.h: Mach's calls on the memory of tasks, for Linux.
 *
 * As on macOS, <mach/mach_vm.h> comes extra. Compile and link with
 *
 *     cc tool.c $(pkg-config --cflags --libs machcompat)
 *
 * Threads: every call may be made from every thread at any time.
 *
 * fork: the library does not live on in the child of a fork, for it runs threads
 * that the child has not. There each call on a task, its memory, a thread or a name
 * returns MACH_SEND_INVALID_DEST, or KERN_FAILURE from task_for_pid, without doing
 * anything, and mach_thread_self returns MACH_PORT_NULL. <mach/mach_host.h>,
 * <mach/mach_time.h>, <mach/mach_error.h> and all of exec work. A program that exec
 * starts has its own. The same is true under vfork. The parent goes on as before.
 *
 * wait: task_suspend, the calls of <mach/thread_act.h>, and what the task itself must do
 * (vm_protect, vm_allocate, vm_deallocate, vm_map, vm_inherit, vm_behavior_set, vm_msync)
 * trace the task for as long as they stop it. If it is a child of this process, a wait for
 * it with WUNTRACED, or from another thread, may see that stop.
 */
#ifndef _MACH_H_
#define _MACH_H_

#include <mach/kern_return.h>
#include <mach/mach_error.h>
#include <mach/mach_host.h>
#include <mach/mach_init.h>
#include <mach/mach_interface.h>
#include <mach/mach_port.h>
#include <mach/mach_traps.h>
#include <mach/mach_types.h>
#include <mach/mig.h>
#include <mach/mig_errors.h>
#include <mach/std_types.h>
#include <mach/task.h>
#include <mach/thread_act.h>
#include <mach/vm_map.h>
#include <mach/vm_page_size.h>

#endif /* _MACH_H_ */
