/* SPDX-License-Identifier: Apache-2.0 */
/* sys/proc_info.h: what proc_pidinfo of <libproc.h> tells. What Linux does not tell is 0. */
#ifndef _SYS_PROC_INFO_H
#define _SYS_PROC_INFO_H

#include <stdint.h>
#include <sys/param.h>
#include <sys/types.h>

#include <mach/machine.h>
#include <mach/thread_info.h>
#include <mach/vm_region.h>

/* Which processes proc_listpids lists. */
#define PROC_ALL_PIDS 1
#define PROC_PGRP_ONLY 2
#define PROC_TTY_ONLY 3
#define PROC_UID_ONLY 4  /* the effective user */
#define PROC_RUID_ONLY 5 /* the real user */
#define PROC_PPID_ONLY 6
#define PROC_KDBG_ONLY 7 /* none, here */

#ifndef MAXCOMLEN
#define MAXCOMLEN 16
#endif

struct proc_bsdinfo {
	uint32_t pbi_flags;
	uint32_t pbi_status; /* SIDL 1, SRUN 2, SSLEEP 3, SSTOP 4, SZOMB 5 */
	uint32_t pbi_xstatus;
	uint32_t pbi_pid;
	uint32_t pbi_ppid;
	uid_t pbi_uid;
	gid_t pbi_gid;
	uid_t pbi_ruid;
	gid_t pbi_rgid;
	uid_t pbi_svuid;
	gid_t pbi_svgid;
	uint32_t rfu_1;
	char pbi_comm[MAXCOMLEN];
	char pbi_name[2 * MAXCOMLEN]; /* see proc_name */
	uint32_t pbi_nfiles;
	uint32_t pbi_pgid;
	uint32_t pbi_pjobc;
	uint32_t e_tdev; /* the terminal as /proc/PID/stat has it, or 0xffffffff */
	uint32_t e_tpgid;
	int32_t pbi_nice;
	uint64_t pbi_start_tvsec;
	uint64_t pbi_start_tvusec;
};

struct proc_bsdshortinfo {
	uint32_t pbsi_pid;
	uint32_t pbsi_ppid;
	uint32_t pbsi_pgid;
	uint32_t pbsi_status;
	char pbsi_comm[MAXCOMLEN];
	uint32_t pbsi_flags;
	uid_t pbsi_uid;
	gid_t pbsi_gid;
	uid_t pbsi_ruid;
	gid_t pbsi_rgid;
	uid_t pbsi_svuid;
	gid_t pbsi_svgid;
	uint32_t pbsi_rfu;
};

/* pbi_flags and pbsi_flags, those that are told here. */
#define PROC_FLAG_SYSTEM 1   /* of the kernel */
#define PROC_FLAG_TRACED 2
#define PROC_FLAG_INEXIT 4
#define PROC_FLAG_LP64 0x10  /* a 64-bit program */
#define PROC_FLAG_SLEADER 0x20
#define PROC_FLAG_CTTY 0x40
#define PROC_FLAG_CONTROLT 0x80

struct proc_taskinfo {
	uint64_t pti_virtual_size;
	uint64_t pti_resident_size;
	uint64_t pti_total_user; /* nanoseconds, the unit of mach_absolute_time */
	uint64_t pti_total_system;
	uint64_t pti_threads_user; /* of that, what the living threads have used */
	uint64_t pti_threads_system;
	int32_t pti_policy;
	int32_t pti_faults;
	int32_t pti_pageins;
	int32_t pti_cow_faults;
	int32_t pti_messages_sent;
	int32_t pti_messages_received;
	int32_t pti_syscalls_mach;
	int32_t pti_syscalls_unix;
	int32_t pti_csw; /* of the living threads */
	int32_t pti_threadnum;
	int32_t pti_numrunning;
	int32_t pti_priority; /* that of /proc/PID/stat */
};

struct proc_taskallinfo {
	struct proc_bsdinfo pbsd;
	struct proc_taskinfo ptinfo;
};

struct proc_regioninfo {
	uint32_t pri_protection;
	uint32_t pri_max_protection;
	uint32_t pri_inheritance;
	uint32_t pri_flags;
	uint64_t pri_offset;
	uint32_t pri_behavior;
	uint32_t pri_user_wired_count;
	uint32_t pri_user_tag;
	uint32_t pri_pages_resident;
	uint32_t pri_pages_shared_now_private;
	uint32_t pri_pages_swapped_out;
	uint32_t pri_pages_dirtied;
	uint32_t pri_ref_count;
	uint32_t pri_shadow_depth;
	uint32_t pri_share_mode; /* SM_COW and so on */
	uint32_t pri_private_pages_resident;
	uint32_t pri_shared_pages_resident;
	uint32_t pri_obj_id;
	uint32_t pri_depth;
	uint64_t pri_address;
	uint64_t pri_size;
};

#define PROC_REGION_SUBMAP 1
#define PROC_REGION_SHARED 2

