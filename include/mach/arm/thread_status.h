/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/arm/thread_status.h: the registers of Arm's processors. It declares nothing on
 * Intel's.
 */
#ifndef _ARM_THREAD_STATUS_H_
#define _ARM_THREAD_STATUS_H_

#if !defined(__i386__) && !defined(__x86_64__)

#include <stdint.h>

#include <mach/machine/thread_state.h>
#include <mach/message.h>

/* Of these flavors there are ARM_THREAD_STATE64 and ARM_THREAD_STATE, with its header. */
#define ARM_THREAD_STATE 1
#define ARM_UNIFIED_THREAD_STATE ARM_THREAD_STATE
#define ARM_VFP_STATE 2
#define ARM_EXCEPTION_STATE 3
#define ARM_DEBUG_STATE 4
#define THREAD_STATE_NONE 5
#define ARM_THREAD_STATE64 6
#define ARM_EXCEPTION_STATE64 7
#define ARM_THREAD_STATE32 9
#define ARM_DEBUG_STATE32 14
#define ARM_DEBUG_STATE64 15
#define ARM_NEON_STATE 16
#define ARM_NEON_STATE64 17

#define _STRUCT_ARM_THREAD_STATE struct __darwin_arm_thread_state
_STRUCT_ARM_THREAD_STATE {
	uint32_t __r[13];
	uint32_t __sp;
	uint32_t __lr;
	uint32_t __pc;
	uint32_t __cpsr;
};
typedef _STRUCT_ARM_THREAD_STATE arm_thread_state_t;
typedef _STRUCT_ARM_THREAD_STATE arm_thread_state32_t;

#define _STRUCT_ARM_THREAD_STATE64 struct __darwin_arm_thread_state64
_STRUCT_ARM_THREAD_STATE64 {
	uint64_t __x[29];
	uint64_t __fp; /* x29 */
	uint64_t __lr; /* x30 */
	uint64_t __sp;
	uint64_t __pc;
	uint32_t __cpsr;
	uint32_t __pad;
};
typedef _STRUCT_ARM_THREAD_STATE64 arm_thread_state64_t;

/* What comes with ARM_THREAD_STATE: flavor and count are those of what is in the union. */
struct arm_state_hdr {
	uint32_t flavor;
	uint32_t count;
};
typedef struct arm_state_hdr arm_state_hdr_t;

struct arm_unified_thread_state {
	arm_state_hdr_t ash;
	union {
		arm_thread_state32_t ts_32;
		arm_thread_state64_t ts_64;
	} uts;
};
#define ts_32 uts.ts_32
#define ts_64 uts.ts_64
typedef struct arm_unified_thread_state arm_unified_thread_state_t;

#define ARM_THREAD_STATE_COUNT ((mach_msg_type_number_t)(sizeof(arm_thread_state_t) / sizeof(uint32_t)))
#define ARM_THREAD_STATE32_COUNT ((mach_msg_type_number_t)(sizeof(arm_thread_state32_t) / sizeof(uint32_t)))
#define ARM_THREAD_STATE64_COUNT ((mach_msg_type_number_t)(sizeof(arm_thread_state64_t) / sizeof(uint32_t)))
#define ARM_UNIFIED_THREAD_STATE_COUNT ((mach_msg_type_number_t)(sizeof(arm_unified_thread_state_t) / sizeof(uint32_t)))

/* The states that no call here reads or sets: KERN_INVALID_ARGUMENT. */
#define _STRUCT_ARM_EXCEPTION_STATE struct __darwin_arm_exception_state
_STRUCT_ARM_EXCEPTION_STATE {
	uint32_t __exception;
	uint32_t __fsr;
	uint32_t __far;
};
typedef _STRUCT_ARM_EXCEPTION_STATE arm_exception_state_t;
typedef _STRUCT_ARM_EXCEPTION_STATE arm_exception_state32_t;

#define _STRUCT_ARM_EXCEPTION_STATE64 struct __darwin_arm_exception_state64
_STRUCT_ARM_EXCEPTION_STATE64 {
	uint64_t __far;
	uint32_t __esr;
	uint32_t __exception;
};
typedef _STRUCT_ARM_EXCEPTION_STATE64 arm_exception_state64_t;

#define _STRUCT_ARM_VFP_STATE struct __darwin_arm_vfp_state
_STRUCT_ARM_VFP_STATE {
	uint32_t __r[64];
	uint32_t __fpscr;
};
typedef _STRUCT_ARM_VFP_STATE arm_vfp_state_t;

#define _STRUCT_ARM_NEON_STATE64 struct __darwin_arm_neon_state64
_STRUCT_ARM_NEON_STATE64 {
#if defined(__aarch64__)
	__uint128_t __v[32];
	uint32_t __fpsr;
	uint32_t __fpcr;
#else
	char opaque[32 * 16 + 2 * sizeof(uint32_t)];
#endif
} __attribute__((aligned(16)));
typedef _STRUCT_ARM_NEON_STATE64 arm_neon_state64_t;

