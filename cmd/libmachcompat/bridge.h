/* SPDX-License-Identifier: Apache-2.0 */
/* What the Go and the C files of this library say to each other. */
#ifndef MACHCOMPAT_BRIDGE_H
#define MACHCOMPAT_BRIDGE_H

#include <stdint.h>

/* A region with all that any flavor tells of it. */
struct machcompat_region {
	uint64_t start, size, offset, object;
	int32_t protection, max_protection, behavior;
	uint32_t inheritance, shared, reserved, wired, user_tag;
	uint32_t resident, copied, swapped, dirtied;
	uint8_t external_pager, share_mode;
};

/*
 * A task with all that any flavor tells of it. Sizes are in bytes, times in nanoseconds:
 * of all threads that ever were, and of those that live.
 */
struct machcompat_task {
	uint64_t virtual_size, resident_size, resident_size_max;
	uint64_t anonymous, shared, file, swapped;
	uint64_t user, system, threads_user, threads_system;
	uint64_t faults, pageins, switches;
	uint64_t regions, lowest, limit;
	int32_t threads, running, priority, suspend_count;
};

/*
 * The registers of a thread: the machine is a number of ELF, the general ones stand by
 * their DWARF numbers, and the selectors are cs, ss, ds, es, fs and gs.
 */
struct machcompat_state {
	int machine;
	unsigned count; /* of the general ones */
	uint64_t pc, flags, numbered[32], selectors[6];
};

/* A thread with all that any flavor tells of it. Times are in nanoseconds. */
struct machcompat_thread {
	uint64_t id, user, system;
	int32_t usage, policy, nice, suspend_count;
	char state, name[64];
};

/* A page. */
struct machcompat_page {
	uint64_t offset, object;
	int32_t disposition, ref_count;
};

/* What takes time to find of a task, and is wanted. */
#define MACHCOMPAT_THREADS 1 /* threads_user, threads_system, switches, running */
#define MACHCOMPAT_REGIONS 2 /* regions, lowest, limit */

/* room.c: the first of the counts, of which a 0 is the last, that there is room for. */
uint32_t machcompat_fitting(const uint32_t *counts, uint32_t room);

/* A process with all that libproc.h and sysctl tell of it. */
struct machcompat_process {
	int32_t pid, ppid, pgid, tty, tpgid, nice;
	uint32_t uid, gid, ruid, rgid, svuid, svgid;
	uint32_t state; /* SRUN 2, SSLEEP 3, SSTOP 4, SZOMB 5 */
	uint32_t system, traced, wide, session_leader; /* true or false */
	uint64_t start_seconds, start_microseconds;
	char comm[16], name[32]; /* with a NUL at the end */
};

/* The file of a region; all is 0 for none. */
struct machcompat_file {
	uint64_t device, inode;
};

/* What PATH_MAX is: no path of /proc is longer. */
#define MACHCOMPAT_PATH 4096

/* process.c: true in the child of a fork, where no Go function may be called. */
int machcompat_in_child(void);

/* process.c: 0 for the name of the host, not_a_host for that of anything else. */
int machcompat_check_host(uint32_t name, int not_a_host);

#endif
