/* SPDX-License-Identifier: Apache-2.0 */
/* task_info: a task in the layout that the caller asks for. */
#include <mach/mach.h>
#include <stddef.h>
#include <string.h>

#include "_cgo_export.h"

typedef struct machcompat_task task_facts;

static time_value_t time_value(uint64_t nanoseconds)
{
	time_value_t t = { (integer_t)(nanoseconds / 1000000000), (integer_t)(nanoseconds % 1000000000 / 1000) };
	return t;
}

static natural_t at_most_32_bits(uint64_t size) { return size > UINT32_MAX ? UINT32_MAX : (natural_t)size; }

static integer_t at_most_31_bits(uint64_t count) { return count > INT32_MAX ? INT32_MAX : (integer_t)count; }

/* Of the threads that have ended, which a program adds to those that live. */
static time_value_t ended_user(const task_facts *t) { return time_value(t->user - t->threads_user); }
static time_value_t ended_system(const task_facts *t) { return time_value(t->system - t->threads_system); }

static void fill_basic_32(void *out, const task_facts *t)
{
	struct task_basic_info_32 info = { t->suspend_count, at_most_32_bits(t->virtual_size),
		at_most_32_bits(t->resident_size), ended_user(t), ended_system(t), POLICY_TIMESHARE };

	memcpy(out, &info, sizeof info);
}

static void fill_basic_64(void *out, const task_facts *t)
{
	struct task_basic_info_64 info = { t->suspend_count, t->virtual_size, t->resident_size, ended_user(t),
		ended_system(t), POLICY_TIMESHARE };

	memcpy(out, &info, sizeof info);
}

static void fill_mach_basic(void *out, const task_facts *t)
{
	struct mach_task_basic_info info = { t->virtual_size, t->resident_size, t->resident_size_max, ended_user(t),
		ended_system(t), POLICY_TIMESHARE, t->suspend_count };

	memcpy(out, &info, sizeof info);
}

static void fill_absolute_time(void *out, const task_facts *t)
{
	struct task_absolutetime_info info = { t->user, t->system, t->threads_user, t->threads_system };

	memcpy(out, &info, sizeof info);
}

static void fill_thread_times(void *out, const task_facts *t)
{
	struct task_thread_times_info info = { time_value(t->threads_user), time_value(t->threads_system) };

	memcpy(out, &info, sizeof info);
}

static void fill_events(void *out, const task_facts *t)
{
	struct task_events_info info;

	memset(&info, 0, sizeof info);
	info.faults = at_most_31_bits(t->faults);
	info.pageins = at_most_31_bits(t->pageins);
	info.csw = at_most_31_bits(t->switches);
	memcpy(out, &info, sizeof info);
}

static void fill_vm(void *out, const task_facts *t)
{
	struct task_vm_info info;

	memset(&info, 0, sizeof info);
	info.virtual_size = t->virtual_size;
	info.region_count = at_most_31_bits(t->regions);
	info.page_size = (integer_t)vm_page_size;
	info.resident_size = t->resident_size;
	info.resident_size_peak = t->resident_size_max;
	info.internal = info.internal_peak = t->anonymous + t->shared;
	info.external = info.external_peak = t->file;
	info.compressed = info.compressed_peak = info.compressed_lifetime = t->swapped;
	info.phys_footprint = info.internal + info.compressed;
	info.ledger_phys_footprint_peak = (int64_t)info.phys_footprint;
	info.min_address = t->lowest;
	info.max_address = t->limit;
	memcpy(out, &info, sizeof info);
}

/* The numbers of the 64-bit flavor on the two families of processors. */
enum { BASIC_INFO_64_INTEL = 5, BASIC_INFO_64_ARM = 18 };

#define VM_INFO_COUNTS \
	{ TASK_VM_INFO_REV7_COUNT, TASK_VM_INFO_REV6_COUNT, TASK_VM_INFO_REV5_COUNT, TASK_VM_INFO_REV4_COUNT, \
		TASK_VM_INFO_REV3_COUNT, TASK_VM_INFO_REV2_COUNT, TASK_VM_INFO_REV1_COUNT, TASK_VM_INFO_REV0_COUNT, 0 }

static const struct flavor {
	task_flavor_t number;
	int wants;
	void (*fill)(void *out, const task_facts *t);
	mach_msg_type_number_t counts[9]; /* of its revisions in ints, the latest first, then 0 */
} flavors[] = {
	{ TASK_BASIC_INFO_32, MACHCOMPAT_THREADS, fill_basic_32, { TASK_BASIC_INFO_32_COUNT, 0 } },
	{ BASIC_INFO_64_INTEL, MACHCOMPAT_THREADS, fill_basic_64, { TASK_BASIC_INFO_64_COUNT, 0 } },
	{ BASIC_INFO_64_ARM, MACHCOMPAT_THREADS, fill_basic_64, { TASK_BASIC_INFO_64_COUNT, 0 } },
	{ MACH_TASK_BASIC_INFO, MACHCOMPAT_THREADS, fill_mach_basic, { MACH_TASK_BASIC_INFO_COUNT, 0 } },
	{ TASK_ABSOLUTETIME_INFO, MACHCOMPAT_THREADS, fill_absolute_time, { TASK_ABSOLUTETIME_INFO_COUNT, 0 } },
	{ TASK_THREAD_TIMES_INFO, MACHCOMPAT_THREADS, fill_thread_times, { TASK_THREAD_TIMES_INFO_COUNT, 0 } },
	{ TASK_EVENTS_INFO, MACHCOMPAT_THREADS, fill_events, { TASK_EVENTS_INFO_COUNT, 0 } },
	{ TASK_VM_INFO, MACHCOMPAT_REGIONS, fill_vm, VM_INFO_COUNTS },
	{ TASK_VM_INFO_PURGEABLE, MACHCOMPAT_REGIONS, fill_vm, VM_INFO_COUNTS },
};

kern_return_t task_info(task_name_t target_task, task_flavor_t flavor, task_info_t task_info_out,
	mach_msg_type_number_t *task_info_outCnt)
{
	const struct flavor *f = flavors, *end = flavors + sizeof flavors / sizeof flavors[0];
	int32_t filled[TASK_VM_INFO_COUNT]; /* the largest */
	mach_msg_type_number_t count;
	task_facts task;
	kern_return_t kr;

	if (task_info_out == NULL || task_info_outCnt == NULL)
		return KERN_INVALID_ARGUMENT;
	if (flavor == TASK_DYLD_INFO)
		return KERN_NOT_SUPPORTED;
	while (f < end && f->number != flavor)
		f++;
	count = f == end ? 0 : machcompat_fitting(f->counts, *task_info_outCnt);
	if (count == 0)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	memset(&task, 0, sizeof task);
	kr = machcompatTaskInfo(target_task, f->wants, &task);
	if (kr != KERN_SUCCESS)
		return kr;
	f->fill(filled, &task);
	/* task_info_out need not be aligned as the struct is. */
	memcpy(task_info_out, filled, count * sizeof filled[0]);
	*task_info_outCnt = count;
	return KERN_SUCCESS;
}
