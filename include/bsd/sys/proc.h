/* SPDX-License-Identifier: Apache-2.0 */
/* sys/proc.h: a process as KERN_PROC of <sys/sysctl.h> tells of it. */
#ifndef _SYS_PROC_H_
#define _SYS_PROC_H_

#include <stdint.h>
#include <sys/param.h>
#include <sys/time.h>
#include <sys/types.h>

#ifndef MAXCOMLEN
#define MAXCOMLEN 16
#endif

/* p_stat */
#define SIDL 1
#define SRUN 2
#define SSLEEP 3
#define SSTOP 4
#define SZOMB 5

/* p_flag, those that are told here. */
#define P_CONTROLT 0x00000002 /* has a terminal */
#define P_LP64 0x00000004     /* runs a 64-bit program */
#define P_PPWAIT 0x00000010   /* never told: waits for the child of a vfork */
#define P_SYSTEM 0x00000200   /* of the kernel */
#define P_TRACED 0x00000800
#define P_WEXIT 0x00002000
#define P_TRANSLATED 0x00020000 /* never told: runs translated code */

/* A process in macOS's layout of 64-bit programs. What has no comment is 0. */
struct extern_proc {
	union {
		struct {
			void *__p_forw;
			void *__p_back;
		} p_st1;
		struct timeval __p_starttime;
	} p_un;
#define p_forw p_un.p_st1.__p_forw
#define p_back p_un.p_st1.__p_back
#define p_starttime p_un.__p_starttime /* when it began */
	void *p_vmspace;
	void *p_sigacts;
	int p_flag;
	char p_stat;
	pid_t p_pid; /* its id */
	pid_t p_oppid;
	int p_dupfd;
	char *user_stack;
	void *exit_thread;
	int p_debugger;
	int sigwait;
	unsigned int p_estcpu;
	int p_cpticks;
	uint32_t p_pctcpu;
	void *p_wchan;
	char *p_wmesg;
	unsigned int p_swtime;
	unsigned int p_slptime;
	struct itimerval p_realtimer;
	struct timeval p_rtime;
	uint64_t p_uticks;
	uint64_t p_sticks;
	uint64_t p_iticks;
	int p_traceflag;
	void *p_tracep;
	int p_siglist;
	void *p_textvp;
	int p_holdcnt;
	uint32_t p_sigmask;
	uint32_t p_sigignore;
	uint32_t p_sigcatch;
	unsigned char p_priority;
	unsigned char p_usrpri;
	char p_nice;
	char p_comm[MAXCOMLEN + 1]; /* /proc/PID/comm */
	void *p_pgrp;
	void *p_addr;
	unsigned short p_xstat;
	unsigned short p_acflag;
	void *p_ru;
};

#endif /* _SYS_PROC_H_ */
