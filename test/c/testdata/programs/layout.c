/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes, places and values that a program compiled for macOS has. Where the width
 * of a pointer has a say, they are those of 64 bits.
 */
#include <TargetConditionals.h>
#include <bsd/sys/sysctl.h>
#include <libproc.h>
#include <mach/mach.h>
#include <mach/mach_vm.h>
#include <stddef.h>

/* Fails to compile where the condition is false, in C99 as in C++. */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define ASSERT(condition) extern int JOIN(assert_, __LINE__)[(condition) ? 1 : -1]

ASSERT(sizeof(kern_return_t) == 4 && sizeof(mach_port_t) == 4 && sizeof(boolean_t) == 4);
ASSERT(sizeof(natural_t) == 4 && sizeof(integer_t) == 4 && sizeof(mach_msg_type_number_t) == 4);
ASSERT(sizeof(mach_vm_address_t) == 8 && sizeof(mach_vm_size_t) == 8 && sizeof(memory_object_offset_t) == 8);
ASSERT(sizeof(vm_address_t) == sizeof(void *) && sizeof(vm_size_t) == sizeof(void *));
ASSERT((natural_t)-1 > 0 && (integer_t)-1 < 0 && (mach_port_t)-1 > 0);

ASSERT(sizeof(struct vm_region_basic_info) == 32 && VM_REGION_BASIC_INFO_COUNT == 8);
ASSERT(sizeof(struct vm_region_basic_info_64) == 36 && VM_REGION_BASIC_INFO_COUNT_64 == 9);
ASSERT(offsetof(struct vm_region_basic_info_64, offset) == 20);
ASSERT(offsetof(struct vm_region_basic_info_64, behavior) == 28);
ASSERT(offsetof(struct vm_region_basic_info_64, user_wired_count) == 32);
ASSERT(sizeof(struct vm_region_extended_info) == 36 && VM_REGION_EXTENDED_INFO_COUNT == 9);
ASSERT(offsetof(struct vm_region_extended_info, shadow_depth) == 28);
ASSERT(offsetof(struct vm_region_extended_info, share_mode) == 31);
ASSERT(sizeof(struct vm_region_submap_info) == 60 && VM_REGION_SUBMAP_INFO_COUNT == 15);
ASSERT(offsetof(struct vm_region_submap_info, is_submap) == 44);
ASSERT(sizeof(struct vm_region_submap_info_64) == 76 && VM_REGION_SUBMAP_INFO_COUNT_64 == 19);
ASSERT(VM_REGION_SUBMAP_INFO_V1_COUNT_64 == 17 && VM_REGION_SUBMAP_INFO_V0_COUNT_64 == 16);
ASSERT(offsetof(struct vm_region_submap_info_64, offset) == 12);
ASSERT(offsetof(struct vm_region_submap_info_64, object_id_full) == 68);
ASSERT(sizeof(struct vm_region_submap_short_info_64) == 48 && VM_REGION_SUBMAP_SHORT_INFO_COUNT_64 == 12);

ASSERT(sizeof(struct mach_vm_read_entry) == 16 && sizeof(mach_vm_read_entry_t) == 4096 && VM_MAP_ENTRY_MAX == 256);
ASSERT(sizeof(struct vm_read_entry) == 2 * sizeof(void *));
ASSERT(sizeof(struct vm_page_info_basic) == 32 && VM_PAGE_INFO_BASIC_COUNT == 8 && VM_PAGE_INFO_BASIC == 1);
ASSERT(offsetof(struct vm_page_info_basic, object_id) == 8 && offsetof(struct vm_page_info_basic, offset) == 16);
ASSERT(offsetof(struct vm_page_info_basic, depth) == 24);

