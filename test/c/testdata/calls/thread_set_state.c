/* SPDX-License-Identifier: Apache-2.0 */
/* thread_set_state: a thread that waits is sent elsewhere, and back. */
#include "../registers.h"

static void land(void)
{
	for (;; usleep(1000))
		shared->landed++;
}

static void got(int all)
{
	CHECK(write(shared->bytes[1], "\1", 1) == 1);
	WAIT_FOR(shared->got == all);
}

static void set(thread_act_t thread, state_t state)
{
	RETURNS(KERN_SUCCESS, thread_set_state(thread, FLAVOR, (thread_state_t)&state, COUNT));
}

int main(int argc, char **argv)
{
	mach_port_t task;
	thread_act_t thread;
	state_t state, away;
	unified_t unified;
	int i;

	begin(argc, argv);
	task = start_child();
	thread = thread_with(task, shared->waiting);
	wait_for_read(shared->waiting);
	/* What is set as it was found changes nothing. */
	for (i = 0; i < 20; i++) {
		set(thread, state_of(thread));
		got(i + 1);
		wait_for_read(shared->waiting);
	}

	/* Elsewhere, out of a call that would be made again. */
	RETURNS(KERN_SUCCESS, thread_suspend(thread));
	state = state_of(thread);
	away = state;
	PC(away) = (uintptr_t)land;
	SP(away) = ((SP(state) - 4096) & ~(uint64_t)15) - BELOW_A_CALL;
	set(thread, away);
	away = state_of(thread);
	CHECK(PC(away) == (uintptr_t)land);
	RETURNS(KERN_SUCCESS, thread_resume(thread));
	WAIT_FOR(shared->landed > 3);
	CHECK(shared->got == 20);
	/* And back, into the call. */
	RETURNS(KERN_SUCCESS, thread_suspend(thread));
	memset(&unified, 0, sizeof unified);
	HEADER(unified).flavor = FLAVOR;
	HEADER(unified).count = COUNT;
	UNIFIED(unified) = state;
	RETURNS(KERN_SUCCESS, thread_set_state(thread, MACHINE_THREAD_STATE, (thread_state_t)&unified, MACHINE_THREAD_STATE_COUNT));
	i = shared->landed;
	RETURNS(KERN_SUCCESS, thread_resume(thread));
	got(21);
	CHECK(shared->landed == i);
	wait_for_read(shared->waiting);

	RETURNS(KERN_INVALID_ARGUMENT, thread_set_state(thread, FLAVOR, (thread_state_t)&state, COUNT - 1));
#if defined(__x86_64__)
	away = state;
	PC(away) = (uint64_t)1 << 63;
	RETURNS(KERN_INVALID_ARGUMENT, thread_set_state(thread, FLAVOR, (thread_state_t)&away, COUNT));
	away = state;
	SP(away) = (uint64_t)1 << 63;
	RETURNS(KERN_INVALID_ARGUMENT, thread_set_state(thread, FLAVOR, (thread_state_t)&away, COUNT));
#endif
	RETURNS(KERN_INVALID_ARGUMENT, thread_set_state(thread, THREAD_STATE_NONE, (thread_state_t)&state, COUNT));
	RETURNS(KERN_INVALID_ARGUMENT, thread_set_state(thread, FLAVOR, NULL, COUNT));
	HEADER(unified).count--;
	RETURNS(KERN_INVALID_ARGUMENT, thread_set_state(thread, MACHINE_THREAD_STATE, (thread_state_t)&unified, MACHINE_THREAD_STATE_COUNT));
	RETURNS(KERN_INVALID_ARGUMENT, thread_set_state(task, FLAVOR, (thread_state_t)&state, COUNT));
	RETURNS(MACH_SEND_INVALID_DEST, thread_set_state(THREAD_NULL, FLAVOR, (thread_state_t)&state, COUNT));
	RETURNS(KERN_NOT_SUPPORTED, thread_set_state(mach_thread_self(), FLAVOR, (thread_state_t)&state, COUNT));
	got(22);
	end_child();
	RETURNS(KERN_INVALID_ARGUMENT, thread_set_state(thread, FLAVOR, (thread_state_t)&state, COUNT));
	return failures != 0;
}
