/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of bsd/sys/sysctl.h. */
#define _GNU_SOURCE
#include <bsd/sys/sysctl.h>
#include <errno.h>
#include <limits.h>
#include <mach/mach.h>
#include <stdlib.h>
#include <string.h>
#include <sys/proc_info.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "_cgo_export.h"

static int fail(int number)
{
	errno = number;
	return -1;
}

/* Hands out a value of so many bytes, as much as there is room for. */
static int give(void *oldp, size_t *oldlenp, const void *value, size_t size)
{
	size_t room = *oldlenp;

	if (oldp == NULL) {
		*oldlenp = size;
		return 0;
	}
	*oldlenp = size < room ? size : room;
	memcpy(oldp, value, *oldlenp);
	return room < size ? fail(ENOMEM) : 0;
}

static int give_number(void *oldp, size_t *oldlenp, uint64_t number, size_t size)
{
	int32_t narrow = number > INT32_MAX ? INT32_MAX : (int32_t)number;

	if (size == sizeof number || (oldp != NULL && *oldlenp == sizeof number))
		return give(oldp, oldlenp, &number, sizeof number);
	return give(oldp, oldlenp, &narrow, sizeof narrow);
}

static int give_text(void *oldp, size_t *oldlenp, const char *text)
{
	return give(oldp, oldlenp, text, strlen(text) + 1);
}

static void fill(struct kinfo_proc *info, const struct machcompat_process *p)
{
	struct extern_proc *process = &info->kp_proc;
	struct eproc *more = &info->kp_eproc;

	process->p_starttime.tv_sec = (time_t)p->start_seconds;
	process->p_starttime.tv_usec = (suseconds_t)p->start_microseconds;
	process->p_flag = (p->system ? P_SYSTEM : 0) | (p->traced ? P_TRACED : 0) | (p->wide ? P_LP64 : 0) |
		(p->tty != -1 ? P_CONTROLT : 0);
	process->p_stat = (char)p->state;
	process->p_pid = p->pid;
	process->p_nice = (char)p->nice;
	memcpy(process->p_comm, p->comm, sizeof p->comm);
	more->e_pcred.p_ruid = p->ruid;
	more->e_pcred.p_svuid = p->svuid;
	more->e_pcred.p_rgid = p->rgid;
	more->e_pcred.p_svgid = p->svgid;
	more->e_ucred.cr_ref = 1;
	more->e_ucred.cr_uid = p->uid;
	more->e_ucred.cr_ngroups = 1;
	more->e_ucred.cr_groups[0] = p->gid;
	more->e_ppid = p->ppid;
	more->e_pgid = p->pgid;
	more->e_tdev = p->tty;
	more->e_tpgid = p->tpgid;
	more->e_flag = (p->tty != -1 ? EPROC_CTTY : 0) | (p->session_leader ? EPROC_SLEADER : 0);
}

/* Puts the ids of a kind into new memory, and returns how many there are; -1 sets errno. */
static long list(uint32_t kind, uint32_t value, int32_t **pids)
{
	long room = machcompatPIDs(PROC_ALL_PIDS, 0, NULL, 0) + 64, count;

	*pids = malloc((size_t)room * sizeof **pids);
	if (*pids == NULL)
		return fail(ENOMEM);
	count = machcompatPIDs(kind, value, *pids, (size_t)room);
	if (count < 0)
		return fail((int)-count);
	return count > room ? room : count;
}

static int give_processes(const int *name, unsigned int namelen, char *oldp, size_t *oldlenp)
{
	static const uint32_t kinds[] = { PROC_ALL_PIDS, 0, PROC_PGRP_ONLY, 0, PROC_TTY_ONLY, PROC_UID_ONLY, PROC_RUID_ONLY };
	const size_t slack = 5 * sizeof(struct kinfo_proc); /* for those that may start meanwhile */
	size_t needed = 0, written = 0;
	struct machcompat_process process;
	struct kinfo_proc info;
	int32_t one, *all = NULL, *pids = &one;
	long count = 1, i;

	if (namelen != 4 && !(namelen == 3 && name[2] == KERN_PROC_ALL))
		return fail(EINVAL);
	if (name[2] == KERN_PROC_PID) {
		one = name[3];
	} else {
		if (name[2] < 0 || (size_t)name[2] >= sizeof kinds / sizeof kinds[0] || kinds[name[2]] == 0)
			return fail(ENOTSUP);
		count = list(kinds[name[2]], namelen == 4 ? (uint32_t)name[3] : 0, &all);
		pids = all;
	}
	for (i = 0; i < count; i++) {
		if (machcompatProcess(pids[i], &process) != 0)
			continue; /* it has ended */
		needed += sizeof info;
		if (oldp == NULL || *oldlenp - written < sizeof info)
			continue;
		memset(&info, 0, sizeof info);
		fill(&info, &process);
		memcpy(oldp + written, &info, sizeof info);
		written += sizeof info;
	}
	free(all);
	if (count < 0)
		return -1;
	*oldlenp = oldp == NULL ? needed + slack : written;
	return oldp != NULL && written < needed ? fail(ENOMEM) : 0;
}

