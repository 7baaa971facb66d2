/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of libproc.h. What goes to the caller is put together here first. */
#include <errno.h>
#include <libproc.h>
#include <mach/mach.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"

static int fail(int number)
{
	errno = number;
	return 0;
}

/* Whether there is a buffer of at least so many bytes, and this is no child; else an errno. */
static int refused(const void *buffer, int64_t size, size_t least)
{
	if (size < 0 || (uint64_t)size < least)
		return ENOMEM;
	if (buffer == NULL)
		return EFAULT;
	return machcompat_in_child() ? ENOTSUP : 0;
}

int proc_listpids(uint32_t type, uint32_t typeinfo, void *buffer, int buffersize)
{
	const long more = 20; /* that may start meanwhile */
	int32_t *pids;
	int error;
	long all, room, count;

	if (type < PROC_ALL_PIDS || type > PROC_KDBG_ONLY)
		return fail(EINVAL);
	error = refused(&more, buffer == NULL ? INT32_MAX : buffersize, sizeof *pids);
	if (error)
		return fail(error);
	all = machcompatPIDs(PROC_ALL_PIDS, 0, NULL, 0);
	if (all < 0)
		return fail((int)-all);
	if (buffer == NULL)
		return (int)((size_t)(all + more) * sizeof *pids);
	room = buffersize / (int)sizeof *pids;
	if (room > all + more)
		room = all + more;
	pids = malloc((size_t)room * sizeof *pids);
	if (pids == NULL)
		return fail(ENOMEM);
	count = machcompatPIDs(type, typeinfo, pids, (size_t)room);
	if (count > room)
		count = room;
	if (count > 0)
		memcpy(buffer, pids, (size_t)count * sizeof *pids);
	free(pids);
	return count < 0 ? fail((int)-count) : (int)((size_t)count * sizeof *pids);
}

int proc_listallpids(void *buffer, int buffersize)
{
	return proc_listpids(PROC_ALL_PIDS, 0, buffer, buffersize) / (int)sizeof(int32_t);
}

int proc_listpgrppids(pid_t pgrpid, void *buffer, int buffersize)
{
	return proc_listpids(PROC_PGRP_ONLY, (uint32_t)pgrpid, buffer, buffersize) / (int)sizeof(int32_t);
}

int proc_listchildpids(pid_t ppid, void *buffer, int buffersize)
{
	return proc_listpids(PROC_PPID_ONLY, (uint32_t)ppid, buffer, buffersize) / (int)sizeof(int32_t);
}

static uint32_t flags_of(const struct machcompat_process *p)
{
	return (p->system ? PROC_FLAG_SYSTEM : 0u) | (p->traced ? PROC_FLAG_TRACED : 0u) |
		(p->wide ? PROC_FLAG_LP64 : 0u) | (p->session_leader ? PROC_FLAG_SLEADER : 0u) |
		(p->tty != -1 ? PROC_FLAG_CTTY | PROC_FLAG_CONTROLT : 0u);
}

static void fill_bsd(struct proc_bsdinfo *info, const struct machcompat_process *p)
{
	info->pbi_flags = flags_of(p);
	info->pbi_status = p->state;
	info->pbi_pid = (uint32_t)p->pid;
	info->pbi_ppid = (uint32_t)p->ppid;
	info->pbi_uid = p->uid;
	info->pbi_gid = p->gid;
	info->pbi_ruid = p->ruid;
	info->pbi_rgid = p->rgid;
	info->pbi_svuid = p->svuid;
	info->pbi_svgid = p->svgid;
	memcpy(info->pbi_comm, p->comm, sizeof info->pbi_comm);
	memcpy(info->pbi_name, p->name, sizeof info->pbi_name);
	info->pbi_pgid = (uint32_t)p->pgid;
	info->e_tdev = (uint32_t)p->tty;
	info->e_tpgid = (uint32_t)p->tpgid;
	info->pbi_nice = p->nice;
	info->pbi_start_tvsec = p->start_seconds;
	info->pbi_start_tvusec = p->start_microseconds;
}

