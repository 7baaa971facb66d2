/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/machine/vm_types.h: the integers that everything else is made of.
 *
 * vm_* types are as wide as a pointer of this program; mach_vm_* types have 64
 * bits in every program. They are the uint64_t and uintptr_t of <stdint.h>: print
 * them with PRIx64 and PRIxPTR, or cast, because Linux spells these types
 * differently from macOS ("%llx" draws a warning for mach_vm_address_t here).
 */
#ifndef _MACH_MACHINE_VM_TYPES_H_
#define _MACH_MACHINE_VM_TYPES_H_

#include <stdint.h>

typedef unsigned int natural_t;
typedef int integer_t;

typedef uintptr_t vm_offset_t;
typedef uintptr_t vm_size_t;

typedef uint64_t mach_vm_address_t;
typedef uint64_t mach_vm_offset_t;
typedef uint64_t mach_vm_size_t;

typedef uint64_t vm_map_offset_t;
typedef uint64_t vm_map_address_t;
typedef uint64_t vm_map_size_t;

typedef vm_offset_t mach_port_context_t;

#endif /* _MACH_MACHINE_VM_TYPES_H_ */