static int give_arguments(const int *name, unsigned int namelen, char *oldp, size_t *oldlenp)
{
	const size_t most = 8 << 20; /* the kernel gives a program no more than 6 MiB of them */
	size_t room = oldp == NULL ? 0 : *oldlenp;
	int32_t count = 0;
	char *text = NULL;
	long size;

	if (namelen < 3 || (oldp != NULL && room <= sizeof count))
		return fail(EINVAL);
	if (oldp != NULL) {
		room -= sizeof count;
		if (room > most)
			room = most;
		text = calloc(room, 1);
		if (text == NULL)
			return fail(ENOMEM);
	}
	size = machcompatArguments(name[2], &count, text, room);
	if (size < 0) {
		free(text);
		return fail((int)-size);
	}
	if (oldp != NULL && (size_t)size > room)
		size = (long)room;
	if (oldp != NULL) {
		memcpy(oldp, &count, sizeof count);
		memcpy(oldp + sizeof count, text, (size_t)size);
	}
	free(text);
	*oldlenp = sizeof count + (size_t)size;
	return 0;
}

static uint64_t memory(void) { return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE); }

static const char *machine(void)
{
#if defined(__x86_64__)
	return "x86_64";
#else
	return "arm64";
#endif
}

static int give_kernel(const int *name, unsigned int namelen, void *oldp, size_t *oldlenp)
{
	struct timeval boot = { 0, 0 };
	struct utsname system;
	long size;

	switch (name[1]) {
	case KERN_PROC:
	case KERN_PROCARGS2:
	case KERN_BOOTTIME:
		if (machcompat_in_child())
			return fail(ENOTSUP);
		if (name[1] == KERN_PROC)
			return give_processes(name, namelen, oldp, oldlenp);
		if (name[1] == KERN_PROCARGS2)
			return give_arguments(name, namelen, oldp, oldlenp);
		boot.tv_sec = (time_t)machcompatBootTime();
		return give(oldp, oldlenp, &boot, sizeof boot);
	case KERN_ARGMAX:
		size = sysconf(_SC_ARG_MAX);
		return give_number(oldp, oldlenp, size < 0 ? 0 : (uint64_t)size, sizeof(int));
	}
	if (uname(&system) != 0)
		return -1;
	switch (name[1]) {
	case KERN_OSTYPE:
		return give_text(oldp, oldlenp, system.sysname);
	case KERN_OSRELEASE:
		return give_text(oldp, oldlenp, system.release);
	case KERN_VERSION:
		return give_text(oldp, oldlenp, system.version);
	case KERN_HOSTNAME:
		return give_text(oldp, oldlenp, system.nodename);
	}
	return fail(ENOENT);
}

static int give_hardware(const int *name, void *oldp, size_t *oldlenp)
{
	switch (name[1]) {
	case HW_MACHINE:
		return give_text(oldp, oldlenp, machine());
	case HW_NCPU:
		return give_number(oldp, oldlenp, (uint64_t)sysconf(_SC_NPROCESSORS_CONF), sizeof(int));
	case HW_AVAILCPU:
		return give_number(oldp, oldlenp, (uint64_t)sysconf(_SC_NPROCESSORS_ONLN), sizeof(int));
	case HW_PAGESIZE:
		return give_number(oldp, oldlenp, (uint64_t)sysconf(_SC_PAGESIZE), sizeof(int));
	case HW_PHYSMEM:
		return give_number(oldp, oldlenp, memory(), sizeof(int));
	case HW_MEMSIZE:
		return give_number(oldp, oldlenp, memory(), sizeof(uint64_t));
	}
	return fail(ENOENT);
}

