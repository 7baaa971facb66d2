/* SPDX-License-Identifier: Apache-2.0 */
/* mach_thread_self. */
#include "../threads.h"

static thread_act_t of_other;

/* Each of many threads gives its name back, and there are names for all. */
static void *give_back(void *unused)
{
	thread_act_t self = mach_thread_self();

	(void)unused;
	CHECK(MACH_PORT_VALID(self));
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), self));
	CHECK(mach_thread_self() == self);
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), self));
	return NULL;
}

/* How often the name is in task_threads. */
static int among_threads(thread_act_t name)
{
	thread_act_array_t threads = NULL;
	mach_msg_type_number_t count = 0, i;
	int found = 0;

	RETURNS(KERN_SUCCESS, task_threads(mach_task_self(), &threads, &count));
	for (i = 0; i < count; i++) {
		found += threads[i] == name;
		mach_port_deallocate(mach_task_self(), threads[i]);
	}
	vm_deallocate(mach_task_self(), (vm_address_t)threads, count * sizeof *threads);
	return found;
}

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
	int i;

	begin(argc, argv);
	CHECK(MACH_PORT_VALID(self) && self != mach_task_self());
	CHECK(mach_thread_self() == self);
	RETURNS(KERN_SUCCESS, mach_port_get_refs(mach_task_self(), self, MACH_PORT_RIGHT_SEND, &refs));
	CHECK(refs == 3);
	RETURNS(KERN_SUCCESS, thread_info(self, THREAD_IDENTIFIER_INFO, (thread_info_t)&info, &room));
	CHECK(info.thread_id == (uint64_t)syscall(SYS_gettid));
	/* The thread holds its name itself once more, so it stays when all is given back. */
	RETURNS(KERN_SUCCESS, mach_port_mod_refs(mach_task_self(), self, MACH_PORT_RIGHT_SEND, -2));
	RETURNS(KERN_SUCCESS, thread_info(self, THREAD_IDENTIFIER_INFO, (thread_info_t)&info, &room));
	CHECK(among_threads(self) == 1);
	CHECK(mach_thread_self() == self);
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), self));

	CHECK(pthread_create(&thread, NULL, other, NULL) == 0 && pthread_join(thread, NULL) == 0);
	CHECK(MACH_PORT_VALID(of_other) && of_other != mach_thread_self());
	/* It has ended, which the kernel may show a moment later than pthread_join. */
	WAIT_FOR(thread_info(of_other, THREAD_IDENTIFIER_INFO, (thread_info_t)&info, &room) == KERN_TERMINATED);
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), of_other));
	for (i = 0; i < 300 && !failures; i++)
		CHECK(pthread_create(&thread, NULL, give_back, NULL) == 0 && pthread_join(thread, NULL) == 0);
	return failures != 0;
}
