/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/i386/thread_status.h: the registers of Intel's processors. It declares nothing on
 * others.
 */
#ifndef _MACH_I386_THREAD_STATUS_H_
#define _MACH_I386_THREAD_STATUS_H_

#if defined(__i386__) || defined(__x86_64__)

#include <stdint.h>

#include <mach/i386/_structs.h>
#include <mach/machine/thread_state.h>
#include <mach/message.h>

/*
 * Of these flavors there are x86_THREAD_STATE32, for threads that run 32-bit code,
 * x86_THREAD_STATE64 for the others, and x86_THREAD_STATE for both.
 */
#define x86_THREAD_STATE32 1
#define x86_FLOAT_STATE32 2
#define x86_EXCEPTION_STATE32 3
#define x86_THREAD_STATE64 4
#define x86_FLOAT_STATE64 5
#define x86_EXCEPTION_STATE64 6
#define x86_THREAD_STATE 7
#define x86_FLOAT_STATE 8
#define x86_EXCEPTION_STATE 9
#define x86_DEBUG_STATE32 10
#define x86_DEBUG_STATE64 11
#define x86_DEBUG_STATE 12
#define THREAD_STATE_NONE 13

#define i386_THREAD_STATE x86_THREAD_STATE32
#define i386_FLOAT_STATE x86_FLOAT_STATE32
#define i386_EXCEPTION_STATE x86_EXCEPTION_STATE32

typedef _STRUCT_X86_THREAD_STATE32 x86_thread_state32_t;
typedef _STRUCT_X86_THREAD_STATE64 x86_thread_state64_t;
typedef _STRUCT_X86_FLOAT_STATE32 x86_float_state32_t;
typedef _STRUCT_X86_FLOAT_STATE64 x86_float_state64_t;
typedef _STRUCT_X86_EXCEPTION_STATE32 x86_exception_state32_t;
typedef _STRUCT_X86_EXCEPTION_STATE64 x86_exception_state64_t;
typedef _STRUCT_X86_DEBUG_STATE32 x86_debug_state32_t;
typedef _STRUCT_X86_DEBUG_STATE64 x86_debug_state64_t;
typedef x86_thread_state32_t i386_thread_state_t;
typedef x86_float_state32_t i386_float_state_t;
typedef x86_exception_state32_t i386_exception_state_t;

/* What comes with x86_THREAD_STATE and its like: flavor and count are those of what is in the union. */
struct x86_state_hdr {
	uint32_t flavor;
	uint32_t count;
};
typedef struct x86_state_hdr x86_state_hdr_t;

struct x86_thread_state {
	x86_state_hdr_t tsh;
	union {
		x86_thread_state32_t ts32;
		x86_thread_state64_t ts64;
	} uts;
};
typedef struct x86_thread_state x86_thread_state_t;

struct x86_float_state {
	x86_state_hdr_t fsh;
	union {
		x86_float_state32_t fs32;
		x86_float_state64_t fs64;
	} ufs;
};
typedef struct x86_float_state x86_float_state_t;

struct x86_exception_state {
	x86_state_hdr_t esh;
	union {
		x86_exception_state32_t es32;
		x86_exception_state64_t es64;
	} ues;
};
typedef struct x86_exception_state x86_exception_state_t;

struct x86_debug_state {
	x86_state_hdr_t dsh;
	union {
		x86_debug_state32_t ds32;
		x86_debug_state64_t ds64;
	} uds;
};
typedef struct x86_debug_state x86_debug_state_t;

#define x86_THREAD_STATE32_COUNT ((mach_msg_type_number_t)(sizeof(x86_thread_state32_t) / sizeof(int)))
#define x86_THREAD_STATE64_COUNT ((mach_msg_type_number_t)(sizeof(x86_thread_state64_t) / sizeof(int)))
#define x86_THREAD_STATE_COUNT ((mach_msg_type_number_t)(sizeof(x86_thread_state_t) / sizeof(int)))
#define x86_FLOAT_STATE32_COUNT ((mach_msg_type_number_t)(sizeof(x86_float_state32_t) / sizeof(int)))
#define x86_FLOAT_STATE64_COUNT ((mach_msg_type_number_t)(sizeof(x86_float_state64_t) / sizeof(int)))
#define x86_FLOAT_STATE_COUNT ((mach_msg_type_number_t)(sizeof(x86_float_state_t) / sizeof(int)))
#define x86_EXCEPTION_STATE32_COUNT ((mach_msg_type_number_t)(sizeof(x86_exception_state32_t) / sizeof(int)))
#define x86_EXCEPTION_STATE64_COUNT ((mach_msg_type_number_t)(sizeof(x86_exception_state64_t) / sizeof(int)))
#define x86_EXCEPTION_STATE_COUNT ((mach_msg_type_number_t)(sizeof(x86_exception_state_t) / sizeof(int)))
#define x86_DEBUG_STATE32_COUNT ((mach_msg_type_number_t)(sizeof(x86_debug_state32_t) / sizeof(int)))
#define x86_DEBUG_STATE64_COUNT ((mach_msg_type_number_t)(sizeof(x86_debug_state64_t) / sizeof(int)))
#define x86_DEBUG_STATE_COUNT ((mach_msg_type_number_t)(sizeof(x86_debug_state_t) / sizeof(int)))
#define i386_THREAD_STATE_COUNT x86_THREAD_STATE32_COUNT
#define i386_FLOAT_STATE_COUNT x86_FLOAT_STATE32_COUNT
#define i386_EXCEPTION_STATE_COUNT x86_EXCEPTION_STATE32_COUNT

#define MACHINE_THREAD_STATE x86_THREAD_STATE
#define MACHINE_THREAD_STATE_COUNT x86_THREAD_STATE_COUNT
#define THREAD_MACHINE_STATE_MAX THREAD_STATE_MAX

#endif

#endif /* _MACH_I386_THREAD_STATUS_H_ */
