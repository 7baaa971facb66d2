/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libproc.h: processes by their ids. No name of a task is needed and nothing is traced;
 * what of another user's process /proc does not show is EPERM.
 *
 * Each call returns 0 and sets errno when it fails: ESRCH for no such process, ENOMEM for
 * a buffer that is smaller than the call asks for, EFAULT for none, ENOTSUP in the child of
 * a fork.
 */
#ifndef _LIBPROC_H_
#define _LIBPROC_H_

#include <stdbool.h>
#include <stdint.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <mach/message.h>
#include <sys/proc_info.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Puts the ids of processes into the buffer, as many as fit, in ascending order, and
 * returns their bytes. type is PROC_ALL_PIDS or another of <sys/proc_info.h>, typeinfo the
 * group, terminal, user or parent that it means. With no buffer it returns the bytes of a
 * buffer that is large enough for all processes, and some that may start meanwhile.
 * EINVAL: no such type.
 */
extern int proc_listpids(uint32_t type, uint32_t typeinfo, void *buffer, int buffersize);

/* The same, but these return the number of ids. */
extern int proc_listallpids(void *buffer, int buffersize);
extern int proc_listpgrppids(pid_t pgrpid, void *buffer, int buffersize);
extern int proc_listchildpids(pid_t ppid, void *buffer, int buffersize);

/*
 * Puts what flavor says into the buffer, and returns its bytes. EINVAL: no such flavor
 * here, or of the flavors of regions, for which arg is an address, no region there or
 * above. A process that has ended and not been waited for is told of by PROC_PIDTBSDINFO
 * and PROC_PIDT_SHORTBSDINFO alone, and only where arg is not 0. PROC_PIDPATHINFO is
 * proc_pidpath.
 */
extern int proc_pidinfo(int pid, int flavor, uint64_t arg, void *buffer, int buffersize);

/*
 * Puts the name of the process into at least 32 bytes, and returns its length: that of its
 * program's file, cut to 31 bytes, unless the process has another one in /proc/PID/comm.
 */
extern int proc_name(int pid, void *buffer, uint32_t buffersize);

/*
 * Puts the path of the file that is mapped at the address, or in the first region above
 * it, into at least 1024 bytes, and returns its length: as /proc/PID/maps shows it.
 * EINVAL: no region, or one of no file. ENOSPC: it is longer.
 */
extern int proc_regionfilename(int pid, uint64_t address, void *buffer, uint32_t buffersize);

/*
 * Puts the path of the process's program into a buffer of at least PROC_PIDPATHINFO_SIZE
 * bytes, and returns its length. EOVERFLOW: a buffer of more than PROC_PIDPATHINFO_MAXSIZE
 * bytes. ENOENT: the file was deleted. ENOSPC: the path is longer.
 */
extern int proc_pidpath(int pid, void *buffer, uint32_t buffersize);

/* The version of libproc's interface, 1.1. It returns 0. */
extern int proc_libversion(int *major, int *minor);

#ifdef __cplusplus
}
#endif

#endif /* _LIBPROC_H_ */
