/* SPDX-License-Identifier: Apache-2.0 */
/* vm_region_recurse, vm_region_recurse_64 and mach_vm_region_recurse. */
#include "../check.h"

static void widths(mach_port_t task)
{
	vm_region_submap_info_data_64_t info;
	vm_region_submap_short_info_data_64_t short_info;
	mach_msg_type_number_t counts[] = { 19, 17, 16 }, count;
	mach_vm_address_t address;
	mach_vm_size_t size;
	natural_t depth;
	size_t i;

	for (i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		memset(&info, 0x5a, sizeof info);
		address = base + 1;
		count = counts[i];
		depth = 5;
		RETURNS(KERN_SUCCESS, mach_vm_region_recurse(task, &address, &size, &depth,
				(vm_region_recurse_info_t)&info, &count));
		CHECK(address == base && size == PAGES(2) && depth == 0 && count == counts[i]);
		CHECK(info.protection == VM_PROT_DEFAULT && !info.is_submap && info.share_mode == SM_PRIVATE);
		CHECK(info.pages_resident == 2 && info.pages_dirtied == 2 && info.user_wired_count == 0);
		/* Not an int more than there was room for. */
		if (counts[i] < 17)
			CHECK(info.pages_reusable == 0x5a5a5a5a);
		if (counts[i] < 19)
			CHECK(info.object_id_full == 0x5a5a5a5a5a5a5a5a);
	}
	address = SECOND;
	count = VM_REGION_SUBMAP_SHORT_INFO_COUNT_64;
	RETURNS(KERN_SUCCESS, mach_vm_region_recurse(task, &address, &size, &depth,
			(vm_region_recurse_info_t)&short_info, &count));
	CHECK(address == SECOND && count == 12 && short_info.protection == VM_PROT_DEFAULT);
}

static void narrow(mach_port_t task)
{
	vm_region_submap_info_data_64_t wide;
	vm_region_submap_info_data_t info;
	mach_msg_type_number_t count = VM_REGION_SUBMAP_INFO_COUNT;
	vm_address_t address = GAP;
	vm_size_t size = 0;
	natural_t depth = 3;

	RETURNS(KERN_SUCCESS, vm_region_recurse(task, &address, &size, &depth, (vm_region_recurse_info_t)&info, &count));
	CHECK(address == SECOND && size == PAGES(2) && depth == 0 && count == 15 && info.protection == VM_PROT_DEFAULT);
	count = VM_REGION_SUBMAP_INFO_COUNT_64 + 9;
	address = READ_ONLY;
	RETURNS(KERN_SUCCESS, vm_region_recurse_64(task, &address, &size, &depth, (vm_region_recurse_info_64_t)&wide, &count));
	CHECK(address == READ_ONLY && count == VM_REGION_SUBMAP_INFO_COUNT_64 && wide.protection == VM_PROT_READ);
	CHECK(wide.object_id == (uint32_t)wide.object_id_full);
}

/* The text and the data of the target's program are of one file. */
static void objects(mach_port_t task)
{
	vm_region_submap_info_data_64_t info;
	mach_msg_type_number_t count;
	mach_vm_address_t address = 0;
	mach_vm_size_t size = 0;
	natural_t depth;
	vm32_object_id_t file = 0;
	int alike = 0, stack = 0;

	for (;; address += size) {
		count = VM_REGION_SUBMAP_INFO_COUNT_64;
		depth = 0;
		if (mach_vm_region_recurse(task, &address, &size, &depth, (vm_region_recurse_info_t)&info, &count) !=
			KERN_SUCCESS)
			break;
		if (info.external_pager) {
			alike += file == info.object_id;
			file = info.object_id;
		}
		stack += info.user_tag == VM_MEMORY_STACK;
	}
	CHECK(alike >= 2 && stack == 1);
}

static void refused(mach_port_t task)
{
	int room[64];
	mach_msg_type_number_t count = VM_REGION_SUBMAP_SHORT_INFO_COUNT_64 - 1;
	mach_vm_address_t address = base;
	mach_vm_size_t size = 7;
	vm_address_t slim = base;
	vm_size_t slim_size = 7;
	natural_t depth = 7;

	room[0] = 7;
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_region_recurse(task, &address, &size, &depth, room, &count));
	count = VM_REGION_SUBMAP_INFO_COUNT - 1;
	RETURNS(KERN_INVALID_ARGUMENT, vm_region_recurse(task, &slim, &slim_size, &depth, room, &count));
	RETURNS(KERN_INVALID_ARGUMENT, vm_region_recurse(task, NULL, &slim_size, &depth, room, &count));
	count = 64;
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_region_recurse(task, &address, &size, NULL, room, &count));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_region_recurse(task, &address, &size, &depth, NULL, &count));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_region_recurse(task, &address, &size, &depth, room, NULL));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_region_recurse(TASK_NULL, &address, &size, &depth, room, &count));
	address = (mach_vm_address_t)1 << 56;
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_region_recurse(task, &address, &size, &depth, room, &count));
	CHECK(size == 7 && slim_size == 7 && depth == 7 && count == 64 && room[0] == 7);
}

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);

	widths(task);
	narrow(task);
	objects(task);
	refused(task);
	return failures != 0;
}
