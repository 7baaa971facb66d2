/* SPDX-License-Identifier: Apache-2.0 */
/* vm_region, vm_region_64 and mach_vm_region, with each flavor. */
#include "../check.h"

static void basic(mach_port_t task)
{
	vm_region_basic_info_data_64_t wide_info;
	vm_region_basic_info_data_t info;
	mach_msg_type_number_t count = VM_REGION_BASIC_INFO_COUNT_64;
	mach_vm_address_t address = base + 5;
	mach_vm_size_t size = 0;
	vm_address_t narrow = GAP;
	vm_size_t narrow_size = 0;
	mach_port_t object = 7;

	RETURNS(KERN_SUCCESS, mach_vm_region(task, &address, &size, VM_REGION_BASIC_INFO_64,
			(vm_region_info_t)&wide_info, &count, &object));
	CHECK(address == base && size == PAGES(2) && object == MACH_PORT_NULL && count == 9);
	CHECK(wide_info.protection == VM_PROT_DEFAULT && wide_info.max_protection == VM_PROT_ALL);
	CHECK(wide_info.inheritance == VM_INHERIT_COPY && !wide_info.shared && !wide_info.reserved);
	CHECK(wide_info.behavior == VM_BEHAVIOR_DEFAULT && wide_info.user_wired_count == 0);

	/* From a gap the next above; the old flavor is the wide one here. */
	address = GAP;
	count = VM_REGION_BASIC_INFO_COUNT_64 + 5;
	RETURNS(KERN_SUCCESS, mach_vm_region(task, &address, &size, VM_REGION_BASIC_INFO,
			(vm_region_info_t)&wide_info, &count, &object));
	CHECK(address == SECOND && size == PAGES(2) && count == VM_REGION_BASIC_INFO_COUNT_64);

	count = VM_REGION_BASIC_INFO_COUNT_64;
	RETURNS(KERN_SUCCESS, vm_region_64(task, &narrow, &narrow_size, VM_REGION_BASIC_INFO,
			(vm_region_info_64_t)&wide_info, &count, &object));
	CHECK(narrow == SECOND && narrow_size == PAGES(2) && count == VM_REGION_BASIC_INFO_COUNT_64);

	narrow = READ_ONLY;
	count = VM_REGION_BASIC_INFO_COUNT;
	RETURNS(KERN_SUCCESS, vm_region(task, &narrow, &narrow_size, VM_REGION_BASIC_INFO, (vm_region_info_t)&info,
			&count, &object));
	CHECK(narrow == READ_ONLY && narrow_size == PAGES(2) && count == 8 && info.protection == VM_PROT_READ);
}

static void extended(mach_port_t task)
{
	vm_region_extended_info_data_t info;
	mach_msg_type_number_t count = VM_REGION_EXTENDED_INFO_COUNT;
	mach_vm_address_t address = base;
	mach_vm_size_t size = 0;
	mach_port_t object = 7;
	int found_file = 0;

	RETURNS(KERN_SUCCESS, mach_vm_region(task, &address, &size, VM_REGION_EXTENDED_INFO, (vm_region_info_t)&info,
			&count, &object));
	CHECK(count == 9 && info.protection == VM_PROT_DEFAULT && info.share_mode == SM_PRIVATE);
	CHECK(info.pages_resident == 2 && info.pages_dirtied == 2 && info.pages_swapped_out == 0);
	CHECK(info.external_pager == 0 && info.user_tag == 0 && info.ref_count == 1);

	/* The program's own file: read-only text, of which nothing was written. */
	for (address = 0; !found_file; address += size) {
		if (mach_vm_region(task, &address, &size, VM_REGION_EXTENDED_INFO, (vm_region_info_t)&info, &count,
			    &object) != KERN_SUCCESS)
			break;
		if (info.external_pager && info.protection == (VM_PROT_READ | VM_PROT_EXECUTE)) {
			found_file = 1;
			CHECK(info.share_mode == SM_COW && info.pages_resident > 0 && info.pages_shared_now_private == 0);
		}
	}
	CHECK(found_file);
}

