/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/shared_region.h: where the libraries of a Mac are mapped for all tasks.
 *
 * Linux has no such region, so each has the base of macOS and no size: a program
 * that leaves the region out leaves nothing out here, where these addresses may
 * hold memory like any other.
 */
#ifndef _MACH_SHARED_REGION_H_
#define _MACH_SHARED_REGION_H_

#include <mach/mach_types.h>
#include <mach/vm_prot.h>
#include <mach/vm_types.h>

#define SHARED_REGION_BASE_I386 0x90000000ULL
#define SHARED_REGION_SIZE_I386 0x0ULL
#define SHARED_REGION_BASE_X86_64 0x00007FF800000000ULL
#define SHARED_REGION_SIZE_X86_64 0x0ULL
#define SHARED_REGION_BASE_ARM 0x40000000ULL
#define SHARED_REGION_SIZE_ARM 0x0ULL
#define SHARED_REGION_BASE_ARM64_32 0x1A000000ULL
#define SHARED_REGION_SIZE_ARM64_32 0x0ULL
#define SHARED_REGION_BASE_ARM64 0x180000000ULL
#define SHARED_REGION_SIZE_ARM64 0x0ULL

#if defined(__x86_64__)
#define SHARED_REGION_BASE SHARED_REGION_BASE_X86_64
#define SHARED_REGION_SIZE SHARED_REGION_SIZE_X86_64
#elif defined(__i386__)
#define SHARED_REGION_BASE SHARED_REGION_BASE_I386
#define SHARED_REGION_SIZE SHARED_REGION_SIZE_I386
#elif defined(__arm__)
#define SHARED_REGION_BASE SHARED_REGION_BASE_ARM
#define SHARED_REGION_SIZE SHARED_REGION_SIZE_ARM
#else
#define SHARED_REGION_BASE SHARED_REGION_BASE_ARM64
#define SHARED_REGION_SIZE SHARED_REGION_SIZE_ARM64
#endif

#endif /* _MACH_SHARED_REGION_H_ */
