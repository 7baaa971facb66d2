/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of mach/mach_host.h but for host_page_size. What they tell is in /proc and
 * /sys, and has nothing to do with a task.
 */
#define _GNU_SOURCE /* getloadavg */
#include <mach/mach.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bridge.h"

static natural_t at_most_32_bits(uint64_t n) { return n > UINT32_MAX ? UINT32_MAX : (natural_t)n; }

/* macOS tells of an Intel processor without the bit for 64 bits. */
static cpu_type_t cpu_type(void)
{
#if defined(__x86_64__)
	return CPU_TYPE_X86;
#else
	return CPU_TYPE_ARM64;
#endif
}

static cpu_subtype_t cpu_subtype(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") ? CPU_SUBTYPE_X86_64_H
									       : CPU_SUBTYPE_X86_ARCH1;
#else
	return CPU_SUBTYPE_ARM64_V8;
#endif
}

/* The first processor that shares a core with one; -1 if that is offline or not told. */
static int first_of_core(long processor)
{
	char path[96];
	int first = -1;
	FILE *file;

	snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%ld/topology/thread_siblings_list", processor);
	file = fopen(path, "re");
	if (file == NULL)
		return -1;
	if (fscanf(file, "%d", &first) != 1)
		first = -1;
	fclose(file);
	return first;
}

static void fill_basic(struct host_basic_info *info)
{
	long max = sysconf(_SC_NPROCESSORS_CONF), online = sysconf(_SC_NPROCESSORS_ONLN), processor, cores = 0;
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * vm_page_size;
	const uint64_t most = (uint64_t)2 << 30;

	for (processor = 0; processor < max; processor++)
		cores += first_of_core(processor) == processor;
	if (cores == 0)
		cores = online;
	info->max_cpus = (integer_t)max;
	info->avail_cpus = (integer_t)online;
	info->memory_size = (natural_t)(memory > most ? most : memory);
	info->cpu_type = cpu_type();
	info->cpu_subtype = cpu_subtype();
	info->cpu_threadtype = cpu_type() == CPU_TYPE_X86 && cores < online ? CPU_THREADTYPE_INTEL_HTT
									    : CPU_THREADTYPE_NONE;
	info->physical_cpu = (integer_t)cores;
	info->physical_cpu_max = (integer_t)(cores + max - online);
	info->logical_cpu = (integer_t)online;
	info->logical_cpu_max = (integer_t)max;
	info->max_mem = memory;
}

static void fill_sched(struct host_sched_info *info)
{
	struct timespec slice = { 0, 0 };

	sched_rr_get_interval(0, &slice);
	info->min_quantum = (integer_t)(slice.tv_sec * 1000 + (slice.tv_nsec + 999999) / 1000000);
	info->min_timeout = info->min_quantum;
}

static const struct host_priority_info priorities = { 80, 80, 64, 31, 0, 0, 0, 79 };

/*
 * Puts the numbers of a file of lines "name number", with ":" and " kB" perhaps, where
 * names has that name. Others stay. 0: the file can't be read.
 */
static int read_numbers(const char *path, const char *const *names, uint64_t *numbers)
{
	FILE *file = fopen(path, "re");
	char line[256], name[64];
	unsigned long long number;
	int i;

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof line, file) != NULL) {
		if (sscanf(line, "%63[^: ]%*[: ]%llu", name, &number) != 2)
			continue;
		for (i = 0; names[i] != NULL; i++)
			if (strcmp(name, names[i]) == 0)
				numbers[i] = number;
	}
	fclose(file);
	return 1;
}

