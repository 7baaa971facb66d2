/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/machine/vm_param.h: the page, and where memory can be.
 *
 * PAGE_MASK is Mach's, the bits inside a page. In <sys/user.h> it is the opposite:
 * include that before <mach/...>, where you need both.
 */
#ifndef _MACH_MACHINE_VM_PARAM_H_
#define _MACH_MACHINE_VM_PARAM_H_

#include <mach/machine/vm_types.h>
#include <mach/vm_page_size.h>

#undef PAGE_SHIFT
#undef PAGE_SIZE
#undef PAGE_MASK

/* A constant where all kernels have the same page, so that it can size an array. */
#if defined(__x86_64__) || defined(__i386__)
#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (PAGE_SIZE - 1)
#define PAGE_MAX_SHIFT 12
#else
#define PAGE_SHIFT vm_page_shift
#define PAGE_SIZE vm_page_size
#define PAGE_MASK vm_page_mask
#define PAGE_MAX_SHIFT 16
#endif
#define PAGE_MAX_SIZE (1 << PAGE_MAX_SHIFT)
#define PAGE_MAX_MASK (PAGE_MAX_SIZE - 1)
#define PAGE_MIN_SHIFT 12
#define PAGE_MIN_SIZE (1 << PAGE_MIN_SHIFT)
#define PAGE_MIN_MASK (PAGE_MIN_SIZE - 1)

#define BYTE_SIZE 8

/*
 * All memory of every task is below MACH_VM_MAX_ADDRESS. Most tasks have theirs
 * below 2^47 (amd64) or 2^48 (arm64), as the kernel maps above only on request.
 */
#if defined(__x86_64__)
#define MACH_VM_MAX_ADDRESS ((mach_vm_offset_t)0x00fffffffffff000)
#elif defined(__aarch64__)
#define MACH_VM_MAX_ADDRESS ((mach_vm_offset_t)0x0010000000000000)
#else
#define MACH_VM_MAX_ADDRESS ((mach_vm_offset_t)0xffffffff)
#endif
#define MACH_VM_MIN_ADDRESS ((mach_vm_offset_t)0)
#define VM_MIN_ADDRESS ((vm_offset_t)0)
#define VM_MAX_ADDRESS ((vm_offset_t)MACH_VM_MAX_ADDRESS)
#define VM_MAP_MIN_ADDRESS VM_MIN_ADDRESS
#define VM_MAP_MAX_ADDRESS VM_MAX_ADDRESS
#define VM_MAX_PAGE_ADDRESS MACH_VM_MAX_ADDRESS

#endif /* _MACH_MACHINE_VM_PARAM_H_ */
