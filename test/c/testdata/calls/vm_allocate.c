/* SPDX-License-Identifier: Apache-2.0 */
/* vm_allocate and mach_vm_allocate. */
#include "../check.h"

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);
	vm_address_t address = 0;
	mach_vm_address_t wide = GAP;
	char text[] = "room near the code", seen[32];

	RETURNS(KERN_SUCCESS, vm_allocate(task, &address, 100, VM_FLAGS_ANYWHERE));
	CHECK(address != 0 && address % vm_page_size == 0 && strcmp(perms(address), "rw-p") == 0);
	RETURNS(KERN_SUCCESS, vm_write(task, address, (vm_offset_t)text, sizeof text));
	peek(address, seen, sizeof seen);
	CHECK(strcmp(seen, text) == 0 && seen[31] == 0);
	RETURNS(KERN_SUCCESS, vm_deallocate(task, address, 100));
	CHECK(strcmp(perms(address), "gap") == 0);

	RETURNS(KERN_SUCCESS, mach_vm_allocate(task, &wide, PAGES(1), VM_FLAGS_FIXED));
	CHECK(wide == GAP && strcmp(perms(GAP), "rw-p") == 0);
	RETURNS(KERN_NO_SPACE, mach_vm_allocate(task, &wide, PAGES(1), VM_FLAGS_FIXED));
	RETURNS(KERN_NO_SPACE, mach_vm_allocate(task, &wide, ~(mach_vm_size_t)0 >> 17, VM_FLAGS_ANYWHERE));
	CHECK(wide == GAP);
	RETURNS(KERN_SUCCESS, mach_vm_write(task, GAP, (vm_offset_t)text, sizeof text));
	RETURNS(KERN_SUCCESS, mach_vm_allocate(task, &wide, 1, VM_FLAGS_FIXED | VM_FLAGS_OVERWRITE));
	peek(GAP, seen, 1);
	CHECK(seen[0] == 0);

	/* Linux lets root map the page at 0. */
	wide = 0;
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_allocate(task, &wide, PAGES(1), VM_FLAGS_FIXED));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_allocate(task, &wide, 1, VM_FLAGS_FIXED | VM_FLAGS_OVERWRITE));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_allocate(mach_task_self(), &wide, PAGES(1), VM_FLAGS_FIXED));
	RETURNS(KERN_SUCCESS, mach_vm_allocate(mach_task_self(), &wide, 0, VM_FLAGS_FIXED));
	CHECK(wide == 0);

	/* What memory is for, and how to treat it, is for the kernel to know. */
	wide = 0;
	RETURNS(KERN_SUCCESS, mach_vm_allocate(task, &wide, 1,
			(int)(VM_FLAGS_ANYWHERE | VM_FLAGS_PURGABLE | VM_MAKE_TAG(240U))));
	RETURNS(KERN_SUCCESS, mach_vm_deallocate(task, wide, 1));
	wide = 7;
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_allocate(task, &wide, 1, VM_FLAGS_PERMANENT));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_allocate(task, NULL, 1, VM_FLAGS_ANYWHERE));
	RETURNS(KERN_INVALID_ARGUMENT, vm_allocate(task, NULL, 1, VM_FLAGS_ANYWHERE));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_allocate(TASK_NULL, &wide, 1, VM_FLAGS_ANYWHERE));
	CHECK(wide == 7);
	return failures != 0;
}
