/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys/sysctl.h: macOS's sysctl, for those who ask for it: it is in no folder that
 * pkg-config names, because other software takes a <sys/sysctl.h> for that of a BSD. Add
 * -I$(pkg-config --variable=includedir machcompat)/bsd.
 *
 * There are processes (KERN_PROC), their arguments (KERN_PROCARGS2), and some numbers and
 * strings of the machine; nothing can be set. The names in the library are
 * machcompat_sysctl and so on, so that they are not taken for those of
 * an old C library.
 */
#ifndef _SYS_SYSCTL_H_
#define _SYS_SYSCTL_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/types.h>

#include "proc.h" /* so that it is also found without -I */

#ifdef __cplusplus
extern "C" {
#endif

#define CTL_MAXNAME 12

#define CTL_UNSPEC 0
#define CTL_KERN 1
#define CTL_VM 2
#define CTL_VFS 3
#define CTL_NET 4
#define CTL_DEBUG 5
#define CTL_HW 6
#define CTL_MACHDEP 7
#define CTL_USER 8

/* Of CTL_KERN, those that there are here. The strings are uname(1)'s. */
#define KERN_OSTYPE 1
#define KERN_OSRELEASE 2
#define KERN_VERSION 4
#define KERN_ARGMAX 8    /* int: bytes of arguments and environment */
#define KERN_HOSTNAME 10
#define KERN_PROC 14     /* struct kinfo_proc[] */
#define KERN_BOOTTIME 21 /* struct timeval */
#define KERN_PROCARGS2 49

/* Of KERN_PROC; a fourth number says which, but for the first. */
#define KERN_PROC_ALL 0
#define KERN_PROC_PID 1
#define KERN_PROC_PGRP 2
#define KERN_PROC_SESSION 3 /* ENOTSUP, as on macOS */
#define KERN_PROC_TTY 4
#define KERN_PROC_UID 5
#define KERN_PROC_RUID 6
#define KERN_PROC_LCID 7 /* ENOTSUP */

/* Of CTL_HW. An int is also given as 8 bytes, if the buffer has that size. */
#define HW_MACHINE 1  /* string: x86_64 or arm64 */
#define HW_NCPU 3     /* int: processors */
#define HW_PHYSMEM 5  /* int: bytes of memory, at most 2^31-1 */
#define HW_PAGESIZE 7 /* int */
#define HW_MEMSIZE 24 /* uint64_t: bytes of memory */
#define HW_AVAILCPU 25

/* Those that are not here: ENOENT. */
#define KERN_OSREV 3
#define KERN_MAXVNODES 5
#define KERN_MAXPROC 6
#define KERN_MAXFILES 7
#define KERN_SECURELVL 9
#define KERN_HOSTID 11
#define KERN_CLOCKRATE 12
#define KERN_FILE 15
#define KERN_POSIX1 17
#define KERN_NGROUPS 18
#define KERN_JOB_CONTROL 19
#define KERN_SAVED_IDS 20
#define KERN_OSRELDATE 26
#define KERN_BOOTFILE 28
#define KERN_MAXFILESPERPROC 29
#define KERN_MAXPROCPERUID 30
#define KERN_USRSTACK32 35
#define KERN_PROCARGS 38
#define KERN_COREFILE 50
#define KERN_USRSTACK64 59
#define KERN_PROCNAME 62
#define KERN_OSVERSION 65
#define KERN_SAFEBOOT 66
#define HW_MODEL 2
#define HW_BYTEORDER 4
#define HW_USERMEM 6
#define HW_FLOATINGPT 11
#define HW_MACHINE_ARCH 12
#define HW_VECTORUNIT 13
#define HW_BUS_FREQ 14
#define HW_CPU_FREQ 15
#define HW_CACHELINE 16
#define HW_L1ICACHESIZE 17
#define HW_L1DCACHESIZE 18
#define HW_L2CACHESIZE 20
#define HW_L3CACHESIZE 22
#define HW_TB_FREQ 23
#define HW_TARGET 26
#define HW_PRODUCT 27
#define VM_METER 1
#define VM_MACHFACTOR 4

/* Of CTL_VM. */
#define VM_LOADAVG 2   /* struct loadavg */
#define VM_SWAPUSAGE 5 /* struct xsw_usage */

struct loadavg {
	uint32_t ldavg[3]; /* of the last 1, 5 and 15 minutes, times fscale */
	long fscale;
};
#define LSCALE 1000

struct xsw_usage {
	uint64_t xsu_total;
	uint64_t xsu_avail;
	uint64_t xsu_used;
	uint32_t xsu_pagesize;
	int xsu_encrypted; /* always 0 */
};

struct _pcred {
	char pc_lock[72];
	void *pc_ucred;
	uid_t p_ruid;
	uid_t p_svuid;
	gid_t p_rgid;
	gid_t p_svgid;
	int p_refcnt;
};

struct _ucred {
	int32_t cr_ref;
	uid_t cr_uid; /* the effective user */
	short cr_ngroups; /* 1 */
	gid_t cr_groups[16]; /* the effective group */
};

struct vmspace {
	int32_t dummy;
	char *dummy2;
	int32_t dummy3[5];
	char *dummy4[3];
};

#define WMESGLEN 7
#define COMAPT_MAXLOGNAME 12

struct eproc {
	void *e_paddr;
	void *e_sess;
	struct _pcred e_pcred; /* the users and groups */
	struct _ucred e_ucred;
	struct vmspace e_vm;
	pid_t e_ppid; /* the parent */
	pid_t e_pgid; /* the process group */
	short e_jobc;
	int32_t e_tdev; /* the terminal as /proc/PID/stat has it, or -1 */
	pid_t e_tpgid;
	void *e_tsess;
	char e_wmesg[WMESGLEN + 1];
	int32_t e_xsize;
	short e_xrssize;
	short e_xccount;
	short e_xswrss;
	int32_t e_flag;
	char e_login[COMAPT_MAXLOGNAME];
	int32_t e_spare[4];
};

/* e_flag */
#define EPROC_CTTY 0x01
#define EPROC_SLEADER 0x02

struct kinfo_proc {
	struct extern_proc kp_proc;
	struct eproc kp_eproc;
};

/*
 * Puts what the namelen numbers of name stand for at oldp, and its bytes into *oldlenp,
 * which says before how many there is room for; no more than those bytes without oldp. They
 * return 0, or -1 and set errno:
 *
 *   ENOENT   no such name here
 *   ENOMEM   too little room: as much as fits was written
 *   EINVAL   KERN_PROCARGS2: no such process, or its arguments are not shown to this one
 *   EPERM    newp: nothing can be set
 *   EFAULT   name is NULL, or oldlenp is
 *   ENOTSUP  of KERN_PROC, another kind; of KERN_PROC, KERN_PROCARGS2 and KERN_BOOTTIME,
 *            the child of a fork
 *
 * KERN_PROC without oldp says more bytes than there are, for processes that may start
 * meanwhile; that there is no such process is success with 0 bytes. KERN_PROCARGS2 gives an
 * int, the number of arguments, then the program's path, the arguments and the environment,
 * with a NUL behind each, and where there is too little room only the first of it.
 */
extern int sysctl(int *name, unsigned int namelen, void *oldp, size_t *oldlenp, void *newp, size_t newlen)
	__asm__("machcompat_sysctl");
extern int sysctlbyname(const char *name, void *oldp, size_t *oldlenp, void *newp, size_t newlen)
	__asm__("machcompat_sysctlbyname");

/*
 * Puts the numbers of name into mibp, which has room for *sizep, and how many they are into
 * *sizep. ENOENT, EFAULT as there; ENOMEM: too little room, and nothing was written.
 */
extern int sysctlnametomib(const char *name, int *mibp, size_t *sizep) __asm__("machcompat_sysctlnametomib");

#ifdef __cplusplus
}
#endif

#endif /* _SYS_SYSCTL_H_ */
