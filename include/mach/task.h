/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/task.h: calls on a task as a whole. Their codes are those of vm_map.h, and
 * these besides.
 */
#ifndef _task_user_
#define _task_user_

#include <mach/kern_return.h>
#include <mach/mach_types.h>
#include <mach/message.h>
#include <mach/mig.h>
#include <mach/mig_errors.h>
#include <mach/port.h>
#include <mach/std_types.h>
#include <mach/task_info.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Stops all threads of the task until it is resumed as often as it was suspended.
 * If this process ends first, the kernel resumes it. KERN_NOT_SUPPORTED for
 * mach_task_self(): a process that stops itself could not go on.
 */
extern kern_return_t task_suspend(task_read_t target_task);

/*
 * Takes one suspension back. KERN_FAILURE: the task is not suspended by this process.
 * KERN_NOT_SUPPORTED for mach_task_self().
 */
extern kern_return_t task_resume(task_read_t target_task);

/*
 * Kills the process of the task with SIGKILL, this one too, and does not wait for its
 * end. KERN_FAILURE: this process may not.
 */
extern kern_return_t task_terminate(task_t target_task);

/*
 * Puts the names of the task's threads into *act_list, in memory that the caller gives back
 * with vm_deallocate, and their number into *act_listCnt. Each is one more right to that
 * thread, to be let go of with mach_port_deallocate. Nothing is stopped, so that threads
 * may have ended by then, or begun. KERN_INVALID_ARGUMENT: a NULL pointer, or the process
 * has ended.
 */
extern kern_return_t task_threads(task_inspect_t target_task, thread_act_array_t *act_list,
	mach_msg_type_number_t *act_listCnt);

/*
 * Tells of the task what the flavor says. *task_info_outCnt is the room in ints,
 * and then what was written. KERN_INVALID_ARGUMENT: no such flavor here, too
 * little room, a NULL pointer, or the process has ended. KERN_NOT_SUPPORTED:
 * TASK_DYLD_INFO.
 */
extern kern_return_t task_info(task_name_t target_task, task_flavor_t flavor, task_info_t task_info_out,
	mach_msg_type_number_t *task_info_outCnt);

#ifdef __cplusplus
}
#endif

#endif /* _task_user_ */