/* Of a region's file, vst_dev and vst_ino. */
struct vinfo_stat {
	uint32_t vst_dev;
	uint16_t vst_mode;
	uint16_t vst_nlink;
	uint64_t vst_ino;
	uid_t vst_uid;
	gid_t vst_gid;
	int64_t vst_atime;
	int64_t vst_atimensec;
	int64_t vst_mtime;
	int64_t vst_mtimensec;
	int64_t vst_ctime;
	int64_t vst_ctimensec;
	int64_t vst_birthtime;
	int64_t vst_birthtimensec;
	int64_t vst_size;
	int64_t vst_blocks;
	int32_t vst_blksize;
	uint32_t vst_flags;
	uint32_t vst_gen;
	uint32_t vst_rdev;
	int64_t vst_qspare[2];
};

struct vnode_info {
	struct vinfo_stat vi_stat;
	int vi_type;
	int vi_pad;
	struct {
		int32_t val[2];
	} vi_fsid;
};

/* macOS's MAXPATHLEN, which is less than Linux's. */
struct vnode_info_path {
	struct vnode_info vip_vi;
	char vip_path[1024]; /* empty where it is longer */
};

struct proc_regionwithpathinfo {
	struct proc_regioninfo prp_prinfo;
	struct vnode_info_path prp_vip;
};

/* Of the flavors that are not here. */
struct proc_threadinfo {
	uint64_t pth_user_time;
	uint64_t pth_system_time;
	int32_t pth_cpu_usage;
	int32_t pth_policy;
	int32_t pth_run_state;
	int32_t pth_flags;
	int32_t pth_sleep_time;
	int32_t pth_curpri;
	int32_t pth_priority;
	int32_t pth_maxpriority;
	char pth_name[MAXTHREADNAMESIZE];
};

struct proc_vnodepathinfo {
	struct vnode_info_path pvi_cdir;
	struct vnode_info_path pvi_rdir;
};

struct proc_threadwithpathinfo {
	struct proc_threadinfo pt;
	struct vnode_info_path pvip;
};

struct proc_workqueueinfo {
	uint32_t pwq_nthreads;
	uint32_t pwq_runthreads;
	uint32_t pwq_blockedthreads;
	uint32_t pwq_state;
};

struct proc_fdinfo {
	int32_t proc_fd;
	uint32_t proc_fdtype;
};

struct proc_fileportinfo {
	uint32_t proc_fileport;
	uint32_t proc_fdtype;
};

/* The flavors of proc_pidinfo that there are here. */
#define PROC_PIDTASKALLINFO 2
#define PROC_PIDTASKALLINFO_SIZE (sizeof(struct proc_taskallinfo))
#define PROC_PIDTBSDINFO 3
#define PROC_PIDTBSDINFO_SIZE (sizeof(struct proc_bsdinfo))
#define PROC_PIDTASKINFO 4
#define PROC_PIDTASKINFO_SIZE (sizeof(struct proc_taskinfo))
#define PROC_PIDREGIONINFO 7
#define PROC_PIDREGIONINFO_SIZE (sizeof(struct proc_regioninfo))
#define PROC_PIDREGIONPATHINFO 8
#define PROC_PIDREGIONPATHINFO_SIZE (sizeof(struct proc_regionwithpathinfo))
#define PROC_PIDPATHINFO 11
#define PROC_PIDPATHINFO_SIZE 1024
#define PROC_PIDPATHINFO_MAXSIZE (4 * 1024)
#define PROC_PIDT_SHORTBSDINFO 13
#define PROC_PIDT_SHORTBSDINFO_SIZE (sizeof(struct proc_bsdshortinfo))

/* Those that are not: EINVAL. */
#define PROC_PIDLISTFDS 1
#define PROC_PIDLISTFD_SIZE (sizeof(struct proc_fdinfo))
#define PROC_PIDTHREADINFO 5
#define PROC_PIDTHREADINFO_SIZE (sizeof(struct proc_threadinfo))
#define PROC_PIDLISTTHREADS 6
#define PROC_PIDLISTTHREADS_SIZE (2 * sizeof(uint32_t))
#define PROC_PIDVNODEPATHINFO 9
#define PROC_PIDVNODEPATHINFO_SIZE (sizeof(struct proc_vnodepathinfo))
#define PROC_PIDTHREADPATHINFO 10
#define PROC_PIDTHREADPATHINFO_SIZE (sizeof(struct proc_threadwithpathinfo))
#define PROC_PIDWORKQUEUEINFO 12
#define PROC_PIDWORKQUEUEINFO_SIZE (sizeof(struct proc_workqueueinfo))
#define PROC_PIDLISTFILEPORTS 14
#define PROC_PIDLISTFILEPORTS_SIZE (sizeof(struct proc_fileportinfo))
#define PROC_PIDTHREADID64INFO 15
#define PROC_PIDTHREADID64INFO_SIZE (sizeof(struct proc_threadinfo))

#define PROX_FDTYPE_ATALK 0
#define PROX_FDTYPE_VNODE 1
#define PROX_FDTYPE_SOCKET 2
#define PROX_FDTYPE_PSHM 3
#define PROX_FDTYPE_PSEM 4
#define PROX_FDTYPE_KQUEUE 5
#define PROX_FDTYPE_PIPE 6
#define PROX_FDTYPE_FSEVENTS 7
#define PROX_FDTYPE_NETPOLICY 9
#define PROX_FDTYPE_CHANNEL 10
#define PROX_FDTYPE_NEXUS 11

#endif /* _SYS_PROC_INFO_H */
