/* SPDX-License-Identifier: Apache-2.0 */
/* thread_info with each flavor. */
#include "../threads.h"

static thread_basic_info_data_t basic_of(thread_act_t thread)
{
	mach_msg_type_number_t room = THREAD_BASIC_INFO_COUNT;
	thread_basic_info_data_t info;

	memset(&info, 0, sizeof info);
	RETURNS(KERN_SUCCESS, thread_info(thread, THREAD_BASIC_INFO, (thread_info_t)&info, &room));
	CHECK(room == THREAD_BASIC_INFO_COUNT && info.policy == POLICY_TIMESHARE && info.flags == 0 && info.sleep_time == 0);
	CHECK(info.cpu_usage >= 0 && info.cpu_usage <= TH_USAGE_SCALE);
	return info;
}

static uint64_t microseconds(time_value_t t) { return (uint64_t)t.seconds * TIME_MICROS_MAX + (uint64_t)t.microseconds; }

int main(int argc, char **argv)
{
	mach_port_t task;
	thread_act_t waiting, self = mach_thread_self();
	thread_identifier_info_data_t identifier;
	thread_extended_info_data_t extended;
	thread_info_data_t data;
	mach_msg_type_number_t room = THREAD_INFO_MAX;
	volatile unsigned spin;

	begin(argc, argv);
	task = start_child();
	waiting = thread_with(task, shared->waiting);
	RETURNS(KERN_SUCCESS, thread_info(waiting, THREAD_IDENTIFIER_INFO, data, &room));
	CHECK(room == THREAD_IDENTIFIER_INFO_COUNT);
	memcpy(&identifier, data, sizeof identifier);
	CHECK(identifier.thread_id == (uint64_t)shared->waiting && identifier.thread_handle == 0);

	WAIT_FOR(basic_of(waiting).run_state == TH_STATE_WAITING);
	CHECK(basic_of(waiting).suspend_count == 0);
	RETURNS(KERN_SUCCESS, thread_suspend(waiting));
	RETURNS(KERN_SUCCESS, thread_suspend(waiting));
	CHECK(basic_of(waiting).suspend_count == 2 && basic_of(waiting).run_state == TH_STATE_STOPPED);
	RETURNS(KERN_SUCCESS, thread_resume(waiting));
	RETURNS(KERN_SUCCESS, thread_resume(waiting));

	/* This thread runs, and the time that it has spent shows. */
	CHECK(basic_of(self).run_state == TH_STATE_RUNNING);
	do
		for (spin = 0; spin < 1000000; spin++)
			;
	while (!failures && microseconds(basic_of(self).user_time) < 20000);
	prctl(PR_SET_NAME, "named");
	room = THREAD_EXTENDED_INFO_COUNT;
	RETURNS(KERN_SUCCESS, thread_info(self, THREAD_EXTENDED_INFO, (thread_info_t)&extended, &room));
	CHECK(room == 28 && strcmp(extended.pth_name, "named") == 0 && extended.pth_run_state == TH_STATE_RUNNING);
	CHECK(extended.pth_user_time >= 20000000 && extended.pth_priority == 31 && extended.pth_curpri == 31);

	room = THREAD_BASIC_INFO_COUNT - 1;
	RETURNS(KERN_INVALID_ARGUMENT, thread_info(self, THREAD_BASIC_INFO, data, &room));
	room = THREAD_INFO_MAX;
	RETURNS(KERN_INVALID_ARGUMENT, thread_info(self, 9999, data, &room));
	RETURNS(KERN_INVALID_ARGUMENT, thread_info(self, THREAD_BASIC_INFO, NULL, &room));
	RETURNS(KERN_INVALID_ARGUMENT, thread_info(self, THREAD_BASIC_INFO, data, NULL));
	RETURNS(KERN_INVALID_ARGUMENT, thread_info(task, THREAD_BASIC_INFO, data, &room));
	RETURNS(MACH_SEND_INVALID_DEST, thread_info(THREAD_NULL, THREAD_BASIC_INFO, data, &room));
	end_child();
	RETURNS(KERN_INVALID_ARGUMENT, thread_info(waiting, THREAD_BASIC_INFO, data, &room));
	CHECK(room == THREAD_INFO_MAX);
	return failures != 0;
}