static int fill_vm(struct vm_statistics64 *info)
{
	enum { TOTAL, FREE, ACTIVE, INACTIVE, ACTIVE_FILE, INACTIVE_FILE, ACTIVE_ANON, INACTIVE_ANON, ZSWAP, ZSWAPPED };
	static const char *const sizes[] = { "MemTotal", "MemFree", "Active", "Inactive", "Active(file)", "Inactive(file)",
		"Active(anon)", "Inactive(anon)", "Zswap", "Zswapped", NULL };
	enum { PAGES_IN, PAGES_OUT, SWAPPED_IN, SWAPPED_OUT, ACTIVATED, FAULTS, ZSWAP_IN, ZSWAP_OUT };
	static const char *const events[] = { "pgpgin", "pgpgout", "pswpin", "pswpout", "pgactivate", "pgfault", "zswpin",
		"zswpout", NULL };
	uint64_t size[sizeof sizes / sizeof sizes[0]] = { 0 }, event[sizeof events / sizeof events[0]] = { 0 };
	uint64_t kibs = vm_page_size >> 10, used;

	if (!read_numbers("/proc/meminfo", sizes, size) || !read_numbers("/proc/vmstat", events, event))
		return 0;
	used = size[FREE] + size[ACTIVE] + size[INACTIVE];
	info->free_count = at_most_32_bits(size[FREE] / kibs);
	info->active_count = at_most_32_bits(size[ACTIVE] / kibs);
	info->inactive_count = at_most_32_bits(size[INACTIVE] / kibs);
	info->wire_count = at_most_32_bits(used < size[TOTAL] ? (size[TOTAL] - used) / kibs : 0);
	info->reactivations = event[ACTIVATED];
	/* These two are in KiB. */
	info->pageins = event[PAGES_IN] / kibs;
	info->pageouts = event[PAGES_OUT] / kibs;
	info->faults = event[FAULTS];
	info->decompressions = event[ZSWAP_IN];
	info->compressions = event[ZSWAP_OUT];
	info->swapins = event[SWAPPED_IN];
	info->swapouts = event[SWAPPED_OUT];
	info->compressor_page_count = at_most_32_bits(size[ZSWAP] / kibs);
	info->external_page_count = at_most_32_bits((size[ACTIVE_FILE] + size[INACTIVE_FILE]) / kibs);
	info->internal_page_count = at_most_32_bits((size[ACTIVE_ANON] + size[INACTIVE_ANON]) / kibs);
	info->total_uncompressed_pages_in_compressor = size[ZSWAPPED] / kibs;
	return 1;
}

static void narrow(struct vm_statistics *info, const struct vm_statistics64 *wide)
{
	memset(info, 0, sizeof *info);
	info->free_count = wide->free_count;
	info->active_count = wide->active_count;
	info->inactive_count = wide->inactive_count;
	info->wire_count = wide->wire_count;
	info->reactivations = at_most_32_bits(wide->reactivations);
	info->pageins = at_most_32_bits(wide->pageins);
	info->pageouts = at_most_32_bits(wide->pageouts);
	info->faults = at_most_32_bits(wide->faults);
}

/* Takes the times of a line of /proc/stat, behind its name. */
static int parse_ticks(const char *text, unsigned int *ticks)
{
	unsigned long long user, nice, system, idle, wait = 0, hard = 0, soft = 0, stolen = 0;

	if (sscanf(text, "%llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait, &hard, &soft,
		    &stolen) < 4)
		return 0;
	ticks[CPU_STATE_USER] = (unsigned int)user;
	ticks[CPU_STATE_NICE] = (unsigned int)nice;
	ticks[CPU_STATE_SYSTEM] = (unsigned int)(system + hard + soft + stolen);
	ticks[CPU_STATE_IDLE] = (unsigned int)(idle + wait);
	return 1;
}

/*
 * Reads the times of all processors together, and of each, of which there are most and
 * an offline one has none.
 */
static int read_ticks(unsigned int *all, struct processor_cpu_load_info *each, long most)
{
	FILE *file = fopen("/proc/stat", "re");
	char line[512];
	int read = 0, at;
	long number;

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof line, file) != NULL) {
		at = 0;
		if (all != NULL && strncmp(line, "cpu ", 4) == 0)
			read = parse_ticks(line + 4, all);
		else if (each != NULL && sscanf(line, "cpu%ld %n", &number, &at) == 1 && at > 0 && number >= 0 && number < most)
			read |= parse_ticks(line + at, each[number].cpu_ticks);
	}
	fclose(file);
	return read;
}