ASSERT(sizeof(struct task_basic_info_32) == 32 && TASK_BASIC_INFO_32_COUNT == 8);
ASSERT(sizeof(struct task_basic_info_64) == 40 && TASK_BASIC_INFO_64_COUNT == 10);
ASSERT(sizeof(struct mach_task_basic_info) == 48 && MACH_TASK_BASIC_INFO_COUNT == 12);
ASSERT(offsetof(struct mach_task_basic_info, suspend_count) == 44);
ASSERT(TASK_SECURITY_TOKEN_COUNT == 2 && TASK_AUDIT_TOKEN_COUNT == 8 && TASK_AFFINITY_TAG_INFO_COUNT == 4);
ASSERT(TASK_EXTMOD_INFO_COUNT == 16 && TASK_POWER_INFO_COUNT == 12 && TASK_KERNELMEMORY_INFO_COUNT == 8);
ASSERT(TASK_TRACE_MEMORY_INFO_COUNT == 6 && TASK_WAIT_STATE_INFO_COUNT == 8 && TASK_FLAGS_INFO_COUNT == 1);
ASSERT(sizeof(struct thread_basic_info) == 40 && THREAD_BASIC_INFO_COUNT == 10);
ASSERT(offsetof(struct thread_basic_info, run_state) == 24);
ASSERT(sizeof(struct thread_identifier_info) == 24 && THREAD_IDENTIFIER_INFO_COUNT == 6);
ASSERT(sizeof(struct thread_extended_info) == 112 && THREAD_EXTENDED_INFO_COUNT == 28);
ASSERT(offsetof(struct thread_extended_info, pth_name) == 48);
ASSERT(THREAD_BASIC_INFO == 3 && THREAD_EXTENDED_INFO == 5 && TH_STATE_WAITING == 3);
ASSERT(sizeof(thread_state_data_t) == 4 * THREAD_STATE_MAX);
#if defined(__i386__) || defined(__x86_64__)
ASSERT(sizeof(x86_thread_state32_t) == 64 && x86_THREAD_STATE32_COUNT == 16);
ASSERT(sizeof(x86_thread_state64_t) == 168 && x86_THREAD_STATE64_COUNT == 42);
ASSERT(offsetof(x86_thread_state64_t, __rip) == 128 && offsetof(x86_thread_state32_t, __eip) == 40);
ASSERT(sizeof(__darwin_fp_control_t) == 2 && sizeof(__darwin_fp_status_t) == 2);
ASSERT(x86_FLOAT_STATE32_COUNT == 131 && x86_FLOAT_STATE64_COUNT == 131 && x86_FLOAT_STATE_COUNT == 133);
ASSERT(offsetof(x86_float_state64_t, __fpu_mxcsr) == 32 && offsetof(x86_float_state64_t, __fpu_stmm0) == 40);
ASSERT(offsetof(x86_float_state64_t, __fpu_xmm0) == 168 && offsetof(x86_float_state64_t, __fpu_xmm15) == 408);
ASSERT(offsetof(x86_float_state32_t, __fpu_xmm7) == 280 && offsetof(x86_float_state32_t, __fpu_reserved1) == 520);
ASSERT(x86_EXCEPTION_STATE32_COUNT == 3 && x86_EXCEPTION_STATE64_COUNT == 4 && x86_EXCEPTION_STATE_COUNT == 6);
ASSERT(x86_DEBUG_STATE32_COUNT == 8 && x86_DEBUG_STATE64_COUNT == 16 && x86_DEBUG_STATE_COUNT == 18);
ASSERT(offsetof(x86_debug_state_t, uds.ds64.__dr7) == 64);
ASSERT(x86_THREAD_STATE == 7 && x86_THREAD_STATE64 == 4);
ASSERT(sizeof(x86_float_state32_t) == 524 && sizeof(x86_float_state64_t) == 524 && x86_FLOAT_STATE64_COUNT == 131);
ASSERT(offsetof(x86_float_state64_t, __fpu_mxcsr) == 32 && offsetof(x86_float_state64_t, __fpu_xmm15) == 408);
ASSERT(offsetof(x86_float_state32_t, __fpu_xmm7) == 280 && offsetof(x86_float_state32_t, __fpu_rsrv4) == 296);
ASSERT(sizeof(x86_exception_state32_t) == 12 && sizeof(x86_exception_state64_t) == 16);
ASSERT(sizeof(x86_debug_state32_t) == 32 && sizeof(x86_debug_state64_t) == 64 && x86_DEBUG_STATE_COUNT == 18);
ASSERT(sizeof(void *) != 8 || (sizeof(x86_thread_state_t) == 176 && MACHINE_THREAD_STATE_COUNT == 44));
#else
ASSERT(sizeof(arm_thread_state64_t) == 272 && ARM_THREAD_STATE64_COUNT == 68);
ASSERT(offsetof(arm_thread_state64_t, __pc) == 256 && offsetof(arm_thread_state64_t, __cpsr) == 264);
ASSERT(ARM_EXCEPTION_STATE_COUNT == 3 && ARM_EXCEPTION_STATE64_COUNT == 4 && ARM_VFP_STATE_COUNT == 65);
ASSERT(ARM_NEON_STATE_COUNT == 68 && ARM_NEON_STATE64_COUNT == 132);
ASSERT(ARM_DEBUG_STATE32_COUNT == 66 && ARM_DEBUG_STATE64_COUNT == 130);
ASSERT(ARM_THREAD_STATE == 1 && ARM_THREAD_STATE64 == 6 && ARM_THREAD_STATE_COUNT == 17);
ASSERT(sizeof(void *) != 8 || (sizeof(arm_unified_thread_state_t) == 280 && MACHINE_THREAD_STATE_COUNT == 70));
#endif
ASSERT(sizeof(struct task_absolutetime_info) == 32 && TASK_ABSOLUTETIME_INFO_COUNT == 8);
ASSERT(sizeof(struct task_events_info) == 32 && TASK_EVENTS_INFO_COUNT == 8);
ASSERT(sizeof(struct task_thread_times_info) == 16 && TASK_THREAD_TIMES_INFO_COUNT == 4);
ASSERT(sizeof(struct task_dyld_info) == 20 && TASK_DYLD_INFO_COUNT == 5);
ASSERT(sizeof(struct task_vm_info) == 372 && TASK_VM_INFO_COUNT == 93 && TASK_VM_INFO_REV6_COUNT == 89);
ASSERT(TASK_VM_INFO_REV5_COUNT == 87 && TASK_VM_INFO_REV4_COUNT == 86 && TASK_VM_INFO_REV3_COUNT == 84);
ASSERT(TASK_VM_INFO_REV2_COUNT == 42 && TASK_VM_INFO_REV1_COUNT == 38 && TASK_VM_INFO_REV0_COUNT == 36);
ASSERT(offsetof(struct task_vm_info, resident_size) == 16 && offsetof(struct task_vm_info, compressed) == 120);
ASSERT(offsetof(struct task_vm_info, phys_footprint) == 144 && offsetof(struct task_vm_info, min_address) == 152);
ASSERT(offsetof(struct task_vm_info, ledger_phys_footprint_peak) == 168);
ASSERT(offsetof(struct task_vm_info, limit_bytes_remaining) == 336);
ASSERT(sizeof(struct vm_region_top_info) == 20 && VM_REGION_TOP_INFO_COUNT == 5 && VM_REGION_TOP_INFO == 12);
ASSERT(offsetof(struct vm_region_top_info, share_mode) == 16);
ASSERT(TASK_DYLD_INFO == 17 && TASK_VM_INFO == 22 && TASK_THREAD_TIMES_INFO == 3 && TASK_EVENTS_INFO == 2);
ASSERT(sizeof(struct host_basic_info) == 48 && HOST_BASIC_INFO_COUNT == 12);
ASSERT(sizeof(struct vm_statistics) == 60 && HOST_VM_INFO_COUNT == 15 && HOST_VM_INFO_REV0_COUNT == 12);
ASSERT(sizeof(struct vm_statistics64) == 152 && HOST_VM_INFO64_COUNT == 38 && HOST_VM_INFO64_REV0_COUNT == 24);
ASSERT(offsetof(struct vm_statistics64, zero_fill_count) == 16 && offsetof(struct vm_statistics64, purges) == 80);
ASSERT(offsetof(struct vm_statistics64, compressor_page_count) == 128);
ASSERT(HOST_LOAD_INFO_COUNT == 6 && HOST_CPU_LOAD_INFO_COUNT == 4 && HOST_SCHED_INFO_COUNT == 2);
ASSERT(HOST_PRIORITY_INFO_COUNT == 8 && HOST_PREFERRED_USER_ARCH_COUNT == 2);
ASSERT(PROCESSOR_BASIC_INFO_COUNT == 5 && PROCESSOR_CPU_LOAD_INFO_COUNT == 4 && LOAD_SCALE == 1000);
ASSERT(HOST_VM_INFO64 == 4 && HOST_CPU_LOAD_INFO == 3 && HOST_VM_INFO == 2 && HOST_PRIORITY_INFO == 5);
ASSERT(sizeof(struct proc_bsdinfo) == 136 && offsetof(struct proc_bsdinfo, pbi_comm) == 48);
ASSERT(offsetof(struct proc_bsdinfo, pbi_name) == 64 && offsetof(struct proc_bsdinfo, pbi_start_tvsec) == 120);
ASSERT(sizeof(struct proc_bsdshortinfo) == 64 && sizeof(struct proc_taskinfo) == 96);
ASSERT(sizeof(struct proc_taskallinfo) == 232 && sizeof(struct proc_regioninfo) == 96);
ASSERT(sizeof(struct vinfo_stat) == 136 && sizeof(struct vnode_info) == 152);
ASSERT(sizeof(struct vnode_info_path) == 1176 && sizeof(struct proc_regionwithpathinfo) == 1272);
ASSERT(PROC_PIDPATHINFO_MAXSIZE == 4096 && PROC_PIDTBSDINFO == 3 && PROC_PIDREGIONPATHINFO == 8);
#if defined(__LP64__)
ASSERT(sizeof(struct proc_vnodepathinfo) == 2352 && sizeof(struct proc_threadinfo) == 112);
ASSERT(sizeof(struct proc_threadwithpathinfo) == 1288 && sizeof(struct proc_workqueueinfo) == 16);
ASSERT(sizeof(struct proc_fdinfo) == 8 && sizeof(struct xsw_usage) == 32 && sizeof(struct loadavg) == 24);
ASSERT(sizeof(struct kinfo_proc) == 648 && sizeof(struct extern_proc) == 296 && sizeof(struct eproc) == 352);
ASSERT(offsetof(struct extern_proc, p_flag) == 32 && offsetof(struct extern_proc, p_pid) == 40);
ASSERT(offsetof(struct extern_proc, p_comm) == 243 && offsetof(struct kinfo_proc, kp_eproc.e_ppid) == 560);
ASSERT(offsetof(struct kinfo_proc, kp_eproc.e_ucred) == 416 && offsetof(struct kinfo_proc, kp_eproc.e_tdev) == 572);
ASSERT(offsetof(struct eproc, e_flag) == 316);
#endif
ASSERT(KERN_PROC == 14 && KERN_PROCARGS2 == 49 && KERN_ARGMAX == 8 && HW_MEMSIZE == 24 && P_TRACED == 0x800);
ASSERT(sizeof(mach_msg_header_t) == 24);
ASSERT(sizeof(void *) != 8 || sizeof(struct task_basic_info) == 40);

