/* SPDX-License-Identifier: Apache-2.0 */
/* task_info with each flavor. */
#include "../check.h"

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

static int near(uint64_t a, uint64_t b) { return a < b + (1 << 22) && b < a + (1 << 22); }

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);
	mach_task_basic_info_data_t info;
	task_basic_info_64_data_t wide;
	task_basic_info_32_data_t narrow;
	task_basic_info_data_t own;
	mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT + 3;
	volatile unsigned spin;

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

	/* Time that this process has spent shows. */
	count = TASK_BASIC_INFO_COUNT;
	do {
		for (spin = 0; spin < 1000000; spin++)
			;
		RETURNS(KERN_SUCCESS, task_info(mach_task_self(), TASK_BASIC_INFO, (task_info_t)&own, &count));
	} while (!failures && own.user_time.seconds == 0 && own.user_time.microseconds < 20000);
	CHECK(own.user_time.microseconds < TIME_MICROS_MAX && own.system_time.microseconds < TIME_MICROS_MAX);

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
