/* SPDX-License-Identifier: Apache-2.0 */
/* mach/vm_param.h: the page, and where memory can be. */
#ifndef _MACH_VM_PARAM_H_
#define _MACH_VM_PARAM_H_

#include <mach/machine/vm_param.h>

#endif /* _MACH_VM_PARAM_H_ */