ASSERT(VM_REGION_BASIC_INFO_64 == 9 && VM_REGION_BASIC_INFO == 10 && VM_REGION_EXTENDED_INFO == 13);
ASSERT(TASK_BASIC_INFO_32 == 4 && MACH_TASK_BASIC_INFO == 20);
ASSERT(VM_PROT_ALL == 7 && VM_PROT_COPY == 0x10 && VM_FLAGS_ANYWHERE == 1 && VM_FLAGS_OVERWRITE == 0x4000);
ASSERT(VM_SYNC_ASYNCHRONOUS == 1 && VM_SYNC_SYNCHRONOUS == 2 && VM_SYNC_CONTIGUOUS == 0x20 && MATTR_CACHE == 1);
ASSERT(MATTR_VAL_CACHE_FLUSH == 6 && MATTR_VAL_ICACHE_FLUSH == 8 && MATTR_VAL_CACHE_SYNC == 9);
ASSERT(VM_PAGE_QUERY_PAGE_PRESENT == 1 && VM_PAGE_QUERY_PAGE_PAGED_OUT == 0x10 && VM_PAGE_QUERY_PAGE_EXTERNAL == 0x80);
ASSERT(VM_INHERIT_NONE == 2 && VM_BEHAVIOR_DONTNEED == 5 && VM_BEHAVIOR_PAGEOUT == 11 && VM_FLAGS_RETURN_DATA_ADDR == 0x100000);
ASSERT(MACH_SEND_INVALID_DEST == 0x10000003 && KERN_NOT_SUPPORTED == 46 && MIG_SERVER_DIED == -308);
ASSERT(MACH_PORT_DEAD == 0xffffffff && MACH_PORT_TYPE_SEND == 0x10000);

