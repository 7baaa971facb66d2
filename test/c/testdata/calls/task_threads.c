/* SPDX-License-Identifier: Apache-2.0 */
/* task_threads. */
#include "../threads.h"

static mach_port_urefs_t refs_of(mach_port_t name)
{
	mach_port_urefs_t refs = 0;

	RETURNS(KERN_SUCCESS, mach_port_get_refs(mach_task_self(), name, MACH_PORT_RIGHT_SEND, &refs));
	return refs;
}

int main(int argc, char **argv)
{
	mach_port_t target = begin(argc, argv), task = start_child(), other = MACH_PORT_NULL;
	thread_act_array_t list = NULL, again = NULL;
	mach_msg_type_number_t count = 0, count_again = 0, i, room;
	thread_act_t thread;
	task_basic_info_data_t info;

	RETURNS(KERN_SUCCESS, task_threads(task, &list, &count));
	CHECK(count == COUNTING + 1);
	/* The same thread has the same name, held once more each time. */
	RETURNS(KERN_SUCCESS, task_threads(task, &again, &count_again));
	CHECK(count_again == count && memcmp(list, again, count * sizeof *list) == 0);
	for (i = 0; i < count; i++) {
		CHECK(MACH_PORT_VALID(list[i]) && list[i] != task && refs_of(list[i]) == 2);
		RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), list[i]));
	}
	RETURNS(KERN_SUCCESS, vm_deallocate(mach_task_self(), (vm_address_t)again, count * sizeof *again));
	thread = thread_with(task, shared->tids[0]);
	CHECK(refs_of(thread) == 2);
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), thread));

	/* A thread is not a task, nor a task a thread. */
	room = TASK_BASIC_INFO_COUNT;
	RETURNS(KERN_INVALID_ARGUMENT, task_info(thread, TASK_BASIC_INFO, (task_info_t)&info, &room));
	RETURNS(KERN_INVALID_ARGUMENT, task_suspend(thread));
	RETURNS(KERN_INVALID_ARGUMENT, vm_write(thread, (vm_address_t)shared, (vm_offset_t)&room, 1));
	RETURNS(KERN_INVALID_ARGUMENT, task_threads(thread, &again, &count_again));
	RETURNS(KERN_INVALID_TASK, mach_port_deallocate(thread, thread));
	RETURNS(KERN_INVALID_ARGUMENT, thread_suspend(task));
	RETURNS(KERN_INVALID_ARGUMENT, thread_resume(mach_task_self()));

	/* A thread's name lives on without that of its task, which comes back as it was. */
	RETURNS(KERN_SUCCESS, thread_suspend(thread));
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), task));
	RETURNS(MACH_SEND_INVALID_DEST, task_threads(task, &again, &count_again));
	CHECK(!counts(0));
	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), child, &task));
	CHECK(thread_with(task, shared->tids[0]) == thread);
	RETURNS(KERN_SUCCESS, thread_resume(thread));
	RETURNS(KERN_SUCCESS, thread_suspend(thread));
	RETURNS(KERN_SUCCESS, mach_port_mod_refs(mach_task_self(), thread, MACH_PORT_RIGHT_SEND, -2));
	RETURNS(MACH_SEND_INVALID_DEST, thread_suspend(thread));
	CHECK(!counts(0));
	/* With the last name it goes on. */
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), task));
	for (i = 0; i < count; i++)
		if (list[i] != thread)
			RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), list[i]));
	WAIT_FOR(counts(0));
	RETURNS(KERN_SUCCESS, vm_deallocate(mach_task_self(), (vm_address_t)list, count * sizeof *list));

	/* This process, and a target with a runtime of its own. */
	RETURNS(KERN_SUCCESS, task_threads(mach_task_self(), &list, &count));
	thread = mach_thread_self();
	for (i = 0; i < count && list[i] != thread; i++)
		;
	CHECK(i < count);
	RETURNS(KERN_SUCCESS, vm_deallocate(mach_task_self(), (vm_address_t)list, count * sizeof *list));
	RETURNS(KERN_SUCCESS, task_threads(target, &list, &count));
	CHECK(count > 1);
	RETURNS(KERN_SUCCESS, vm_deallocate(mach_task_self(), (vm_address_t)list, count * sizeof *list));

	count = 7;
	list = NULL;
	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), child, &other));
	end_child();
	RETURNS(KERN_INVALID_ARGUMENT, task_threads(other, &list, &count));
	RETURNS(KERN_INVALID_ARGUMENT, task_threads(target, NULL, &count));
	RETURNS(KERN_INVALID_ARGUMENT, task_threads(target, &list, NULL));
	RETURNS(MACH_SEND_INVALID_DEST, task_threads(TASK_NULL, &list, &count));
	RETURNS(MACH_SEND_INVALID_DEST, task_threads(mach_host_self(), &list, &count));
	CHECK(count == 7 && list == NULL);
	return failures != 0;
}
