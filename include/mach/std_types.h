/* SPDX-License-Identifier: Apache-2.0 */
/* mach/std_types.h: the types that every interface uses. */
#ifndef _MACH_STD_TYPES_H_
#define _MACH_STD_TYPES_H_

#include <stdint.h>

#include <mach/boolean.h>
#include <mach/kern_return.h>
#include <mach/machine/vm_types.h>
#include <mach/port.h>

#endif /* _MACH_STD_TYPES_H_ */
