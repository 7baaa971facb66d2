/* SPDX-License-Identifier: Apache-2.0 */
/* host_info, host_statistics, host_statistics64, host_processor_info, host_kernel_version. */
#include "../check.h"

#include <sys/utsname.h>

/* The number behind a name in a file of /proc, by other means than the library's. */
static uint64_t number_of(const char *file, const char *name)
{
	char command[256];
	uint64_t number = 0;
	FILE *out;

	snprintf(command, sizeof command, "awk '$1 == \"%s\" {print $2}' %s", name, file);
	out = popen(command, "r");
	if (out == NULL || fscanf(out, "%" SCNu64, &number) != 1)
		number = 0;
	if (out != NULL)
		pclose(out);
	return number;
}

/* A number that changes meanwhile: within an eighth and 64 MiB of pages. */
static int near(uint64_t a, uint64_t b)
{
	uint64_t slack = (a > b ? a : b) / 8 + ((64 << 20) / vm_page_size);

	return a <= b + slack && b <= a + slack;
}

static void info(mach_port_t host)
{
	struct {
		host_basic_info_data_t info;
		int behind;
	} basic;
	host_sched_info_data_t sched;
	host_priority_info_data_t priority;
	host_preferred_user_arch_data_t arch;
	mach_msg_type_number_t count = HOST_BASIC_INFO_COUNT + 1;

	memset(&basic, 0x5a, sizeof basic);
	RETURNS(KERN_SUCCESS, host_info(host, HOST_BASIC_INFO, (host_info_t)&basic.info, &count));
	CHECK(count == HOST_BASIC_INFO_COUNT && basic.behind == 0x5a5a5a5a);
	CHECK(basic.info.max_cpus == sysconf(_SC_NPROCESSORS_CONF) && basic.info.avail_cpus == sysconf(_SC_NPROCESSORS_ONLN));
	CHECK(basic.info.logical_cpu_max == basic.info.max_cpus && basic.info.logical_cpu == basic.info.avail_cpus);
	CHECK(basic.info.physical_cpu >= 1 && basic.info.physical_cpu <= basic.info.logical_cpu);
	CHECK(basic.info.max_mem == number_of("/proc/meminfo", "MemTotal:") << 10);
	CHECK(basic.info.memory_size == (basic.info.max_mem > 1u << 31 ? 1u << 31 : basic.info.max_mem));
#if defined(__x86_64__)
	CHECK(basic.info.cpu_type == CPU_TYPE_X86);
#else
	CHECK(basic.info.cpu_type == CPU_TYPE_ARM64);
#endif
	/* The old version has 5 ints. */
	memset(&basic, 0x5a, sizeof basic);
	count = HOST_BASIC_INFO_COUNT - 1;
	RETURNS(KERN_SUCCESS, host_info(host, HOST_BASIC_INFO, (host_info_t)&basic.info, &count));
	CHECK(count == 5 && basic.info.cpu_threadtype == 0x5a5a5a5a);

	count = HOST_SCHED_INFO_COUNT;
	RETURNS(KERN_SUCCESS, host_info(host, HOST_SCHED_INFO, (host_info_t)&sched, &count));
	CHECK(count == 2 && sched.min_quantum == sched.min_timeout && sched.min_quantum >= 0 && sched.min_quantum < 1000);
	count = HOST_PRIORITY_INFO_COUNT;
	RETURNS(KERN_SUCCESS, host_info(host, HOST_PRIORITY_INFO, (host_info_t)&priority, &count));
	CHECK(count == 8 && priority.user_priority == 31 && priority.maximum_priority == 79);
	count = HOST_PREFERRED_USER_ARCH_COUNT;
	RETURNS(KERN_SUCCESS, host_info(host, HOST_PREFERRED_USER_ARCH, (host_info_t)&arch, &count));
	CHECK(count == 2 && arch.cpu_type == basic.info.cpu_type && arch.cpu_subtype == basic.info.cpu_subtype);
}

