/* SPDX-License-Identifier: Apache-2.0 */
/* task_info with each flavor. */
#include "../check.h"

#include <pthread.h>

/* A size that /proc/PID/status tells, in bytes. */
static uint64_t status_of(const char *label)
{
	char path[64], line[256];
	uint64_t value = 0;
	FILE *status;

	snprintf(path, sizeof path, "/proc/%d/status", target_pid);
	status = fopen(path, "r");
	while (status != NULL && fgets(line, sizeof line, status) != NULL)
		if (strncmp(line, label, strlen(label)) == 0)
			value = strtoull(line + strlen(label), NULL, 10) << 10;
	if (status != NULL)
		fclose(status);
	return value;
}

static uint64_t clock_now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int near(uint64_t a, uint64_t b) { return a < b + (1 << 22) && b < a + (1 << 22); }

static void *spend(void *unused)
{
	uint64_t end = clock_now(CLOCK_THREAD_CPUTIME_ID) + 60000000;

	while (clock_now(CLOCK_THREAD_CPUTIME_ID) < end)
		;
	return unused;
}

static int64_t micros(time_value_t t) { return (int64_t)t.seconds * 1000000 + t.microseconds; }

/* What a thread has used is told with the living, and when it has ended with the others. */
static void times(void)
{
	mach_port_t self = mach_task_self();
	task_thread_times_info_data_t living;
	task_absolutetime_info_data_t absolute;
	task_basic_info_data_t ended;
	mach_msg_type_number_t count = TASK_BASIC_INFO_COUNT;
	pthread_t thread;
	int64_t before;

	RETURNS(KERN_SUCCESS, task_info(self, TASK_BASIC_INFO, (task_info_t)&ended, &count));
	/* The library may have threads that have ended. */
	before = micros(ended.user_time) + micros(ended.system_time);
	spend(NULL);
	count = TASK_THREAD_TIMES_INFO_COUNT + 1;
	RETURNS(KERN_SUCCESS, task_info(self, TASK_THREAD_TIMES_INFO, (task_info_t)&living, &count));
	CHECK(count == TASK_THREAD_TIMES_INFO_COUNT && micros(living.user_time) + micros(living.system_time) >= 20000);
	CHECK(living.user_time.microseconds < TIME_MICROS_MAX && living.system_time.microseconds < TIME_MICROS_MAX);

	pthread_create(&thread, NULL, spend, NULL);
	pthread_join(thread, NULL);
	count = TASK_BASIC_INFO_COUNT;
	WAIT_FOR(task_info(self, TASK_BASIC_INFO, (task_info_t)&ended, &count) != KERN_SUCCESS ||
		micros(ended.user_time) + micros(ended.system_time) >= before + 20000);
	count = TASK_ABSOLUTETIME_INFO_COUNT;
	RETURNS(KERN_SUCCESS, task_info(self, TASK_ABSOLUTETIME_INFO, (task_info_t)&absolute, &count));
	CHECK(count == 8 && absolute.threads_user + absolute.threads_system >= 20000000);
	CHECK(absolute.total_user + absolute.total_system >= absolute.threads_user + absolute.threads_system + 20000000);
}