static int fill_load(struct host_load_info *info)
{
	integer_t processors = (integer_t)sysconf(_SC_NPROCESSORS_ONLN) * LOAD_SCALE;
	double averages[3];
	int i;

	if (getloadavg(averages, 3) != 3)
		return 0;
	for (i = 0; i < 3; i++) {
		info->avenrun[i] = (integer_t)(averages[i] * LOAD_SCALE);
		if (info->avenrun[i] > processors)
			info->mach_factor[i] = (integer_t)((int64_t)processors * LOAD_SCALE / (info->avenrun[i] + LOAD_SCALE));
		else
			info->mach_factor[i] = processors - info->avenrun[i];
	}
	return 1;
}

/* The counts of the versions of each flavor, the latest first. */
static const uint32_t basic_counts[] = { HOST_BASIC_INFO_COUNT, 5, 0 };
static const uint32_t sched_counts[] = { HOST_SCHED_INFO_COUNT, 0 };
static const uint32_t priority_counts[] = { HOST_PRIORITY_INFO_COUNT, 0 };
static const uint32_t arch_counts[] = { HOST_PREFERRED_USER_ARCH_COUNT, 0 };
static const uint32_t load_counts[] = { HOST_LOAD_INFO_COUNT, 0 };
static const uint32_t cpu_load_counts[] = { HOST_CPU_LOAD_INFO_COUNT, 0 };
static const uint32_t vm_counts[] = { HOST_VM_INFO_REV2_COUNT, HOST_VM_INFO_REV1_COUNT, HOST_VM_INFO_REV0_COUNT, 0 };
static const uint32_t vm64_counts[] = { HOST_VM_INFO64_REV1_COUNT, HOST_VM_INFO64_REV0_COUNT, 0 };

/* Hands out as much of what was filled in as there is room for. */
static kern_return_t give(integer_t *out, mach_msg_type_number_t *count, const void *filled, const uint32_t *counts)
{
	uint32_t ints = machcompat_fitting(counts, *count);

	if (ints == 0)
		return KERN_FAILURE;
	memcpy(out, filled, ints * sizeof(integer_t));
	*count = ints;
	return KERN_SUCCESS;
}

kern_return_t host_info(host_t host, host_flavor_t flavor, host_info_t info, mach_msg_type_number_t *count)
{
	union {
		struct host_basic_info basic;
		struct host_sched_info sched;
		struct host_preferred_user_arch arch;
	} any;
	kern_return_t kr;

	if (info == NULL || count == NULL)
		return KERN_INVALID_ARGUMENT;
	kr = machcompat_check_host(host, KERN_INVALID_ARGUMENT);
	if (kr != KERN_SUCCESS)
		return kr;
	memset(&any, 0, sizeof any);
	switch (flavor) {
	case HOST_BASIC_INFO:
		fill_basic(&any.basic);
		return give(info, count, &any, basic_counts);
	case HOST_SCHED_INFO:
		fill_sched(&any.sched);
		return give(info, count, &any, sched_counts);
	case HOST_PRIORITY_INFO:
		return give(info, count, &priorities, priority_counts);
	case HOST_PREFERRED_USER_ARCH:
		any.arch.cpu_type = cpu_type();
		any.arch.cpu_subtype = cpu_subtype();
		return give(info, count, &any, arch_counts);
	}
	return KERN_INVALID_ARGUMENT;
}

static kern_return_t statistics(host_t host, host_flavor_t flavor, int wide, integer_t *info,
	mach_msg_type_number_t *count)
{
	struct host_cpu_load_info cpu_load;
	struct host_load_info load;
	struct vm_statistics64 vm64;
	struct vm_statistics vm;
	kern_return_t kr;

	if (info == NULL || count == NULL)
		return KERN_INVALID_ARGUMENT;
	kr = machcompat_check_host(host, KERN_INVALID_HOST);
	if (kr != KERN_SUCCESS)
		return kr;
	memset(&vm64, 0, sizeof vm64);
	switch (flavor) {
	case HOST_LOAD_INFO:
		return fill_load(&load) ? give(info, count, &load, load_counts) : KERN_FAILURE;
	case HOST_CPU_LOAD_INFO:
		return read_ticks(cpu_load.cpu_ticks, NULL, 0) ? give(info, count, &cpu_load, cpu_load_counts) : KERN_FAILURE;
	case HOST_VM_INFO:
		if (!fill_vm(&vm64))
			return KERN_FAILURE;
		narrow(&vm, &vm64);
		return give(info, count, &vm, vm_counts);
	case HOST_VM_INFO64:
		if (!wide)
			break;
		return fill_vm(&vm64) ? give(info, count, &vm64, vm64_counts) : KERN_FAILURE;
	}
	return KERN_INVALID_ARGUMENT;
}