static void load(mach_port_t host)
{
	host_load_info_data_t averages;
	host_cpu_load_info_data_t ticks, later;
	mach_msg_type_number_t count = HOST_LOAD_INFO_COUNT;
	int i;

	RETURNS(KERN_SUCCESS, host_statistics(host, HOST_LOAD_INFO, (host_info_t)&averages, &count));
	CHECK(count == 6 && averages.avenrun[0] >= 0 && averages.mach_factor[0] >= 0);
	CHECK(averages.mach_factor[2] <= sysconf(_SC_NPROCESSORS_ONLN) * LOAD_SCALE);
	count = HOST_CPU_LOAD_INFO_COUNT;
	RETURNS(KERN_SUCCESS, host_statistics(host, HOST_CPU_LOAD_INFO, (host_info_t)&ticks, &count));
	/* The user's time at the front of the line. */
	CHECK(ticks.cpu_ticks[CPU_STATE_USER] <= (natural_t)number_of("/proc/stat", "cpu"));
	RETURNS(KERN_SUCCESS, host_statistics64(host, HOST_CPU_LOAD_INFO, (host_info64_t)&later, &count));
	CHECK(count == 4);
	CHECK(ticks.cpu_ticks[CPU_STATE_SYSTEM] > 0);
	/* That of the wait for a disk, which is in idle, may go back. */
	for (i = 0; i < CPU_STATE_MAX; i++)
		CHECK(i == CPU_STATE_IDLE || (int)(later.cpu_ticks[i] - ticks.cpu_ticks[i]) >= 0);
}

/* What /proc says of pages, of the sizes of up to two names. */
static uint64_t pages_of(const char *name, const char *other)
{
	return ((number_of("/proc/meminfo", name) + number_of("/proc/meminfo", other)) << 10) / vm_page_size;
}

/* Whether the library and /proc agree; other programs may change it between the two. */
static int agrees(mach_port_t host)
{
	vm_statistics64_data_t info;
	mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
	uint64_t all;

	RETURNS(KERN_SUCCESS, host_statistics64(host, HOST_VM_INFO64, (host_info64_t)&info, &count));
	all = (uint64_t)info.free_count + info.active_count + info.inactive_count + info.wire_count;
	return near(info.free_count, pages_of("MemFree:", "")) && near(info.active_count, pages_of("Active:", "")) &&
		near(info.inactive_count, pages_of("Inactive:", "")) && near(all, pages_of("MemTotal:", "")) &&
		near(info.internal_page_count, pages_of("Active(anon):", "Inactive(anon):")) &&
		near(info.external_page_count, pages_of("Active(file):", "Inactive(file):"));
}

static void memory(mach_port_t host)
{
	vm_statistics64_data_t wide;
	vm_statistics_data_t narrow;
	mach_msg_type_number_t count = HOST_VM_INFO64_COUNT + 5;
	uint64_t faults = number_of("/proc/vmstat", "pgfault");
	int agreed = 0;

	RETURNS(KERN_SUCCESS, host_statistics64(host, HOST_VM_INFO64, (host_info64_t)&wide, &count));
	CHECK(count == 38 && wide.free_count > 0 && wide.purges == 0);
	CHECK(wide.faults >= faults && wide.faults <= number_of("/proc/vmstat", "pgfault"));
	/* Once is enough: it is asked again after the wait. */
	WAIT_FOR(agreed || (agreed = agrees(host)));
	memset(&wide, 0x5a, sizeof wide);
	count = HOST_VM_INFO64_COUNT - 1;
	RETURNS(KERN_SUCCESS, host_statistics64(host, HOST_VM_INFO64, (host_info64_t)&wide, &count));
	CHECK(count == HOST_VM_INFO64_REV0_COUNT && wide.decompressions == 0x5a5a5a5a5a5a5a5a);

	count = HOST_VM_INFO_COUNT;
	RETURNS(KERN_SUCCESS, host_statistics(host, HOST_VM_INFO, (host_info_t)&narrow, &count));
	CHECK(count == 15 && narrow.free_count > 0 && narrow.faults > 0);
	memset(&narrow, 0x5a, sizeof narrow);
	count = HOST_VM_INFO_REV1_COUNT - 1;
	RETURNS(KERN_SUCCESS, host_statistics(host, HOST_VM_INFO, (host_info_t)&narrow, &count));
	CHECK(count == HOST_VM_INFO_REV0_COUNT && narrow.purgeable_count == 0x5a5a5a5a && narrow.hits == 0);
}

