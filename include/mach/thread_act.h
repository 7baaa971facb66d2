/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/thread_act.h: calls on a thread, whose name comes from task_threads or from
 * mach_thread_self.
 *
 * Each returns KERN_TERMINATED when the thread has ended, KERN_INVALID_ARGUMENT when its
 * process has ended or runs another program, or when the name is not that of a thread, and
 * MACH_SEND_INVALID_DEST for what names nothing. All but thread_info return
 * KERN_NOT_SUPPORTED for a thread of this process itself: nobody can trace its own threads.
 */
#ifndef _thread_act_user_
#define _thread_act_user_

#include <mach/kern_return.h>
#include <mach/mach_types.h>
#include <mach/message.h>
#include <mach/mig.h>
#include <mach/mig_errors.h>
#include <mach/port.h>
#include <mach/thread_info.h>
#include <mach/thread_status.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Stops the thread alone until it is resumed as often as it was suspended. It goes on when
 * this process ends, or holds neither the name of its task nor that of a thread of it.
 */
extern kern_return_t thread_suspend(thread_read_t target_act);

/* Takes one suspension back. KERN_FAILURE: the thread is not suspended by this process. */
extern kern_return_t thread_resume(thread_read_t target_act);

/*
 * Reads the registers of the thread, which is stopped for it unless it is suspended.
 * *old_stateCnt is the room in ints, and then what was written. A thread that waits in a
 * system call shows as being about to make it. KERN_INVALID_ARGUMENT: no such flavor here,
 * or for a thread of that width, too little room, or a NULL pointer.
 */
extern kern_return_t thread_get_state(thread_read_t target_act, thread_state_flavor_t flavor, thread_state_t old_state,
	mach_msg_type_number_t *old_stateCnt);

/*
 * Sets the registers of the thread, but for its segments, where it stands now: suspend it
 * first. What thread_get_state has returned puts the thread back to where it was; a system
 * call that it was waiting in is made again. KERN_INVALID_ARGUMENT: as there, or registers
 * that the thread can't have.
 */
extern kern_return_t thread_set_state(thread_act_t target_act, thread_state_flavor_t flavor, thread_state_t new_state,
	mach_msg_type_number_t new_stateCnt);

/*
 * Tells of the thread what the flavor says, without stopping it. *thread_info_outCnt is
 * the room in ints, and then what was written. KERN_INVALID_ARGUMENT: no such flavor here,
 * too little room, or a NULL pointer.
 */
extern kern_return_t thread_info(thread_inspect_t target_act, thread_flavor_t flavor, thread_info_t thread_info_out,
	mach_msg_type_number_t *thread_info_outCnt);

#ifdef __cplusplus
}
#endif

#endif /* _thread_act_user_ */