#define _STRUCT_ARM_NEON_STATE struct __darwin_arm_neon_state
_STRUCT_ARM_NEON_STATE {
#if defined(__aarch64__)
	__uint128_t __v[16];
	uint32_t __fpsr;
	uint32_t __fpcr;
#else
	char opaque[16 * 16 + 2 * sizeof(uint32_t)];
#endif
} __attribute__((aligned(16)));
typedef _STRUCT_ARM_NEON_STATE arm_neon_state_t;
typedef _STRUCT_ARM_NEON_STATE arm_neon_state32_t;

#define _STRUCT_ARM_DEBUG_STATE32 struct __darwin_arm_debug_state32
_STRUCT_ARM_DEBUG_STATE32 {
	uint32_t __bvr[16];
	uint32_t __bcr[16];
	uint32_t __wvr[16];
	uint32_t __wcr[16];
	uint64_t __mdscr_el1;
};
typedef _STRUCT_ARM_DEBUG_STATE32 arm_debug_state32_t;

#define _STRUCT_ARM_DEBUG_STATE64 struct __darwin_arm_debug_state64
_STRUCT_ARM_DEBUG_STATE64 {
	uint64_t __bvr[16];
	uint64_t __bcr[16];
	uint64_t __wvr[16];
	uint64_t __wcr[16];
	uint64_t __mdscr_el1;
};
typedef _STRUCT_ARM_DEBUG_STATE64 arm_debug_state64_t;

#define ARM_EXCEPTION_STATE_COUNT ((mach_msg_type_number_t)(sizeof(arm_exception_state_t) / sizeof(uint32_t)))
#define ARM_EXCEPTION_STATE64_COUNT ((mach_msg_type_number_t)(sizeof(arm_exception_state64_t) / sizeof(uint32_t)))
#define ARM_VFP_STATE_COUNT ((mach_msg_type_number_t)(sizeof(arm_vfp_state_t) / sizeof(uint32_t)))
#define ARM_NEON_STATE_COUNT ((mach_msg_type_number_t)(sizeof(arm_neon_state_t) / sizeof(uint32_t)))
#define ARM_NEON_STATE64_COUNT ((mach_msg_type_number_t)(sizeof(arm_neon_state64_t) / sizeof(uint32_t)))
#define ARM_DEBUG_STATE32_COUNT ((mach_msg_type_number_t)(sizeof(arm_debug_state32_t) / sizeof(uint32_t)))
#define ARM_DEBUG_STATE64_COUNT ((mach_msg_type_number_t)(sizeof(arm_debug_state64_t) / sizeof(uint32_t)))

#define MACHINE_THREAD_STATE ARM_THREAD_STATE
#define MACHINE_THREAD_STATE_COUNT ARM_UNIFIED_THREAD_STATE_COUNT
#define THREAD_MACHINE_STATE_MAX THREAD_STATE_MAX

/* On macOS these sign pointers; on Linux the registers are shown as they are. */
#define __darwin_arm_thread_state64_get_pc(ts) ((uintptr_t)(ts).__pc)
#define __darwin_arm_thread_state64_get_pc_fptr(ts) ((void *)(uintptr_t)(ts).__pc)
#define __darwin_arm_thread_state64_set_pc_fptr(ts, fptr) ((ts).__pc = (uintptr_t)(fptr))
#define __darwin_arm_thread_state64_get_lr(ts) ((uintptr_t)(ts).__lr)
#define __darwin_arm_thread_state64_get_lr_fptr(ts) ((void *)(uintptr_t)(ts).__lr)
#define __darwin_arm_thread_state64_set_lr_fptr(ts, fptr) ((ts).__lr = (uintptr_t)(fptr))
#define __darwin_arm_thread_state64_get_sp(ts) ((uintptr_t)(ts).__sp)
#define __darwin_arm_thread_state64_set_sp(ts, ptr) ((ts).__sp = (uintptr_t)(ptr))
#define __darwin_arm_thread_state64_get_fp(ts) ((uintptr_t)(ts).__fp)
#define __darwin_arm_thread_state64_set_fp(ts, ptr) ((ts).__fp = (uintptr_t)(ptr))
#define arm_thread_state64_get_pc(ts) __darwin_arm_thread_state64_get_pc(ts)
#define arm_thread_state64_get_pc_fptr(ts) __darwin_arm_thread_state64_get_pc_fptr(ts)
#define arm_thread_state64_set_pc_fptr(ts, fptr) __darwin_arm_thread_state64_set_pc_fptr(ts, fptr)
#define arm_thread_state64_get_lr(ts) __darwin_arm_thread_state64_get_lr(ts)
#define arm_thread_state64_get_lr_fptr(ts) __darwin_arm_thread_state64_get_lr_fptr(ts)
#define arm_thread_state64_set_lr_fptr(ts, fptr) __darwin_arm_thread_state64_set_lr_fptr(ts, fptr)
#define arm_thread_state64_get_sp(ts) __darwin_arm_thread_state64_get_sp(ts)
#define arm_thread_state64_set_sp(ts, ptr) __darwin_arm_thread_state64_set_sp(ts, ptr)
#define arm_thread_state64_get_fp(ts) __darwin_arm_thread_state64_get_fp(ts)
#define arm_thread_state64_set_fp(ts, ptr) __darwin_arm_thread_state64_set_fp(ts, ptr)

#endif

#endif /* _ARM_THREAD_STATUS_H_ */
