/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mach/cdefs.h: the macros of Apple's <sys/cdefs.h> that programs take from
 * <mach/...> without including it. macOS has no header of this name.
 *
 * __unused is also the name of a member of some structs of Linux, so what includes
 * those headers includes them before <mach/...>, or says #undef __unused first:
 * <linux/icmp.h>, <linux/sysctl.h> and <asm/stat.h>; with musl also <sys/msg.h>,
 * <sys/shm.h>, <mqueue.h>, <utmpx.h> and <netinet/ip_icmp.h>.
 */
#ifndef _MACH_CDEFS_H_
#define _MACH_CDEFS_H_

#include <stdint.h>

#ifndef __GLIBC__
#include <sys/stat.h> /* has such a member too, and is too common for the rule above */
#endif

#ifndef __BEGIN_DECLS /* every header of glibc brings it */
#ifdef __cplusplus
#define __BEGIN_DECLS extern "C" {
#define __END_DECLS }
#else
#define __BEGIN_DECLS
#define __END_DECLS
#endif
#endif

/* Programs ask it whether a thread's registers begin with __, as they do. */
#ifndef __DARWIN_UNIX03
#define __DARWIN_UNIX03 1
#endif

#ifndef __unused
#define __unused __attribute__((__unused__))
#endif
#ifndef __dead2
#define __dead2 __attribute__((__noreturn__))
#endif
#ifndef __pure2
#define __pure2 __attribute__((__const__))
#endif
#ifndef __deprecated
#define __deprecated __attribute__((__deprecated__))
#endif
#ifndef __printflike
#define __printflike(fmtarg, firstvararg) __attribute__((__format__(__printf__, fmtarg, firstvararg)))
#endif
#ifndef __scanflike
#define __scanflike(fmtarg, firstvararg) __attribute__((__format__(__scanf__, fmtarg, firstvararg)))
#endif

#endif /* _MACH_CDEFS_H_ */
