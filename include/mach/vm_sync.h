/* SPDX-License-Identifier: Apache-2.0 */
/* mach/vm_sync.h: what vm_msync does with the pages of a range. */
#ifndef _MACH_VM_SYNC_H_
#define _MACH_VM_SYNC_H_

typedef unsigned int vm_sync_t;

#define VM_SYNC_ASYNCHRONOUS ((vm_sync_t)0x01)  /* the kernel writes them to the file in its own time */
#define VM_SYNC_SYNCHRONOUS ((vm_sync_t)0x02)   /* they are in the file when the call returns */
#define VM_SYNC_INVALIDATE ((vm_sync_t)0x04)    /* nothing here: memory and file are one */
#define VM_SYNC_KILLPAGES ((vm_sync_t)0x08)     /* as VM_BEHAVIOR_FREE, up to the first hole */
#define VM_SYNC_DEACTIVATE ((vm_sync_t)0x10)    /* as VM_BEHAVIOR_DONTNEED */
#define VM_SYNC_CONTIGUOUS ((vm_sync_t)0x20)    /* a hole is KERN_INVALID_ADDRESS */
#define VM_SYNC_REUSABLEPAGES ((vm_sync_t)0x40) /* nothing here */

#endif /* _MACH_VM_SYNC_H_ */