ASSERT(sizeof(mach_msg_base_t) == 28 && sizeof(mach_msg_port_descriptor_t) == 12);
ASSERT(sizeof(void *) != 8 || (sizeof(mach_msg_ool_descriptor_t) == 16 && offsetof(mach_msg_ool_descriptor_t, size) == 12));
ASSERT(sizeof(void *) != 8 || sizeof(mach_msg_guarded_port_descriptor_t) == 16);
ASSERT(sizeof(mach_msg_audit_trailer_t) == 52 && offsetof(mach_msg_audit_trailer_t, msgh_audit) == 20);
ASSERT(sizeof(void *) != 8 || sizeof(mach_msg_max_trailer_t) == 68);
ASSERT(sizeof(mach_dead_name_notification_t) == 56 && sizeof(mach_port_destroyed_notification_t) == 60);
ASSERT(sizeof(mig_reply_error_t) == 36 && offsetof(mig_reply_error_t, RetCode) == 32);
ASSERT(sizeof(mach_port_status_t) == 40 && MACH_PORT_RECEIVE_STATUS_COUNT == 10 && sizeof(mach_port_qos_t) == 8);
ASSERT(sizeof(mach_timespec_t) == 8 && sizeof(struct policy_timeshare_info) == 20 && sizeof(struct policy_fifo_info) == 16);
ASSERT(THREAD_TIME_CONSTRAINT_POLICY_COUNT == 4 && THREAD_AFFINITY_POLICY_COUNT == 1 && TASK_CATEGORY_POLICY_COUNT == 1);

ASSERT(VM_MEMORY_SANITIZER == 99 && VM_MEMORY_ROSETTA == 230 && VM_FLAGS_USER_ALLOCATE == 0xff07509f);
ASSERT(EXC_MASK_ALL == 0x1bfe && EXC_SOFT_SIGNAL == 0x10003 && TASK_DEBUG_CONTROL_PORT == 10);
ASSERT(MACH_NOTIFY_DEAD_NAME == 72 && MACH_MSGH_BITS(19, 21) == 0x1513 && MACH_RCV_TRAILER_ELEMENTS(3) == 0x3000000);

#if TARGET_OS_OSX || TARGET_OS_IPHONE || TARGET_OS_MAC || !TARGET_OS_LINUX || defined(__APPLE__)
#error this is Linux
#endif
#if defined(__LP64__) ? !TARGET_RT_64_BIT : TARGET_RT_64_BIT
#error the width
#endif

int main(void)
{
	/* The library has the variables that the macros stand for. */
	return mach_task_self() == MACH_PORT_NULL || vm_page_size == 0;
}