kern_return_t host_statistics(host_t host, host_flavor_t flavor, host_info_t info, mach_msg_type_number_t *count)
{
	return statistics(host, flavor, 0, info, count);
}

kern_return_t host_statistics64(host_t host, host_flavor_t flavor, host_info64_t info, mach_msg_type_number_t *count)
{
	return statistics(host, flavor, 1, info, count);
}

kern_return_t host_kernel_version(host_t host, kernel_version_t out_version)
{
	char version[KERNEL_VERSION_MAX];
	struct utsname name;
	kern_return_t kr;

	if (out_version == NULL)
		return KERN_INVALID_ARGUMENT;
	kr = machcompat_check_host(host, KERN_INVALID_ARGUMENT);
	if (kr != KERN_SUCCESS)
		return kr;
	if (uname(&name) != 0)
		return KERN_FAILURE;
	memset(version, 0, sizeof version);
	snprintf(version, sizeof version, "%s Kernel Version %s: %s; %s", name.sysname, name.release, name.version,
		name.machine);
	memcpy(out_version, version, sizeof version);
	return KERN_SUCCESS;
}

/* Whether a processor runs, which an offline one has no times to show for. */
static boolean_t runs(const struct processor_cpu_load_info *load)
{
	return load->cpu_ticks[CPU_STATE_IDLE] != 0 || load->cpu_ticks[CPU_STATE_USER] != 0 ||
		load->cpu_ticks[CPU_STATE_SYSTEM] != 0;
}

kern_return_t host_processor_info(host_t host, processor_flavor_t flavor, natural_t *out_processor_count,
	processor_info_array_t *out_info, mach_msg_type_number_t *out_count)
{
	long processors = sysconf(_SC_NPROCESSORS_CONF), i;
	struct processor_cpu_load_info *loads;
	struct processor_basic_info *basic;
	size_t ints = flavor == PROCESSOR_BASIC_INFO ? PROCESSOR_BASIC_INFO_COUNT : PROCESSOR_CPU_LOAD_INFO_COUNT;
	kern_return_t kr;
	void *memory;

	if (out_processor_count == NULL || out_info == NULL || out_count == NULL)
		return KERN_INVALID_ARGUMENT;
	kr = machcompat_check_host(host, KERN_INVALID_ARGUMENT);
	if (kr != KERN_SUCCESS)
		return kr;
	if (flavor != PROCESSOR_BASIC_INFO && flavor != PROCESSOR_CPU_LOAD_INFO)
		return KERN_INVALID_ARGUMENT;
	ints *= (size_t)processors;
	loads = calloc((size_t)processors, sizeof *loads);
	if (loads == NULL)
		return KERN_RESOURCE_SHORTAGE;
	if (!read_ticks(NULL, loads, processors)) {
		free(loads);
		return KERN_FAILURE;
	}
	memory = mmap(NULL, ints * sizeof(integer_t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		free(loads);
		return KERN_RESOURCE_SHORTAGE;
	}
	if (flavor == PROCESSOR_CPU_LOAD_INFO)
		memcpy(memory, loads, ints * sizeof(integer_t));
	for (basic = memory, i = 0; flavor == PROCESSOR_BASIC_INFO && i < processors; i++) {
		basic[i].cpu_type = cpu_type();
		basic[i].cpu_subtype = cpu_subtype();
		basic[i].running = runs(&loads[i]);
		basic[i].slot_num = (int)i;
		basic[i].is_master = i == 0;
	}
	free(loads);
	*out_processor_count = (natural_t)processors;
	*out_info = memory;
	*out_count = (mach_msg_type_number_t)ints;
	return KERN_SUCCESS;
}
