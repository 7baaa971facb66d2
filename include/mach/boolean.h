/* SPDX-License-Identifier: Apache-2.0 */
/* mach/boolean.h: truth values. */
#ifndef _MACH_BOOLEAN_H_
#define _MACH_BOOLEAN_H_

/* As on macOS: unsigned where a 64-bit program runs on Intel, int elsewhere. */
#if defined(__x86_64__)
typedef unsigned int boolean_t;
#else
typedef int boolean_t;
#endif

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif

#endif /* _MACH_BOOLEAN_H_ */
