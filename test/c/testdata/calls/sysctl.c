/* SPDX-License-Identifier: Apache-2.0 */
/* machcompat_sysctl, machcompat_sysctlbyname, machcompat_sysctlnametomib: sysctl and so on, to a program. */
#include "../check.h"

#include <bsd/sys/sysctl.h>
#include <errno.h>
#include <sys/ptrace.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#define FAILS(number, call)               \
	do {                              \
		errno = 0;                \
		CHECK((call) == -1);      \
		CHECK(errno == (number)); \
	} while (0)

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Of how many of the processes found is the id pid? */
static int find(const struct kinfo_proc *found, size_t bytes, pid_t pid)
{
	int times = 0;
	size_t i;

	CHECK(bytes % sizeof *found == 0);
	for (i = 0; i < bytes / sizeof *found; i++)
		times += found[i].kp_proc.p_pid == pid;
	return times;
}

static struct kinfo_proc one(pid_t pid)
{
	int name[] = { CTL_KERN, KERN_PROC, KERN_PROC_PID, (int)pid };
	struct kinfo_proc process;
	size_t size = sizeof process;

	memset(&process, 0x5a, sizeof process);
	CHECK(sysctl(name, LENGTH(name), &process, &size, NULL, 0) == 0 && size == sizeof process);
	return process;
}

static void process(void)
{
	struct kinfo_proc us = one(getpid());
	struct timespec now;
	char comm[32] = "";
	FILE *file = fopen("/proc/self/comm", "r");

	CHECK(file != NULL && fgets(comm, sizeof comm, file) != NULL && fclose(file) == 0);
	comm[strcspn(comm, "\n")] = 0;
	CHECK(us.kp_proc.p_pid == getpid() && us.kp_eproc.e_ppid == getppid() && us.kp_eproc.e_pgid == getpgrp());
	CHECK(strcmp(us.kp_proc.p_comm, comm) == 0 && us.kp_proc.p_stat == SRUN);
	CHECK((us.kp_proc.p_flag & P_LP64) && !(us.kp_proc.p_flag & (P_TRACED | P_SYSTEM)));
	CHECK(us.kp_eproc.e_ucred.cr_uid == geteuid() && us.kp_eproc.e_pcred.p_ruid == getuid());
	CHECK(us.kp_eproc.e_ucred.cr_ngroups == 1 && us.kp_eproc.e_ucred.cr_groups[0] == getegid());
	clock_gettime(CLOCK_REALTIME, &now);
	CHECK(us.kp_proc.p_starttime.tv_sec <= now.tv_sec + 2 && us.kp_proc.p_starttime.tv_sec + 3600 > now.tv_sec);
	CHECK(us.kp_proc.p_starttime.tv_usec >= 0 && us.kp_proc.p_starttime.tv_usec < 1000000);
}

