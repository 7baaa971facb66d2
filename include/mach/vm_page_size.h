/* SPDX-License-Identifier: Apache-2.0 */
/* mach/vm_page_size.h: the page, as the running kernel has it. */
#ifndef _VM_PAGE_SIZE_
#define _VM_PAGE_SIZE_

#include <mach/mach_types.h>
#include <mach/machine/vm_types.h>

#ifdef __cplusplus
extern "C" {
#endif

extern vm_size_t vm_page_size;
extern vm_size_t vm_page_mask; /* vm_page_size - 1 */
extern int vm_page_shift;

extern vm_size_t vm_kernel_page_size;
extern vm_size_t vm_kernel_page_mask;
extern int vm_kernel_page_shift;

#ifdef __cplusplus
}
#endif

#define trunc_page(x) ((x) & (~(vm_page_size - 1)))
#define round_page(x) trunc_page((x) + (vm_page_size - 1))
#define mach_vm_trunc_page(x) ((mach_vm_offset_t)(x) & ~((mach_vm_offset_t)vm_page_mask))
#define mach_vm_round_page(x) mach_vm_trunc_page((mach_vm_offset_t)(x) + vm_page_mask)
#define trunc_page_kernel(x) ((x) & (~vm_kernel_page_mask))
#define round_page_kernel(x) trunc_page_kernel((x) + vm_kernel_page_mask)

#endif /* _VM_PAGE_SIZE_ */