static void top(mach_port_t task)
{
	vm_region_top_info_data_t info;
	mach_msg_type_number_t count = VM_REGION_TOP_INFO_COUNT + 1;
	mach_vm_address_t address = base;
	mach_vm_size_t size = 0;
	mach_port_t object = 7;
	unsigned int file = 0;
	int alike = 0, of_file = 0;

	RETURNS(KERN_SUCCESS, mach_vm_region(task, &address, &size, VM_REGION_TOP_INFO, (vm_region_info_t)&info, &count,
			&object));
	CHECK(address == base && size == PAGES(2) && object == MACH_PORT_NULL && count == 5);
	CHECK(info.share_mode == SM_PRIVATE && info.ref_count == 1);
	CHECK(info.private_pages_resident == 2 && info.shared_pages_resident == 0);
	/* The regions of the program's file share it. */
	for (address = 0;; address += size) {
		if (mach_vm_region(task, &address, &size, VM_REGION_TOP_INFO, (vm_region_info_t)&info, &count, &object) !=
			KERN_SUCCESS)
			break;
		if (info.share_mode == SM_COW) {
			alike += info.obj_id == file;
			file = info.obj_id;
			of_file += info.shared_pages_resident > 0;
		}
	}
	CHECK(alike >= 1 && of_file >= 1);
}

static void refused(mach_port_t task)
{
	int room[64];
	mach_msg_type_number_t count = VM_REGION_BASIC_INFO_COUNT_64 - 1;
	mach_vm_address_t address = base;
	mach_vm_size_t size = 7;
	mach_port_t object = 7;

	room[0] = 7;
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_region(task, &address, &size, VM_REGION_BASIC_INFO_64, room, &count, &object));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_region(task, &address, &size, VM_REGION_BASIC_INFO, room, &count, &object));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_region(task, &address, &size, VM_REGION_EXTENDED_INFO, room, &count, &object));
	count = VM_REGION_TOP_INFO_COUNT - 1;
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_region(task, &address, &size, VM_REGION_TOP_INFO, room, &count, &object));
	CHECK(count == VM_REGION_TOP_INFO_COUNT - 1);
	count = 64;
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_region(task, &address, &size, 14, room, &count, &object));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_region(task, NULL, &size, VM_REGION_BASIC_INFO_64, room, &count, &object));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_region(task, &address, NULL, VM_REGION_BASIC_INFO_64, room, &count, &object));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_region(task, &address, &size, VM_REGION_BASIC_INFO_64, NULL, &count, &object));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_region(task, &address, &size, VM_REGION_BASIC_INFO_64, room, NULL, &object));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_region(TASK_NULL, &address, &size, VM_REGION_BASIC_INFO_64, room, &count, &object));
	CHECK(address == base);
	/* Above the last one. */
	address = (mach_vm_address_t)1 << 56;
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_region(task, &address, &size, VM_REGION_BASIC_INFO_64, room, &count, &object));
	CHECK(address == (mach_vm_address_t)1 << 56 && size == 7 && count == 64 && object == 7 && room[0] == 7);
}

/*
 * All regions one after the other are all lines of the maps, and of each that says so a
 * read succeeds.
 */
static void walk(mach_port_t task)
{
	vm_region_basic_info_data_64_t info;
	mach_msg_type_number_t count;
	mach_vm_address_t address = 0, line_start;
	mach_vm_size_t size = 0, read = 0;
	mach_port_t object;
	char byte;
	int regions = 0;

	for (;; address += size, regions++) {
		count = VM_REGION_BASIC_INFO_COUNT_64;
		if (mach_vm_region(task, &address, &size, VM_REGION_BASIC_INFO_64, (vm_region_info_t)&info, &count,
			    &object) != KERN_SUCCESS)
			break;
		line_start = strtoull(map_line(address), NULL, 16);
		CHECK(line_start == address);
		if (strstr(map_line(address), "[vvar") != NULL)
			CHECK(info.protection == VM_PROT_NONE && info.max_protection == VM_PROT_NONE);
		if (info.protection & VM_PROT_READ)
			RETURNS(KERN_SUCCESS, mach_vm_read_overwrite(task, address, 1, (uintptr_t)&byte, &read));
	}
	CHECK(regions > 5);
}

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);

	basic(task);
	extended(task);
	top(task);
	refused(task);
	walk(task);
	return failures != 0;
}
