/* SPDX-License-Identifier: Apache-2.0 */
/* vm_deallocate and mach_vm_deallocate. */
#include "../check.h"

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);
	char *own;

	RETURNS(KERN_SUCCESS, vm_deallocate(task, base + PAGES(1) - 1, 1));
	CHECK(strcmp(perms(base), "gap") == 0 && strcmp(perms(base + PAGES(1)), "rw-p") == 0);
	/* Over a gap too. */
	RETURNS(KERN_SUCCESS, mach_vm_deallocate(task, base, PAGES(7)));
	CHECK(strcmp(perms(FORBIDDEN), "gap") == 0 && strcmp(perms(SECOND), "gap") == 0);
	CHECK(strcmp(perms(SECOND + PAGES(1)), "rw-p") == 0);
	RETURNS(KERN_SUCCESS, vm_deallocate(task, SECOND + PAGES(1), 0));
	CHECK(strcmp(perms(SECOND + PAGES(1)), "rw-p") == 0);
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_deallocate(task, base, ~(mach_vm_size_t)0));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_deallocate(TASK_NULL, base, 1));

	own = (char *)mmap(NULL, PAGES(1), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	RETURNS(KERN_SUCCESS, vm_deallocate(mach_task_self(), (vm_address_t)own, PAGES(1)));
	CHECK(msync(own, PAGES(1), MS_ASYNC) != 0);
	return failures != 0;
}
