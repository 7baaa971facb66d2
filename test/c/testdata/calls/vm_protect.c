/* SPDX-License-Identifier: Apache-2.0 */
/* vm_protect and mach_vm_protect. */
#include "../check.h"

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);
	char text[] = "patched";
	char seen[8];

	/* The pages that the range touches, and no others. */
	RETURNS(KERN_SUCCESS, vm_protect(task, READ_ONLY + PAGES(1) - 1, 1, FALSE, VM_PROT_READ | VM_PROT_WRITE));
	CHECK(strcmp(perms(READ_ONLY), "rw-p") == 0 && strcmp(perms(READ_ONLY + PAGES(1)), "r--p") == 0);
	RETURNS(KERN_SUCCESS, vm_write(task, READ_ONLY, (vm_offset_t)text, sizeof text));
	peek(READ_ONLY, seen, sizeof seen);
	CHECK(strcmp(seen, text) == 0);
	RETURNS(KERN_SUCCESS, mach_vm_protect(task, READ_ONLY, PAGES(1), FALSE, VM_PROT_READ));
	CHECK(strcmp(perms(READ_ONLY), "r--p") == 0);
	RETURNS(KERN_SUCCESS, mach_vm_protect(task, base, 1, FALSE, VM_PROT_ALL));
	CHECK(strcmp(perms(base), "rwxp") == 0);
	RETURNS(KERN_SUCCESS, mach_vm_protect(task, base, 1, FALSE, VM_PROT_NONE));
	CHECK(strcmp(perms(base), "---p") == 0);
	RETURNS(KERN_SUCCESS, mach_vm_protect(task, base, PAGES(5), FALSE, VM_PROT_DEFAULT | VM_PROT_COPY));
	CHECK(strcmp(perms(base), "rw-p") == 0 && strcmp(perms(FORBIDDEN), "rw-p") == 0);

	RETURNS(KERN_SUCCESS, vm_protect(task, GAP, 0, FALSE, VM_PROT_READ));
	RETURNS(KERN_INVALID_ADDRESS, vm_protect(task, FORBIDDEN, PAGES(2), FALSE, VM_PROT_READ));
	CHECK(strcmp(perms(FORBIDDEN), "rw-p") == 0);
	RETURNS(KERN_INVALID_ARGUMENT, vm_protect(task, base, 1, FALSE, VM_PROT_NO_CHANGE));
	RETURNS(KERN_INVALID_ARGUMENT, vm_protect(task, base, 1, FALSE, VM_PROT_IS_MASK | VM_PROT_READ));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_protect(task, base, ~(mach_vm_size_t)0, FALSE, VM_PROT_READ));
	RETURNS(KERN_NOT_SUPPORTED, vm_protect(task, base, 1, TRUE, VM_PROT_READ));
	RETURNS(KERN_SUCCESS, vm_protect(task, base, 1, TRUE, VM_PROT_ALL));
	CHECK(strcmp(perms(base), "rw-p") == 0);
	RETURNS(MACH_SEND_INVALID_DEST, vm_protect(TASK_NULL, base, 1, FALSE, VM_PROT_READ));
	return failures != 0;
}