static void events(void)
{
	task_events_info_data_t before, after;
	mach_msg_type_number_t count = TASK_EVENTS_INFO_COUNT;
	char *memory;
	size_t i;

	RETURNS(KERN_SUCCESS, task_info(mach_task_self(), TASK_EVENTS_INFO, (task_info_t)&before, &count));
	memory = (char *)mmap(NULL, PAGES(100), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(memory, PAGES(100), MADV_NOHUGEPAGE);
	for (i = 0; i < 100; i++)
		memory[PAGES(i)] = 1;
	usleep(1000);
	RETURNS(KERN_SUCCESS, task_info(mach_task_self(), TASK_EVENTS_INFO, (task_info_t)&after, &count));
	CHECK(count == 8 && after.faults - before.faults >= 100 && after.pageins >= before.pageins);
	CHECK(after.csw > 0 && after.messages_sent == 0 && after.syscalls_unix == 0);
	munmap(memory, PAGES(100));
}

static void vm(mach_port_t task)
{
	static const mach_msg_type_number_t revisions[] = { TASK_VM_INFO_REV0_COUNT, TASK_VM_INFO_REV1_COUNT,
		TASK_VM_INFO_REV2_COUNT, TASK_VM_INFO_REV3_COUNT, TASK_VM_INFO_REV4_COUNT, TASK_VM_INFO_REV5_COUNT,
		TASK_VM_INFO_REV6_COUNT, TASK_VM_INFO_REV7_COUNT };
	union {
		task_vm_info_data_t vm;
		int ints[TASK_VM_INFO_COUNT];
	} info;
	task_vm_info_data_t *vm_info = &info.vm;
	mach_msg_type_number_t count, i;

	for (i = 0; i < sizeof revisions / sizeof revisions[0]; i++) {
		memset(&info, 0x5a, sizeof info);
		/* The next is larger by 2 and more, or by 1. */
		count = revisions[i] + (i == 2);
		RETURNS(KERN_SUCCESS, task_info(task, TASK_VM_INFO, (task_info_t)&info, &count));
		CHECK(count == revisions[i]);
		CHECK(count == TASK_VM_INFO_COUNT || info.ints[count] == 0x5a5a5a5a);
	}
	CHECK(near(vm_info->virtual_size, status_of("VmSize:")) && near(vm_info->resident_size, status_of("VmRSS:")));
	CHECK(near(vm_info->resident_size_peak, status_of("VmHWM:")) && vm_info->page_size == (integer_t)vm_page_size);
	CHECK(near(vm_info->internal, status_of("RssAnon:") + status_of("RssShmem:")) && vm_info->internal > 0);
	CHECK(near(vm_info->external, status_of("RssFile:")) && vm_info->external > 0);
	CHECK(near(vm_info->compressed, status_of("VmSwap:")));
	CHECK(vm_info->phys_footprint == vm_info->internal + vm_info->compressed);
	CHECK(vm_info->region_count > 5 && vm_info->min_address < base && BEHIND < vm_info->max_address);
	CHECK((vm_info->max_address & (vm_info->max_address - 1)) == 0 && vm_info->ledger_swapins == 0);
	count = TASK_VM_INFO_COUNT;
	RETURNS(KERN_SUCCESS, task_info(task, TASK_VM_INFO_PURGEABLE, (task_info_t)&info, &count));
	CHECK(count == TASK_VM_INFO_COUNT && vm_info->region_count > 5);
	count = TASK_VM_INFO_REV0_COUNT - 1;
	RETURNS(KERN_INVALID_ARGUMENT, task_info(task, TASK_VM_INFO, (task_info_t)&info, &count));
	count = TASK_DYLD_INFO_COUNT;
	RETURNS(KERN_NOT_SUPPORTED, task_info(task, TASK_DYLD_INFO, (task_info_t)&info, &count));
}

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);
	mach_task_basic_info_data_t info;
	task_basic_info_64_data_t wide;
	task_basic_info_32_data_t narrow;
	mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT + 3;

	RETURNS(KERN_SUCCESS, task_info(task, MACH_TASK_BASIC_INFO, (task_info_t)&info, &count));
	CHECK(count == 12 && near(info.virtual_size, status_of("VmSize:")) && near(info.resident_size, status_of("VmRSS:")));
	CHECK(near(info.resident_size_max, status_of("VmHWM:")) && info.resident_size > 0);
	CHECK(info.suspend_count == 0 && info.policy == POLICY_TIMESHARE);
	count = TASK_BASIC_INFO_64_COUNT;
	RETURNS(KERN_SUCCESS, task_info(task, TASK_BASIC_INFO_64, (task_info_t)&wide, &count));
	CHECK(count == 10 && near(wide.virtual_size, info.virtual_size) && near(wide.resident_size, info.resident_size));
	count = TASK_BASIC_INFO_32_COUNT;
	RETURNS(KERN_SUCCESS, task_info(task, TASK_BASIC_INFO_32, (task_info_t)&narrow, &count));
	CHECK(count == 8 && near(narrow.resident_size, info.resident_size));
	CHECK(narrow.virtual_size == (info.virtual_size >> 32 ? UINT32_MAX : (natural_t)info.virtual_size));

	RETURNS(KERN_SUCCESS, task_suspend(task));
	RETURNS(KERN_SUCCESS, task_suspend(task));
	count = MACH_TASK_BASIC_INFO_COUNT;
	RETURNS(KERN_SUCCESS, task_info(task, MACH_TASK_BASIC_INFO, (task_info_t)&info, &count));
	CHECK(info.suspend_count == 2);
	RETURNS(KERN_SUCCESS, task_resume(task));
	RETURNS(KERN_SUCCESS, task_resume(task));

	times();
	events();
	vm(task);

	count = MACH_TASK_BASIC_INFO_COUNT - 1;
	info.virtual_size = 7;
	RETURNS(KERN_INVALID_ARGUMENT, task_info(task, MACH_TASK_BASIC_INFO, (task_info_t)&info, &count));
	count = TASK_INFO_MAX;
	RETURNS(KERN_INVALID_ARGUMENT, task_info(task, 9999, (task_info_t)&info, &count));
	RETURNS(KERN_INVALID_ARGUMENT, task_info(task, MACH_TASK_BASIC_INFO, NULL, &count));
	RETURNS(KERN_INVALID_ARGUMENT, task_info(task, MACH_TASK_BASIC_INFO, (task_info_t)&info, NULL));
	RETURNS(MACH_SEND_INVALID_DEST, task_info(TASK_NULL, MACH_TASK_BASIC_INFO, (task_info_t)&info, &count));
	CHECK(info.virtual_size == 7 && count == TASK_INFO_MAX);
	return failures != 0;
}