static int give_memory(const int *name, void *oldp, size_t *oldlenp)
{
	struct loadavg load = { { 0, 0, 0 }, LSCALE };
	struct xsw_usage swap;
	struct sysinfo system;
	double averages[3];
	int i;

	switch (name[1]) {
	case VM_LOADAVG:
		if (getloadavg(averages, 3) != 3)
			return fail(EIO);
		for (i = 0; i < 3; i++)
			load.ldavg[i] = (uint32_t)(averages[i] * LSCALE);
		return give(oldp, oldlenp, &load, sizeof load);
	case VM_SWAPUSAGE:
		if (sysinfo(&system) != 0)
			return -1;
		memset(&swap, 0, sizeof swap);
		swap.xsu_total = (uint64_t)system.totalswap * system.mem_unit;
		swap.xsu_avail = (uint64_t)system.freeswap * system.mem_unit;
		swap.xsu_used = swap.xsu_total - swap.xsu_avail;
		swap.xsu_pagesize = (uint32_t)sysconf(_SC_PAGESIZE);
		return give(oldp, oldlenp, &swap, sizeof swap);
	}
	return fail(ENOENT);
}

int sysctl(int *name, unsigned int namelen, void *oldp, size_t *oldlenp, void *newp, size_t newlen)
{
	size_t none = 0;

	if (newp != NULL || newlen != 0)
		return fail(EPERM);
	if (name == NULL || (oldp != NULL && oldlenp == NULL))
		return fail(EFAULT);
	if (namelen < 2 || namelen > CTL_MAXNAME)
		return fail(namelen == 0 || namelen > CTL_MAXNAME ? EINVAL : ENOENT);
	if (oldlenp == NULL)
		oldlenp = &none;
	switch (name[0]) {
	case CTL_KERN:
		return give_kernel(name, namelen, oldp, oldlenp);
	case CTL_VM:
		return give_memory(name, oldp, oldlenp);
	case CTL_HW:
		return give_hardware(name, oldp, oldlenp);
	}
	return fail(ENOENT);
}

int sysctlnametomib(const char *name, int *mibp, size_t *sizep)
{
	static const struct {
		const char *text;
		int name[3];
	} names[] = {
		{ "kern.ostype", { CTL_KERN, KERN_OSTYPE, 0 } },
		{ "kern.osrelease", { CTL_KERN, KERN_OSRELEASE, 0 } },
		{ "kern.version", { CTL_KERN, KERN_VERSION, 0 } },
		{ "kern.argmax", { CTL_KERN, KERN_ARGMAX, 0 } },
		{ "kern.hostname", { CTL_KERN, KERN_HOSTNAME, 0 } },
		{ "kern.boottime", { CTL_KERN, KERN_BOOTTIME, 0 } },
		{ "kern.proc.all", { CTL_KERN, KERN_PROC, KERN_PROC_ALL } },
		{ "kern.proc.pid", { CTL_KERN, KERN_PROC, KERN_PROC_PID } },
		{ "kern.proc.uid", { CTL_KERN, KERN_PROC, KERN_PROC_UID } },
		{ "kern.procargs2", { CTL_KERN, KERN_PROCARGS2, 0 } },
		{ "vm.loadavg", { CTL_VM, VM_LOADAVG, 0 } },
		{ "vm.swapusage", { CTL_VM, VM_SWAPUSAGE, 0 } },
		{ "hw.machine", { CTL_HW, HW_MACHINE, 0 } },
		{ "hw.ncpu", { CTL_HW, HW_NCPU, 0 } },
		{ "hw.logicalcpu_max", { CTL_HW, HW_NCPU, 0 } },
		{ "hw.activecpu", { CTL_HW, HW_AVAILCPU, 0 } },
		{ "hw.logicalcpu", { CTL_HW, HW_AVAILCPU, 0 } },
		{ "hw.physmem", { CTL_HW, HW_PHYSMEM, 0 } },
		{ "hw.pagesize", { CTL_HW, HW_PAGESIZE, 0 } },
		{ "hw.memsize", { CTL_HW, HW_MEMSIZE, 0 } },
	};
	size_t i, count;

	if (name == NULL || mibp == NULL || sizep == NULL)
		return fail(EFAULT);
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(name, names[i].text) != 0)
			continue;
		count = names[i].name[1] == KERN_PROC && names[i].name[0] == CTL_KERN ? 3 : 2;
		if (*sizep < count)
			return fail(ENOMEM);
		memcpy(mibp, names[i].name, count * sizeof *mibp);
		*sizep = count;
		return 0;
	}
	return fail(ENOENT);
}

int sysctlbyname(const char *name, void *oldp, size_t *oldlenp, void *newp, size_t newlen)
{
	int numbers[CTL_MAXNAME];
	size_t count = CTL_MAXNAME;

	if (sysctlnametomib(name, numbers, &count) != 0)
		return -1;
	return sysctl(numbers, (unsigned int)count, oldp, oldlenp, newp, newlen);
}
