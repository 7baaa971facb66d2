/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/mach_error.h: errors as text. These three work in every process, also in
 * the child of a fork (see <mach/mach.h>).
 */
#ifndef _MACH_ERROR_
#define _MACH_ERROR_ 1

#include <mach/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The text of an error, "unknown error code" if it has none; not to be freed. */
extern char *mach_error_string(mach_error_t error_value);

/* Where it comes from, as "(os/kern)", or "(?/?)"; not to be freed. */
extern char *mach_error_type(mach_error_t error_value);

/* Prints str and the text of the error on standard error. */
extern void mach_error(const char *str, mach_error_t error_value);

#ifdef __cplusplus
}
#endif

#endif /* _MACH_ERROR_ */
