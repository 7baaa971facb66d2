/* SPDX-License-Identifier: Apache-2.0 */
/* Registers, by the names that both processors have. */
#ifndef REGISTERS_H
#define REGISTERS_H

#include "threads.h"

#if defined(__x86_64__)
#define FLAVOR x86_THREAD_STATE64
#define COUNT x86_THREAD_STATE64_COUNT
typedef x86_thread_state64_t state_t;
#define PC(state) ((state).__rip)
#define SP(state) ((state).__rsp)
#define UNIFIED(state) ((state).uts.ts64)
#define HEADER(state) ((state).tsh)
typedef x86_thread_state_t unified_t;
#define BELOW_A_CALL 8 /* where the return address lies */
#else
#define FLAVOR ARM_THREAD_STATE64
#define COUNT ARM_THREAD_STATE64_COUNT
typedef arm_thread_state64_t state_t;
#define PC(state) ((state).__pc)
#define SP(state) ((state).__sp)
#define UNIFIED(state) ((state).ts_64)
#define HEADER(state) ((state).ash)
typedef arm_unified_thread_state_t unified_t;
#define BELOW_A_CALL 0
#endif

static inline state_t state_of(thread_act_t thread)
{
	mach_msg_type_number_t room = COUNT;
	state_t state;

	memset(&state, 0, sizeof state);
	RETURNS(KERN_SUCCESS, thread_get_state(thread, FLAVOR, (thread_state_t)&state, &room));
	CHECK(room == COUNT);
	return state;
}

/* Waits until the thread sits in read, by what /proc says. */
static inline void wait_for_read(int tid)
{
	char path[64], text[32];
	long number = -1;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", (int)child, tid);
	WAIT_FOR((fd = open(path, O_RDONLY)) >= 0 && read(fd, text, sizeof text) > 0 && close(fd) == 0 &&
		sscanf(text, "%ld", &number) == 1 && number == SYS_read);
}

#endif
