/* SPDX-License-Identifier: Apache-2.0 */
/* thread_get_state. */
#include "../registers.h"

int main(int argc, char **argv)
{
	mach_port_t task;
	thread_act_t thread;
	mach_msg_type_number_t room;
	thread_state_data_t data;
	unified_t unified;
	state_t state, again;

	begin(argc, argv);
	task = start_child();
	target_pid = child; /* for perms */
	thread = thread_with(task, shared->waiting);
	wait_for_read(shared->waiting);
	state = state_of(thread);
	CHECK(strcmp(perms(PC(state)), "r-xp") == 0 && strcmp(perms(SP(state)), "rw-p") == 0);
	/* It waits on, and shows the same again: that it is about to make the call. */
	again = state_of(thread);
	CHECK(memcmp(&state, &again, sizeof state) == 0);
#if defined(__x86_64__)
	CHECK(state.__rax == SYS_read && (int)state.__rdi == shared->bytes[0] && state.__rdx == 1 && (state.__cs & 3) == 3);
#else
	CHECK(state.__x[8] == SYS_read && (int)state.__x[0] == shared->bytes[0] && state.__x[2] == 1);
#endif
	CHECK(write(shared->bytes[1], "\5", 1) == 1);
	WAIT_FOR(shared->got == 5);

	/* The other flavor, with a header, and more room than is needed. */
	wait_for_read(shared->waiting);
	room = THREAD_STATE_MAX;
	RETURNS(KERN_SUCCESS, thread_get_state(thread, MACHINE_THREAD_STATE, data, &room));
	CHECK(room == MACHINE_THREAD_STATE_COUNT);
	memcpy(&unified, data, sizeof unified);
	CHECK(HEADER(unified).flavor == FLAVOR && HEADER(unified).count == COUNT && PC(UNIFIED(unified)) == PC(state));
	/* One that stays suspended, and a whole task that does. */
	RETURNS(KERN_SUCCESS, thread_suspend(thread));
	state = state_of(thread);
	again = state_of(thread);
	CHECK(memcmp(&state, &again, sizeof state) == 0);
	RETURNS(KERN_SUCCESS, task_suspend(task));
	again = state_of(thread);
	CHECK(memcmp(&state, &again, sizeof state) == 0);
	RETURNS(KERN_SUCCESS, task_resume(task));
	RETURNS(KERN_SUCCESS, thread_resume(thread));
	/* One that runs. */
	state = state_of(thread_with(task, shared->tids[0]));
	CHECK(PC(state) != 0 && SP(state) != 0);
	WAIT_FOR(counts(0));

	room = COUNT - 1;
	PC(state) = 7;
	RETURNS(KERN_INVALID_ARGUMENT, thread_get_state(thread, FLAVOR, (thread_state_t)&state, &room));
	room = THREAD_STATE_MAX;
	RETURNS(KERN_INVALID_ARGUMENT, thread_get_state(thread, THREAD_STATE_NONE, data, &room));
	RETURNS(KERN_INVALID_ARGUMENT, thread_get_state(thread, -1, data, &room));
	RETURNS(KERN_INVALID_ARGUMENT, thread_get_state(thread, FLAVOR, NULL, &room));
	RETURNS(KERN_INVALID_ARGUMENT, thread_get_state(thread, FLAVOR, (thread_state_t)&state, NULL));
	RETURNS(KERN_INVALID_ARGUMENT, thread_get_state(task, FLAVOR, (thread_state_t)&state, &room));
	RETURNS(MACH_SEND_INVALID_DEST, thread_get_state(THREAD_NULL, FLAVOR, (thread_state_t)&state, &room));
	RETURNS(KERN_NOT_SUPPORTED, thread_get_state(mach_thread_self(), FLAVOR, (thread_state_t)&state, &room));
	end_child();
	RETURNS(KERN_INVALID_ARGUMENT, thread_get_state(thread, FLAVOR, (thread_state_t)&state, &room));
	CHECK(PC(state) == 7 && room == THREAD_STATE_MAX);
	return failures != 0;
}
