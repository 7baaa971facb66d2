/* SPDX-License-Identifier: Apache-2.0 */
/* vm_read_list and mach_vm_read_list. */
#include "../check.h"

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);
	mach_vm_read_entry_t list;
	vm_read_entry_t narrow;
	natural_t i;

	memset(list, 0, sizeof list);
	list[0].address = base + 5;
	list[0].size = 10;
	list[1].address = base + 7; /* nothing */
	list[2].address = READ_ONLY + 100;
	list[2].size = PAGES(2) - 100;
	RETURNS(KERN_SUCCESS, mach_vm_read_list(task, list, 3));
	CHECK(list[0].size == 10 && *(unsigned char *)(uintptr_t)list[0].address == filled(5));
	CHECK(list[1].address == 0 && list[1].size == 0);
	CHECK(list[2].size == PAGES(2) - 100 && *(unsigned char *)(uintptr_t)list[2].address == filled(100));
	for (i = 0; i < 3; i++)
		RETURNS(KERN_SUCCESS, mach_vm_deallocate(mach_task_self(), list[i].address, list[i].size));

	/* The last entry decides about the code, as on macOS. */
	list[0].address = GAP;
	list[0].size = 10;
	list[1].address = base;
	list[1].size = 10;
	RETURNS(KERN_SUCCESS, mach_vm_read_list(task, list, 2));
	CHECK(list[0].address == 0 && list[0].size == 0 && list[1].size == 10);
	RETURNS(KERN_SUCCESS, mach_vm_deallocate(mach_task_self(), list[1].address, list[1].size));
	list[0].address = base;
	list[0].size = 10;
	list[1].address = GAP;
	list[1].size = 10;
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_read_list(task, list, 2));
	CHECK(list[0].address == base && list[0].size == 10 && list[1].address == GAP && list[1].size == 10);
	list[1].address = FORBIDDEN;
	RETURNS(KERN_PROTECTION_FAILURE, mach_vm_read_list(task, list, 2));

	for (i = 0; i < VM_MAP_ENTRY_MAX; i++) {
		narrow[i].address = (vm_address_t)(base + i);
		narrow[i].size = 1;
	}
	RETURNS(KERN_SUCCESS, vm_read_list(task, narrow, VM_MAP_ENTRY_MAX));
	for (i = 0; i < VM_MAP_ENTRY_MAX; i++) {
		CHECK(*(unsigned char *)narrow[i].address == filled(i));
		RETURNS(KERN_SUCCESS, vm_deallocate(mach_task_self(), narrow[i].address, narrow[i].size));
	}
	RETURNS(KERN_SUCCESS, vm_read_list(task, narrow, 0));
	RETURNS(KERN_INVALID_ARGUMENT, vm_read_list(task, narrow, VM_MAP_ENTRY_MAX + 1));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_read_list(task, list, VM_MAP_ENTRY_MAX + 1));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_read_list(task, NULL, 1));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_read_list(TASK_NULL, list, 1));
	RETURNS(MACH_SEND_INVALID_DEST, vm_read_list(TASK_NULL, narrow, 0));
	return failures != 0;
}
