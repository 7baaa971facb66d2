/* SPDX-License-Identifier: Apache-2.0 */
/* mach_thread_self. */
#include "../threads.h"

static thread_act_t of_other;

static void *other(void *unused)
{
	(void)unused;
	of_other = mach_thread_self();
	return NULL;
}

int main(int argc, char **argv)
{
	thread_act_t self = mach_thread_self();
	mach_port_urefs_t refs = 0;
	mach_msg_type_number_t room = THREAD_IDENTIFIER_INFO_COUNT;
	thread_identifier_info_data_t info;
	pthread_t thread;

	begin(argc, argv);
	CHECK(MACH_PORT_VALID(self) && self != mach_task_self());
	CHECK(mach_thread_self() == self);
	RETURNS(KERN_SUCCESS, mach_port_get_refs(mach_task_self(), self, MACH_PORT_RIGHT_SEND, &refs));
	CHECK(refs == 2);
	RETURNS(KERN_SUCCESS, thread_info(self, THREAD_IDENTIFIER_INFO, (thread_info_t)&info, &room));
	CHECK(info.thread_id == (uint64_t)syscall(SYS_gettid));
	RETURNS(KERN_SUCCESS, mach_port_mod_refs(mach_task_self(), self, MACH_PORT_RIGHT_SEND, -2));
	RETURNS(MACH_SEND_INVALID_DEST, thread_info(self, THREAD_IDENTIFIER_INFO, (thread_info_t)&info, &room));

	CHECK(pthread_create(&thread, NULL, other, NULL) == 0 && pthread_join(thread, NULL) == 0);
	CHECK(MACH_PORT_VALID(of_other) && of_other != mach_thread_self());
	/* It has ended, which the kernel may show a moment later than pthread_join. */
	WAIT_FOR(thread_info(of_other, THREAD_IDENTIFIER_INFO, (thread_info_t)&info, &room) == KERN_TERMINATED);
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), of_other));
	return failures != 0;
}