static void fill_short(struct proc_bsdshortinfo *info, const struct machcompat_process *p)
{
	info->pbsi_pid = (uint32_t)p->pid;
	info->pbsi_ppid = (uint32_t)p->ppid;
	info->pbsi_pgid = (uint32_t)p->pgid;
	info->pbsi_status = p->state;
	memcpy(info->pbsi_comm, p->comm, sizeof info->pbsi_comm);
	info->pbsi_flags = flags_of(p);
	info->pbsi_uid = p->uid;
	info->pbsi_gid = p->gid;
	info->pbsi_ruid = p->ruid;
	info->pbsi_rgid = p->rgid;
	info->pbsi_svuid = p->svuid;
	info->pbsi_svgid = p->svgid;
}

static int32_t at_most_31_bits(uint64_t count) { return count > INT32_MAX ? INT32_MAX : (int32_t)count; }

static void fill_usage(struct proc_taskinfo *info, const struct machcompat_task *t)
{
	info->pti_virtual_size = t->virtual_size;
	info->pti_resident_size = t->resident_size;
	info->pti_total_user = t->user;
	info->pti_total_system = t->system;
	info->pti_threads_user = t->threads_user;
	info->pti_threads_system = t->threads_system;
	info->pti_policy = POLICY_TIMESHARE;
	info->pti_faults = at_most_31_bits(t->faults);
	info->pti_pageins = at_most_31_bits(t->pageins);
	info->pti_csw = at_most_31_bits(t->switches);
	info->pti_threadnum = t->threads;
	info->pti_numrunning = t->running;
	info->pti_priority = t->priority;
}

static void fill_region(struct proc_regioninfo *info, const struct machcompat_region *r)
{
	info->pri_protection = (uint32_t)r->protection;
	info->pri_max_protection = (uint32_t)r->max_protection;
	info->pri_inheritance = r->inheritance;
	info->pri_flags = r->shared ? PROC_REGION_SHARED : 0;
	info->pri_offset = r->offset;
	info->pri_behavior = (uint32_t)r->behavior;
	info->pri_user_tag = r->user_tag;
	info->pri_pages_resident = r->resident;
	info->pri_pages_shared_now_private = r->copied;
	info->pri_pages_swapped_out = r->swapped;
	info->pri_pages_dirtied = r->dirtied;
	info->pri_ref_count = 1;
	info->pri_share_mode = r->share_mode;
	info->pri_private_pages_resident = r->shared ? 0 : r->external_pager ? r->copied : r->resident;
	info->pri_shared_pages_resident = r->resident - info->pri_private_pages_resident;
	info->pri_obj_id = (uint32_t)r->object;
	info->pri_address = r->start;
	info->pri_size = r->size;
}

static size_t size_of(int flavor)
{
	switch (flavor) {
	case PROC_PIDTASKALLINFO:
		return PROC_PIDTASKALLINFO_SIZE;
	case PROC_PIDTBSDINFO:
		return PROC_PIDTBSDINFO_SIZE;
	case PROC_PIDTASKINFO:
		return PROC_PIDTASKINFO_SIZE;
	case PROC_PIDREGIONINFO:
		return PROC_PIDREGIONINFO_SIZE;
	case PROC_PIDREGIONPATHINFO:
		return PROC_PIDREGIONPATHINFO_SIZE;
	case PROC_PIDT_SHORTBSDINFO:
		return PROC_PIDT_SHORTBSDINFO_SIZE;
	}
	return 0;
}