/* How programs ask whether they are debugged; here of a child that is. */
static void traced(void)
{
	pid_t child = fork_with_us();
	struct kinfo_proc info;

	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		setpgid(0, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	CHECK(waitpid(child, NULL, WUNTRACED) == child);
	info = one(child);
	CHECK((info.kp_proc.p_flag & P_TRACED) && info.kp_proc.p_stat == SSTOP && info.kp_eproc.e_pgid == child);
	kill(child, SIGKILL);
	waitid(P_PID, (id_t)child, NULL, WEXITED | WNOWAIT);
	info = one(child);
	CHECK(info.kp_proc.p_stat == SZOMB);
	waitpid(child, NULL, 0);
}

static void lists(void)
{
	int all[] = { CTL_KERN, KERN_PROC, KERN_PROC_ALL, 0 }, kind[] = { CTL_KERN, KERN_PROC, 0, 0 };
	struct kinfo_proc *found, *other, small;
	size_t room = 0, size;

	CHECK(sysctl(all, 3, NULL, &room, NULL, 0) == 0 && room > 5 * sizeof *found);
	room += 200 * sizeof *found;
	found = (struct kinfo_proc *)malloc(room);
	other = (struct kinfo_proc *)malloc(room);
	size = room;
	CHECK(sysctl(all, 4, found, &size, NULL, 0) == 0 && size < room && find(found, size, getpid()) == 1);
	CHECK(find(found, size, target_pid) == 1);
	size = room;
	CHECK(sysctlbyname("kern.proc.all", other, &size, NULL, 0) == 0 && find(other, size, getpid()) == 1);

	kind[2] = KERN_PROC_UID;
	kind[3] = (int)geteuid();
	size = room;
	CHECK(sysctl(kind, 4, found, &size, NULL, 0) == 0 && find(found, size, getpid()) == 1);
	kind[2] = KERN_PROC_RUID;
	kind[3] = 77777;
	size = room;
	CHECK(sysctl(kind, 4, found, &size, NULL, 0) == 0 && size == 0);
	kind[2] = KERN_PROC_PGRP;
	kind[3] = getpgrp();
	size = room;
	CHECK(sysctl(kind, 4, found, &size, NULL, 0) == 0 && find(found, size, getpid()) == 1);
	/* No such process is no error. */
	kind[2] = KERN_PROC_PID;
	kind[3] = 0x7ffffff0;
	size = room;
	CHECK(sysctl(kind, 4, found, &size, NULL, 0) == 0 && size == 0);

	/* Too little room: as many as fit. */
	size = sizeof small + 5;
	FAILS(ENOMEM, sysctl(all, 4, &small, &size, NULL, 0));
	CHECK(size == sizeof small && small.kp_proc.p_pid > 0);
	size = room;
	FAILS(EINVAL, sysctl(kind, 3, found, &size, NULL, 0));
	kind[2] = KERN_PROC_SESSION;
	FAILS(ENOTSUP, sysctl(kind, 4, found, &size, NULL, 0));
	kind[2] = -1;
	FAILS(ENOTSUP, sysctl(kind, 4, found, &size, NULL, 0));
	CHECK(size == room);
	free(found);
	free(other);
}

static void arguments(int argc, char **argv)
{
	int name[] = { CTL_KERN, KERN_PROCARGS2, (int)getpid() }, most = 0, count, i;
	int max_name[] = { CTL_KERN, KERN_ARGMAX };
	size_t size = sizeof most, length = 0;
	char self[4096], *text, *at;

	CHECK(sysctl(max_name, 2, &most, &size, NULL, 0) == 0 && size == sizeof most && most == (int)sysconf(_SC_ARG_MAX));
	CHECK(sysctl(name, 3, NULL, &length, NULL, 0) == 0 && length > sizeof(int));
	size = (size_t)most;
	text = (char *)malloc(size);
	CHECK(sysctl(name, 3, text, &size, NULL, 0) == 0 && size == length);
	memcpy(&count, text, sizeof count);
	self[readlink("/proc/self/exe", self, sizeof self - 1)] = 0;
	/* A size that nobody has room for is no reason to fail. */
	size = SIZE_MAX / 2;
	CHECK(sysctl(name, 3, text, &size, NULL, 0) == 0 && size == length);
	at = text + sizeof count;
	CHECK(count == argc && strcmp(at, self) == 0);
	for (i = 0; i < argc; i++) {
		at += strlen(at) + 1;
		CHECK(strcmp(at, argv[i]) == 0);
	}
	at += strlen(at) + 1;
	CHECK(memchr(at, '=', (size_t)(text + size - at)) != NULL);
	/* The first of it, where there is little room. */
	memset(text, 0x5a, 64);
	size = sizeof(int) + 3;
	CHECK(sysctl(name, 3, text, &size, NULL, 0) == 0 && size == sizeof(int) + 3);
	CHECK(memcmp(text + sizeof(int), self, 3) == 0 && text[sizeof(int) + 3] == 0x5a);
	size = sizeof(int);
	FAILS(EINVAL, sysctl(name, 3, text, &size, NULL, 0));
	name[2] = 0x7ffffff0;
	size = 4096;
	FAILS(EINVAL, sysctl(name, 3, text, &size, NULL, 0));
	FAILS(EINVAL, sysctl(name, 2, text, &size, NULL, 0));
	free(text);
}

static void machine(void)
{
	int name[] = { CTL_HW, HW_MEMSIZE }, processors = 0;
	uint64_t bytes = 0;
	size_t size = sizeof bytes;
	struct timeval boot;
	struct utsname system;
	char text[256];

	CHECK(sysctl(name, 2, &bytes, &size, NULL, 0) == 0 && size == 8);
	CHECK(bytes == (uint64_t)sysconf(_SC_PHYS_PAGES) * vm_page_size);
	size = sizeof bytes;
	CHECK(sysctlbyname("hw.memsize", &bytes, &size, NULL, 0) == 0 && size == 8);
	name[1] = HW_NCPU;
	size = sizeof processors;
	CHECK(sysctl(name, 2, &processors, &size, NULL, 0) == 0 && size == 4 && processors == sysconf(_SC_NPROCESSORS_CONF));
	CHECK(sysctlbyname("hw.ncpu", &processors, &size, NULL, 0) == 0 && processors == sysconf(_SC_NPROCESSORS_CONF));
	CHECK(sysctlbyname("hw.activecpu", &processors, &size, NULL, 0) == 0 && processors == sysconf(_SC_NPROCESSORS_ONLN));
	/* An int as 8 bytes, where there are 8. */
	size = sizeof bytes;
	CHECK(sysctlbyname("hw.pagesize", &bytes, &size, NULL, 0) == 0 && size == 8 && bytes == vm_page_size);
	size = sizeof boot;
	CHECK(sysctlbyname("kern.boottime", &boot, &size, NULL, 0) == 0 && boot.tv_sec > 0 && boot.tv_sec < time(NULL) + 2);
	CHECK(uname(&system) == 0);
	size = sizeof text;
	CHECK(sysctlbyname("kern.osrelease", text, &size, NULL, 0) == 0 && size == strlen(text) + 1);
	CHECK(strcmp(text, system.release) == 0);
	/* Of a text, too, as much as fits. */
	size = 2;
	FAILS(ENOMEM, sysctlbyname("kern.osrelease", text, &size, NULL, 0));
	CHECK(size == 2 && text[0] == system.release[0]);
	CHECK(sysctlbyname("kern.osrelease", NULL, &size, NULL, 0) == 0 && size == strlen(system.release) + 1);
}

static void load(void)
{
	int name[] = { CTL_VM, VM_SWAPUSAGE };
	struct xsw_usage swap, again;
	struct loadavg average;
	struct sysinfo info;
	size_t size = sizeof swap;

	memset(&swap, 1, sizeof swap);
	CHECK(sysctl(name, 2, &swap, &size, NULL, 0) == 0 && size == sizeof swap && sysinfo(&info) == 0);
	CHECK(swap.xsu_total == (uint64_t)info.totalswap * info.mem_unit && swap.xsu_used + swap.xsu_avail == swap.xsu_total);
	CHECK(swap.xsu_pagesize == vm_page_size && swap.xsu_encrypted == 0);
	CHECK(sysctlbyname("vm.swapusage", &again, &size, NULL, 0) == 0 && again.xsu_total == swap.xsu_total);
	size = sizeof average;
	CHECK(sysctlbyname("vm.loadavg", &average, &size, NULL, 0) == 0 && size == sizeof average);
	CHECK(average.fscale == LSCALE && average.ldavg[2] < 1000000 * LSCALE);
}

static void numbers(void)
{
	int name[CTL_MAXNAME];
	size_t size = LENGTH(name);
	struct kinfo_proc process;

	CHECK(sysctlnametomib("hw.memsize", name, &size) == 0 && size == 2 && name[0] == CTL_HW && name[1] == HW_MEMSIZE);
	/* Three numbers where there is room for three, and only there. */
	FAILS(ENOMEM, sysctlnametomib("kern.proc.all", name, &size));
	CHECK(size == 2 && name[0] == CTL_HW);
	size = 3;
	CHECK(sysctlnametomib("kern.proc.all", name, &size) == 0 && size == 3 && name[1] == KERN_PROC && name[2] == KERN_PROC_ALL);
	/* The numbers of a family, to which the caller adds its own. */
	size = LENGTH(name);
	CHECK(sysctlnametomib("kern.proc.pid", name, &size) == 0 && size == 3);
	name[3] = getpid();
	size = sizeof process;
	CHECK(sysctl(name, 4, &process, &size, NULL, 0) == 0 && process.kp_proc.p_pid == getpid());
	FAILS(ENOENT, sysctlnametomib("security.mac", name, &size));
	FAILS(EFAULT, sysctlnametomib(NULL, name, &size));
	FAILS(EFAULT, sysctlnametomib("hw.ncpu", NULL, &size));
	FAILS(EFAULT, sysctlnametomib("hw.ncpu", name, NULL));
}

static void refused(void)
{
	int name[CTL_MAXNAME + 1] = { CTL_HW, 999 }, value = 7;
	size_t size = sizeof value;

	FAILS(ENOENT, sysctl(name, 2, &value, &size, NULL, 0));
	name[0] = CTL_KERN;
	FAILS(ENOENT, sysctl(name, 2, &value, &size, NULL, 0));
	FAILS(ENOENT, sysctl(name, 1, &value, &size, NULL, 0));
	FAILS(EINVAL, sysctl(name, 0, &value, &size, NULL, 0));
	FAILS(EINVAL, sysctl(name, CTL_MAXNAME + 1, &value, &size, NULL, 0));
	name[0] = CTL_NET;
	FAILS(ENOENT, sysctl(name, 2, &value, &size, NULL, 0));
	FAILS(ENOENT, sysctlbyname("security.mac", &value, &size, NULL, 0));
	FAILS(ENOENT, sysctlbyname("", &value, &size, NULL, 0));
	FAILS(EFAULT, sysctlbyname(NULL, &value, &size, NULL, 0));
	FAILS(EFAULT, sysctl(NULL, 2, &value, &size, NULL, 0));
	FAILS(EFAULT, sysctlbyname("hw.ncpu", &value, NULL, NULL, 0));
	FAILS(EPERM, sysctlbyname("hw.ncpu", NULL, NULL, &value, sizeof value));
	CHECK(value == 7 && size == sizeof value && sysctlbyname("hw.ncpu", NULL, NULL, NULL, 0) == 0);
}

static void in_a_child(void)
{
	int name[] = { CTL_KERN, KERN_PROC, KERN_PROC_ALL }, status = -1;
	size_t size = 0;
	pid_t child = fork_with_us();

	if (child == 0) {
		FAILS(ENOTSUP, sysctl(name, 3, NULL, &size, NULL, 0));
		CHECK(sysctlbyname("hw.ncpu", NULL, &size, NULL, 0) == 0 && size == sizeof(int));
		_exit(failures != 0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(int argc, char **argv)
{
	begin(argc, argv);
	process();
	traced();
	lists();
	arguments(argc, argv);
	machine();
	load();
	numbers();
	refused();
	in_a_child();
	return failures != 0;
}