static void processors(mach_port_t host)
{
	processor_info_array_t array = NULL;
	mach_msg_type_number_t ints = 0;
	natural_t count = 0;

	RETURNS(KERN_SUCCESS, host_processor_info(host, PROCESSOR_CPU_LOAD_INFO, &count, &array, &ints));
	CHECK(count == (natural_t)sysconf(_SC_NPROCESSORS_CONF) && ints == count * PROCESSOR_CPU_LOAD_INFO_COUNT);
	if (failures == 0)
		CHECK(((processor_cpu_load_info_t)array)[0].cpu_ticks[CPU_STATE_USER] <= (natural_t)number_of("/proc/stat", "cpu0"));
	RETURNS(KERN_SUCCESS, vm_deallocate(mach_task_self(), (vm_address_t)array, ints * sizeof(integer_t)));
	RETURNS(KERN_SUCCESS, host_processor_info(host, PROCESSOR_BASIC_INFO, &count, &array, &ints));
	CHECK(ints == count * PROCESSOR_BASIC_INFO_COUNT);
	if (failures == 0)
		CHECK(((processor_basic_info_t)array)[0].is_master && ((processor_basic_info_t)array)[0].running);
	RETURNS(KERN_SUCCESS, vm_deallocate(mach_task_self(), (vm_address_t)array, ints * sizeof(integer_t)));

	array = NULL;
	RETURNS(KERN_INVALID_ARGUMENT, host_processor_info(host, 99, &count, &array, &ints));
	RETURNS(KERN_INVALID_ARGUMENT, host_processor_info(host, PROCESSOR_CPU_LOAD_INFO, NULL, &array, &ints));
	RETURNS(KERN_INVALID_ARGUMENT, host_processor_info(host, PROCESSOR_CPU_LOAD_INFO, &count, NULL, &ints));
	RETURNS(KERN_INVALID_ARGUMENT, host_processor_info(host, PROCESSOR_CPU_LOAD_INFO, &count, &array, NULL));
	CHECK(array == NULL);
}

static void version(mach_port_t host)
{
	kernel_version_t text;
	struct utsname name;

	memset(text, 0x5a, sizeof text);
	RETURNS(KERN_SUCCESS, host_kernel_version(host, text));
	CHECK(uname(&name) == 0 && strstr(text, name.release) != NULL && strstr(text, name.version) != NULL);
	CHECK(text[sizeof text - 1] == 0);
	RETURNS(KERN_INVALID_ARGUMENT, host_kernel_version(host, NULL));
}

static void refused(mach_port_t host)
{
	mach_msg_type_number_t count = 64;
	kernel_version_t text;
	int room[64];

	room[0] = 7;
	RETURNS(KERN_INVALID_ARGUMENT, host_kernel_version(mach_task_self(), text));
	RETURNS(MACH_SEND_INVALID_DEST, host_kernel_version(HOST_NULL, text));
	RETURNS(MACH_SEND_INVALID_DEST, host_info(HOST_NULL, HOST_BASIC_INFO, room, &count));
	RETURNS(MACH_SEND_INVALID_DEST, host_statistics(HOST_NULL, HOST_VM_INFO, room, &count));
	RETURNS(KERN_INVALID_ARGUMENT, host_info(mach_task_self(), HOST_BASIC_INFO, room, &count));
	RETURNS(KERN_INVALID_HOST, host_statistics(mach_task_self(), HOST_VM_INFO, room, &count));
	RETURNS(KERN_INVALID_HOST, host_statistics64(mach_task_self(), HOST_VM_INFO64, room, &count));
	RETURNS(KERN_INVALID_ARGUMENT, host_info(host, 99, room, &count));
	RETURNS(KERN_INVALID_ARGUMENT, host_statistics(host, HOST_VM_INFO64, room, &count));
	RETURNS(KERN_INVALID_ARGUMENT, host_statistics64(host, 99, room, &count));
	RETURNS(KERN_INVALID_ARGUMENT, host_info(host, HOST_BASIC_INFO, NULL, &count));
	RETURNS(KERN_INVALID_ARGUMENT, host_info(host, HOST_BASIC_INFO, room, NULL));
	RETURNS(KERN_INVALID_ARGUMENT, host_statistics64(host, HOST_VM_INFO64, NULL, &count));
	RETURNS(KERN_INVALID_ARGUMENT, host_statistics64(host, HOST_VM_INFO64, room, NULL));
	CHECK(count == 64);
	count = 4;
	RETURNS(KERN_FAILURE, host_info(host, HOST_BASIC_INFO, room, &count));
	RETURNS(KERN_FAILURE, host_statistics(host, HOST_LOAD_INFO, room, &count));
	RETURNS(KERN_FAILURE, host_statistics64(host, HOST_VM_INFO64, room, &count));
	CHECK(count == 4 && room[0] == 7);
}

int main(int argc, char **argv)
{
	mach_port_t host = mach_host_self();
	int status = -1;
	pid_t child;

	begin(argc, argv);
	info(host);
	load(host);
	memory(host);
	processors(host);
	version(host);
	refused(host);
	/* It is /proc that tells, also in the child of a fork. */
	child = fork_with_us();
	if (child == 0) {
		info(host);
		load(host);
		memory(host);
		version(host);
		_exit(failures != 0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	return failures != 0;
}