int proc_pidinfo(int pid, int flavor, uint64_t arg, void *buffer, int buffersize)
{
	union {
		struct proc_taskallinfo all;
		struct proc_bsdinfo bsd;
		struct proc_bsdshortinfo shorter;
		struct proc_taskinfo task;
		struct proc_regionwithpathinfo region;
	} any;
	struct machcompat_process process;
	struct machcompat_task task;
	struct machcompat_region region;
	struct machcompat_file file;
	char path[MACHCOMPAT_PATH];
	size_t size = size_of(flavor);
	int error;

	if (flavor == PROC_PIDPATHINFO)
		return proc_pidpath(pid, buffer, buffersize < 0 ? 0 : (uint32_t)buffersize);
	if (size == 0)
		return fail(EINVAL);
	error = refused(buffer, buffersize, size);
	if (error)
		return fail(error);
	memset(&any, 0, sizeof any);
	memset(&task, 0, sizeof task);
	memset(&file, 0, sizeof file);
	/* That there is such a process, and that it has not ended, is asked for each flavor. */
	error = machcompatProcess(pid, &process);
	if (error == 0 && process.state == 5 && !(arg != 0 && (flavor == PROC_PIDTBSDINFO || flavor == PROC_PIDT_SHORTBSDINFO)))
		error = -ESRCH;
	if (error == 0 && (flavor == PROC_PIDTASKALLINFO || flavor == PROC_PIDTASKINFO))
		error = machcompatProcessUsage(pid, &task);
	if (error == 0 && (flavor == PROC_PIDREGIONINFO || flavor == PROC_PIDREGIONPATHINFO))
		error = machcompatProcessRegion(pid, arg, 1, &region, &file, path, sizeof path);
	if (error < 0)
		return fail(-error);
	switch (flavor) {
	case PROC_PIDTASKALLINFO:
		fill_bsd(&any.all.pbsd, &process);
		fill_usage(&any.all.ptinfo, &task);
		break;
	case PROC_PIDTBSDINFO:
		fill_bsd(&any.bsd, &process);
		break;
	case PROC_PIDT_SHORTBSDINFO:
		fill_short(&any.shorter, &process);
		break;
	case PROC_PIDTASKINFO:
		fill_usage(&any.task, &task);
		break;
	case PROC_PIDREGIONPATHINFO:
		any.region.prp_vip.vip_vi.vi_stat.vst_dev = (uint32_t)file.device;
		any.region.prp_vip.vip_vi.vi_stat.vst_ino = file.inode;
		if (strlen(path) < sizeof any.region.prp_vip.vip_path)
			memcpy(any.region.prp_vip.vip_path, path, strlen(path) + 1);
		/* fall through */
	case PROC_PIDREGIONINFO:
		fill_region(&any.region.prp_prinfo, &region);
		break;
	}
	memcpy(buffer, &any, size);
	return (int)size;
}

/* Hands out a path of so many bytes, or the errno that length is the negative of. */
static int give_path(void *buffer, uint32_t size, const char *path, int length)
{
	if (length < 0)
		return fail(-length);
	if ((uint32_t)length >= size)
		return fail(ENOSPC);
	memcpy(buffer, path, (size_t)length + 1);
	return length;
}

int proc_name(int pid, void *buffer, uint32_t buffersize)
{
	struct machcompat_process process;
	int error = refused(buffer, buffersize, sizeof process.name);

	if (error)
		return fail(error);
	error = machcompatProcess(pid, &process);
	if (error == 0 && process.state == 5)
		error = -ESRCH;
	return give_path(buffer, buffersize, process.name, error < 0 ? error : (int)strlen(process.name));
}

int proc_regionfilename(int pid, uint64_t address, void *buffer, uint32_t buffersize)
{
	struct machcompat_region region;
	struct machcompat_file file;
	char path[MACHCOMPAT_PATH];
	int length = refused(buffer, buffersize, PROC_PIDPATHINFO_SIZE);

	if (length)
		return fail(length);
	length = machcompatProcessRegion(pid, address, 0, &region, &file, path, sizeof path);
	return give_path(buffer, buffersize, path, length == 0 ? -EINVAL : length);
}

int proc_pidpath(int pid, void *buffer, uint32_t buffersize)
{
	char path[MACHCOMPAT_PATH];
	int error = refused(buffer, buffersize, PROC_PIDPATHINFO_SIZE);

	if (!error && buffersize > PROC_PIDPATHINFO_MAXSIZE)
		error = EOVERFLOW;
	if (error)
		return fail(error);
	return give_path(buffer, buffersize, path, machcompatProcessPath(pid, path, sizeof path));
}

int proc_libversion(int *major, int *minor)
{
	if (major != NULL)
		*major = 1;
	if (minor != NULL)
		*minor = 1;
	return 0;
}
