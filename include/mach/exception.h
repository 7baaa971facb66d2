/* SPDX-License-Identifier: Apache-2.0 */
/* mach/exception.h: kinds of exceptions. */
#ifndef _MACH_EXCEPTION_H_
#define _MACH_EXCEPTION_H_

#include <mach/exception_types.h>

#endif /* _MACH_EXCEPTION_H_ */
