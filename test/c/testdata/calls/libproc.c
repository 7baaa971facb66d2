/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc_listpids, proc_listallpids, proc_listpgrppids, proc_listchildpids, proc_pidinfo,
 * proc_name, proc_regionfilename, proc_pidpath, proc_libversion.
 */
#include "../check.h"

#include <errno.h>
#include <libproc.h>
#include <pthread.h>

/* The call fails, and sets errno. */
#define FAILS(number, call)               \
	do {                              \
		errno = 0;                \
		CHECK((call) == 0);       \
		CHECK(errno == (number)); \
	} while (0)

static int has(const int *pids, int count, int pid)
{
	int i, found = 0;

	for (i = 0; i < count; i++) {
		found += pids[i] == pid;
		CHECK(i == 0 || pids[i - 1] < pids[i]);
	}
	return found;
}

/* A child that sleeps under a name, in a group of its own. */
static pid_t named_child(const char *name)
{
	int ready[2];
	char byte;
	pid_t child;

	CHECK(pipe(ready) == 0);
	child = fork_with_us();
	if (child == 0) {
		setpgid(0, 0);
		prctl(PR_SET_NAME, name);
		CHECK(write(ready[1], "", 1) == 1);
		for (;;)
			pause();
	}
	CHECK(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void lists(void)
{
	int bytes = proc_listpids(PROC_ALL_PIDS, 0, NULL, 0), count, one[2] = { 7, 7 };
	int *pids = (int *)malloc((size_t)bytes + 4096);
	pid_t child = named_child("sleeper");

	CHECK(bytes > 20 * (int)sizeof(int) && bytes % (int)sizeof(int) == 0);
	CHECK(proc_listallpids(NULL, 0) > 20);
	count = proc_listallpids(pids, bytes + 4096);
	CHECK(count > 1 && has(pids, count, getpid()) == 1 && has(pids, count, target_pid) == 1 && has(pids, count, child) == 1);
	bytes = proc_listpids(PROC_UID_ONLY, geteuid(), pids, bytes + 4096);
	CHECK(bytes >= 3 * (int)sizeof(int) && has(pids, bytes / (int)sizeof(int), getpid()) == 1);
	bytes = proc_listpids(PROC_RUID_ONLY, getuid() + 77777, pids, 4096);
	CHECK(bytes == 0);
	count = proc_listpgrppids(child, pids, 4096);
	CHECK(count == 1 && pids[0] == child);
	count = proc_listchildpids(getpid(), pids, 4096);
	CHECK(count == 1 && pids[0] == child);
	CHECK(proc_listpids(PROC_TTY_ONLY, 0, pids, 4096) == 0 && proc_listpids(PROC_KDBG_ONLY, 0, pids, 4096) == 0);
	/* As many as fit. */
	CHECK(proc_listpids(PROC_ALL_PIDS, 0, one, sizeof one[0] + 1) == sizeof one[0] && one[0] != 7 && one[1] == 7);
	FAILS(ENOMEM, proc_listpids(PROC_ALL_PIDS, 0, one, sizeof one[0] - 1));
	FAILS(ENOMEM, proc_listallpids(one, -1));
	FAILS(EINVAL, proc_listpids(0, 0, pids, 4096));
	FAILS(EINVAL, proc_listpids(99, 0, pids, 4096));
	end(child);
	free(pids);
}

static void names(void)
{
	char name[64], self[4096], longest[16] = "a) R 1 (b\n c\xff ";
	const char *base_name;
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
	pid_t child;
	int got;

	self[length < 0 ? 0 : length] = 0;
	base_name = strrchr(self, '/') + 1;
	got = proc_name(getpid(), name, sizeof name);
	CHECK(got == (int)strlen(name) && got > 0 && strncmp(name, base_name, 31) == 0);
	child = named_child(longest);
	CHECK(proc_name(child, name, 32) == (int)strlen(longest) && strcmp(name, longest) == 0);
	end(child);
	FAILS(ESRCH, proc_name(child, name, sizeof name));
	FAILS(ENOMEM, proc_name(getpid(), name, 31));
	FAILS(EFAULT, proc_name(getpid(), NULL, 32));
	FAILS(ESRCH, proc_name(-1, name, sizeof name));
}

static void copy_file(const char *from, const char *to)
{
	char command[8300];

	snprintf(command, sizeof command, "cp %s %s", from, to);
	CHECK(system(command) == 0);
}

static void paths(void)
{
	char path[PROC_PIDPATHINFO_MAXSIZE + 1], link_name[64], want[4096], copy[] = "/tmp/machcompat-XXXXXX";
	ssize_t length;
	pid_t child;
	int file;

	snprintf(link_name, sizeof link_name, "/proc/%d/exe", target_pid);
	length = readlink(link_name, want, sizeof want - 1);
	want[length < 0 ? 0 : length] = 0;
	memset(path, 'x', sizeof path);
	CHECK(proc_pidpath(target_pid, path, PROC_PIDPATHINFO_SIZE) == (int)strlen(want) && strcmp(path, want) == 0);
	CHECK(path[strlen(want) + 1] == 'x');
	CHECK(proc_pidinfo(target_pid, PROC_PIDPATHINFO, 0, path, PROC_PIDPATHINFO_MAXSIZE) == (int)strlen(want));
	FAILS(ENOMEM, proc_pidpath(target_pid, path, PROC_PIDPATHINFO_SIZE - 1));
	FAILS(EOVERFLOW, proc_pidpath(target_pid, path, PROC_PIDPATHINFO_MAXSIZE + 1));
	FAILS(EFAULT, proc_pidpath(target_pid, NULL, PROC_PIDPATHINFO_SIZE));
	FAILS(ESRCH, proc_pidpath(0x7ffffff0, path, PROC_PIDPATHINFO_SIZE));
	/* A program whose file is gone has no path. */
	file = mkstemp(copy);
	CHECK(file >= 0 && fchmod(file, 0700) == 0 && close(file) == 0);
	copy_file("/bin/sleep", copy);
	child = fork_with_us();
	if (child == 0) {
		execl(copy, "sleep", "600", (char *)NULL);
		_exit(1);
	}
	WAIT_FOR(proc_pidpath(child, path, PROC_PIDPATHINFO_MAXSIZE) > 0 && strcmp(path, copy) == 0);
	unlink(copy);
	FAILS(ENOENT, proc_pidpath(child, path, PROC_PIDPATHINFO_MAXSIZE));
	end(child);
}

static void regions(void)
{
	struct proc_regionwithpathinfo info;
	struct proc_regioninfo plain;
	char path[4096], self[4096];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
	uint64_t code = (uint64_t)(uintptr_t)&regions;
	char *anonymous = (char *)mmap(NULL, PAGES(2), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	self[length < 0 ? 0 : length] = 0;
	CHECK(proc_regionfilename(getpid(), code, path, sizeof path) == (int)strlen(self) && strcmp(path, self) == 0);
	CHECK(proc_regionfilename(getpid(), code, path, PROC_PIDPATHINFO_SIZE) == (int)strlen(self));
	FAILS(EINVAL, proc_regionfilename(target_pid, base, path, sizeof path));
	FAILS(EINVAL, proc_regionfilename(target_pid, UINT64_MAX, path, sizeof path));
	FAILS(ENOMEM, proc_regionfilename(getpid(), code, path, PROC_PIDPATHINFO_SIZE - 1));
	FAILS(EFAULT, proc_regionfilename(getpid(), code, NULL, sizeof path));
	FAILS(ESRCH, proc_regionfilename(-1, code, path, sizeof path));

	CHECK(proc_pidinfo(getpid(), PROC_PIDREGIONPATHINFO, code, &info, sizeof info) == (int)sizeof info);
	CHECK(strcmp(info.prp_vip.vip_path, self) == 0 && info.prp_prinfo.pri_address <= code);
	CHECK(code < info.prp_prinfo.pri_address + info.prp_prinfo.pri_size && info.prp_vip.vip_vi.vi_stat.vst_ino != 0);
	CHECK(info.prp_prinfo.pri_protection == (VM_PROT_READ | VM_PROT_EXECUTE) && info.prp_prinfo.pri_share_mode == SM_COW);
	/* From a gap the next above; memory of no file has no path. */
	CHECK(proc_pidinfo(target_pid, PROC_PIDREGIONPATHINFO, GAP, &info, sizeof info) == (int)sizeof info);
	CHECK(info.prp_prinfo.pri_address == SECOND && info.prp_prinfo.pri_size == PAGES(2) && info.prp_vip.vip_path[0] == 0);
	CHECK(info.prp_prinfo.pri_pages_resident == 2 && info.prp_prinfo.pri_private_pages_resident == 2);
	CHECK(proc_pidinfo(getpid(), PROC_PIDREGIONINFO, (uintptr_t)anonymous, &plain, sizeof plain) == (int)sizeof plain);
	CHECK(plain.pri_flags == PROC_REGION_SHARED && plain.pri_inheritance == VM_INHERIT_SHARE);
	FAILS(EINVAL, proc_pidinfo(target_pid, PROC_PIDREGIONPATHINFO, UINT64_MAX, &info, sizeof info));
	munmap(anonymous, PAGES(2));
}

static void *nothing(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void info(void)
{
	struct proc_taskallinfo all;
	struct proc_bsdinfo bsd, again;
	struct proc_bsdshortinfo shorter;
	struct proc_taskinfo task;
	struct timespec now;
	pthread_t thread;
	pid_t child;

	CHECK(proc_pidinfo(getpid(), PROC_PIDTBSDINFO, 0, &bsd, sizeof bsd) == (int)sizeof bsd);
	CHECK(bsd.pbi_pid == (uint32_t)getpid() && bsd.pbi_ppid == (uint32_t)getppid() && bsd.pbi_pgid == (uint32_t)getpgrp());
	CHECK(bsd.pbi_uid == geteuid() && bsd.pbi_ruid == getuid() && bsd.pbi_gid == getegid() && bsd.pbi_rgid == getgid());
	CHECK(bsd.pbi_status == 2 && (bsd.pbi_flags & PROC_FLAG_LP64) && !(bsd.pbi_flags & PROC_FLAG_TRACED));
	CHECK(bsd.pbi_nice == nice(0) && strlen(bsd.pbi_comm) > 0 && strlen(bsd.pbi_comm) <= 15);
	clock_gettime(CLOCK_REALTIME, &now);
	CHECK(bsd.pbi_start_tvsec <= (uint64_t)now.tv_sec + 2 && bsd.pbi_start_tvsec + 3600 > (uint64_t)now.tv_sec);
	CHECK(bsd.pbi_start_tvusec < 1000000);
	CHECK(proc_pidinfo(getpid(), PROC_PIDTBSDINFO, 0, &again, sizeof again) == (int)sizeof again);
	CHECK(again.pbi_start_tvsec == bsd.pbi_start_tvsec && again.pbi_start_tvusec == bsd.pbi_start_tvusec);
	CHECK(proc_pidinfo(getpid(), PROC_PIDT_SHORTBSDINFO, 0, &shorter, sizeof shorter) == (int)sizeof shorter);
	CHECK(shorter.pbsi_pid == bsd.pbi_pid && shorter.pbsi_flags == bsd.pbi_flags && strcmp(shorter.pbsi_comm, bsd.pbi_comm) == 0);

	CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0);
	CHECK(proc_pidinfo(getpid(), PROC_PIDTASKINFO, 0, &task, sizeof task + 1) == (int)sizeof task);
	CHECK(task.pti_threadnum >= 2 && task.pti_numrunning >= 1 && task.pti_resident_size > 0);
	CHECK(task.pti_virtual_size >= task.pti_resident_size && task.pti_total_user >= task.pti_threads_user);
	CHECK(task.pti_policy == POLICY_TIMESHARE && task.pti_faults > 0 && task.pti_csw > 0);
	CHECK(proc_pidinfo(getpid(), PROC_PIDTASKALLINFO, 0, &all, sizeof all) == (int)sizeof all);
	CHECK(all.pbsd.pbi_pid == bsd.pbi_pid && all.ptinfo.pti_threadnum >= 2);

	child = named_child("ended");
	CHECK(proc_pidinfo(child, PROC_PIDTBSDINFO, 0, &bsd, sizeof bsd) > 0 && bsd.pbi_pgid == (uint32_t)child);
	kill(child, SIGKILL);
	waitid(P_PID, (id_t)child, NULL, WEXITED | WNOWAIT);
	FAILS(ESRCH, proc_pidinfo(child, PROC_PIDTBSDINFO, 0, &bsd, sizeof bsd));
	CHECK(proc_pidinfo(child, PROC_PIDTBSDINFO, 1, &bsd, sizeof bsd) > 0 && bsd.pbi_status == 5);
	FAILS(ESRCH, proc_pidinfo(child, PROC_PIDTASKINFO, 1, &task, sizeof task));
	waitpid(child, NULL, 0);
	FAILS(ESRCH, proc_pidinfo(child, PROC_PIDTBSDINFO, 1, &bsd, sizeof bsd));
	FAILS(ENOMEM, proc_pidinfo(getpid(), PROC_PIDTBSDINFO, 0, &bsd, sizeof bsd - 1));
	FAILS(EFAULT, proc_pidinfo(getpid(), PROC_PIDTBSDINFO, 0, NULL, sizeof bsd));
	FAILS(EINVAL, proc_pidinfo(getpid(), 9999, 0, &bsd, sizeof bsd));
}

/* What /proc/PID/stat says that a process has used, in nanoseconds; 0 when it has ended. */
static uint64_t used(int pid)
{
	char path[64], text[2048], *rest = NULL;
	unsigned long user = 0, system_time = 0;
	FILE *stat;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	stat = fopen(path, "r");
	if (stat == NULL)
		return 0;
	if (fgets(text, sizeof text, stat) != NULL)
		rest = strrchr(text, ')');
	if (rest != NULL)
		CHECK(sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system_time) == 2);
	fclose(stat);
	return (uint64_t)(user + system_time) * 10000000;
}

/* No process is told to have used more than it has, and its threads no more than it. */
static void times(void)
{
	int bytes = proc_listpids(PROC_ALL_PIDS, 0, NULL, 0), *pids = (int *)malloc((size_t)bytes), count, i;
	struct proc_taskinfo task;
	uint64_t most;

	count = proc_listallpids(pids, bytes);
	for (i = 0; i < count; i++) {
		if (proc_pidinfo(pids[i], PROC_PIDTASKINFO, 0, &task, sizeof task) == 0)
			continue;
		most = used(pids[i]);
		CHECK(most == 0 || task.pti_total_user + task.pti_total_system <= most);
		CHECK(task.pti_threads_user <= task.pti_total_user && task.pti_threads_system <= task.pti_total_system);
	}
	free(pids);
}

static void in_a_child(void)
{
	char path[4096];
	int status = -1, pid;
	struct proc_bsdinfo bsd;
	pid_t child = fork_with_us();

	if (child == 0) {
		FAILS(ENOTSUP, proc_listallpids(NULL, 0));
		FAILS(ENOTSUP, proc_listpids(PROC_ALL_PIDS, 0, &pid, sizeof pid));
		FAILS(ENOTSUP, proc_pidinfo(getpid(), PROC_PIDTBSDINFO, 0, &bsd, sizeof bsd));
		FAILS(ENOTSUP, proc_name(getpid(), path, sizeof path));
		FAILS(ENOTSUP, proc_pidpath(getpid(), path, sizeof path));
		FAILS(ENOTSUP, proc_regionfilename(getpid(), base, path, sizeof path));
		_exit(failures != 0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(int argc, char **argv)
{
	int major = 0, minor = 0;

	begin(argc, argv);
	lists();
	names();
	paths();
	regions();
	info();
	times();
	in_a_child();
	CHECK(proc_libversion(&major, &minor) == 0 && major == 1 && minor == 1 && proc_libversion(NULL, NULL) == 0);
	return failures != 0;
}
