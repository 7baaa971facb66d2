/* SPDX-License-Identifier: Apache-2.0 */
/* mach_task_self and current_task: every call on this very process. */
#include "../check.h"

static int number = 42;
static const int constant = 42;

int main(int argc, char **argv)
{
	mach_port_t self = mach_task_self();
	vm_address_t room = 0;
	vm_offset_t data;
	mach_msg_type_number_t count;
	vm_size_t size;
	vm_region_basic_info_data_64_t info;
	mach_port_t object;
	int other = 43;

	begin(argc, argv);
	CHECK(current_task() == self && mach_task_self_ == self && task_self_trap() == self);
	RETURNS(KERN_SUCCESS, vm_write(self, (vm_address_t)&number, (vm_offset_t)&other, sizeof other));
	CHECK(*(volatile int *)&number == 43);
	RETURNS(KERN_PROTECTION_FAILURE, vm_write(self, (vm_address_t)&constant, (vm_offset_t)&other, sizeof other));
	RETURNS(KERN_SUCCESS, vm_read_overwrite(self, (vm_address_t)&constant, sizeof other, (vm_address_t)&other, &size));
	CHECK(other == 42 && size == sizeof other);
	RETURNS(KERN_SUCCESS, vm_read(self, (vm_address_t)&number, sizeof number, &data, &count));
	CHECK(*(int *)data == 43);
	RETURNS(KERN_SUCCESS, vm_deallocate(self, data, count));

	RETURNS(KERN_SUCCESS, vm_allocate(self, &room, PAGES(3), VM_FLAGS_ANYWHERE));
	memset((void *)room, 'x', PAGES(3));
	RETURNS(KERN_SUCCESS, vm_copy(self, room, PAGES(1), room + PAGES(1) + 5));
	RETURNS(KERN_SUCCESS, vm_protect(self, room + PAGES(1), PAGES(1), FALSE, VM_PROT_READ));
	RETURNS(KERN_PROTECTION_FAILURE, vm_write(self, room, room, (mach_msg_type_number_t)PAGES(2)));
	count = VM_REGION_BASIC_INFO_COUNT_64;
	room += PAGES(1);
	RETURNS(KERN_SUCCESS, vm_region_64(self, &room, &size, VM_REGION_BASIC_INFO_64, (vm_region_info_64_t)&info, &count,
			&object));
	CHECK(size == PAGES(1) && info.protection == VM_PROT_READ);
	room -= PAGES(1);
	RETURNS(KERN_SUCCESS, vm_deallocate(self, room, PAGES(3)));
	RETURNS(KERN_INVALID_ADDRESS, vm_protect(self, room, PAGES(3), FALSE, VM_PROT_READ));
	RETURNS(KERN_SUCCESS, vm_deallocate(self, room, PAGES(3)));

	/* It can't stop itself, and can't lose itself. */
	RETURNS(KERN_NOT_SUPPORTED, task_suspend(self));
	RETURNS(KERN_NOT_SUPPORTED, task_resume(self));
	RETURNS(KERN_SUCCESS, mach_port_deallocate(self, self));
	RETURNS(KERN_SUCCESS, mach_port_mod_refs(self, self, MACH_PORT_RIGHT_SEND, -1000));
	RETURNS(KERN_SUCCESS, vm_read_overwrite(self, (vm_address_t)&number, sizeof other, (vm_address_t)&other, &size));
	return failures != 0;
}
