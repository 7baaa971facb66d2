/* SPDX-License-Identifier: Apache-2.0 */
/* thread_suspend and thread_resume. */
#include "../threads.h"

int main(int argc, char **argv)
{
	mach_port_t task;
	thread_act_t first, second, self = mach_thread_self();

	begin(argc, argv);
	task = start_child();
	first = thread_with(task, shared->tids[0]);
	second = thread_with(task, shared->tids[1]);
	CHECK(counts(0));
	RETURNS(KERN_FAILURE, thread_resume(first));
	RETURNS(KERN_SUCCESS, thread_suspend(first));
	RETURNS(KERN_SUCCESS, thread_suspend(first));
	CHECK(!counts(0));
	RETURNS(KERN_SUCCESS, thread_resume(first));
	CHECK(!counts(0));
	/* What stops all threads leaves that one as it is. */
	RETURNS(KERN_SUCCESS, vm_protect(task, (vm_address_t)&failures, 1, FALSE, VM_PROT_READ));
	RETURNS(KERN_SUCCESS, vm_protect(task, (vm_address_t)&failures, 1, FALSE, VM_PROT_DEFAULT));
	CHECK(!counts(0));
	RETURNS(KERN_SUCCESS, task_suspend(task));
	RETURNS(KERN_SUCCESS, thread_suspend(second));
	RETURNS(KERN_SUCCESS, thread_resume(first));
	RETURNS(KERN_SUCCESS, task_resume(task));
	WAIT_FOR(shared->counts[0] != 0 && shared->counts[2] != 0);
	RETURNS(KERN_SUCCESS, thread_resume(second));
	WAIT_FOR(counts(0) && counts(1));
	RETURNS(KERN_FAILURE, thread_resume(first));

	/* A kill ends it, and a parent does not wait for us. */
	RETURNS(KERN_SUCCESS, thread_suspend(second));
	RETURNS(KERN_SUCCESS, thread_suspend(first));
	end_child();
	RETURNS(KERN_INVALID_ARGUMENT, thread_resume(first));
	RETURNS(KERN_INVALID_ARGUMENT, thread_suspend(second));

	RETURNS(KERN_NOT_SUPPORTED, thread_suspend(self));
	RETURNS(KERN_NOT_SUPPORTED, thread_resume(self));
	RETURNS(MACH_SEND_INVALID_DEST, thread_suspend(THREAD_NULL));
	RETURNS(MACH_SEND_INVALID_DEST, thread_resume(MACH_PORT_DEAD));
	RETURNS(KERN_INVALID_ARGUMENT, thread_suspend(mach_host_self()));
	return failures != 0;
}
