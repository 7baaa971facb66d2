/* SPDX-License-Identifier: Apache-2.0 */
/* vm_map_page_query, mach_vm_page_query, mach_vm_page_info and mach_vm_page_range_query. */
#include "../check.h"

enum { NOWHERE = 0, ANONYMOUS = VM_PAGE_QUERY_PAGE_PRESENT | VM_PAGE_QUERY_PAGE_DIRTY,
	OF_FILE = VM_PAGE_QUERY_PAGE_PRESENT | VM_PAGE_QUERY_PAGE_EXTERNAL,
	COPIED = ANONYMOUS | VM_PAGE_QUERY_PAGE_COPIED };

/* The rest of a page's bits says what the kernel may do at any time. */
#define TOLD (COPIED | OF_FILE)

static int disposition_of(mach_port_t task, mach_vm_address_t address, int references)
{
	integer_t disposition = -1, count = -1;

	RETURNS(KERN_SUCCESS, mach_vm_page_query(task, address, &disposition, &count));
	CHECK(count == references);
	return disposition;
}

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv), self = mach_task_self();
	char name[] = "/tmp/vm_page_query-XXXXXX", *file, *private_file;
	integer_t disposition = 7, count = 7;
	vm_page_info_basic_data_t info;
	mach_msg_type_number_t infos = VM_PAGE_INFO_BASIC_COUNT;
	mach_vm_address_t fresh = 0;
	mach_vm_size_t room;
	int pages[8], fd = mkstemp(name);

	RETURNS(KERN_SUCCESS, vm_map_page_query(task, base + 5, &disposition, &count));
	CHECK(disposition == ANONYMOUS && count == 1);
	CHECK(disposition_of(task, GAP, 0) == NOWHERE && disposition_of(task, 0, 0) == NOWHERE);
	CHECK(disposition_of(task, (mach_vm_address_t)1 << 60, 0) == NOWHERE);
	RETURNS(KERN_SUCCESS, mach_vm_allocate(self, &fresh, PAGES(2), VM_FLAGS_ANYWHERE));
	CHECK(disposition_of(self, fresh, 1) == NOWHERE);
	*(volatile char *)(uintptr_t)fresh = 1;
	CHECK((disposition_of(self, fresh, 1) & TOLD) == ANONYMOUS);

	if (fd < 0 || write(fd, "file", 4) != 4 || ftruncate(fd, (off_t)PAGES(3)) != 0)
		exit(2);
	unlink(name);
	file = (char *)mmap(NULL, PAGES(3), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private_file = (char *)mmap(NULL, PAGES(3), PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(*file == 'f' && *private_file == 'f');
	CHECK(disposition_of(self, (uintptr_t)file, 1) == OF_FILE);
	CHECK(disposition_of(self, (uintptr_t)private_file, 1) == OF_FILE);
	*private_file = 'g';
	CHECK((disposition_of(self, (uintptr_t)private_file, 1) & TOLD) == COPIED);

	/* The offset is that in the file. */
	memset(&info, 0xff, sizeof info);
	RETURNS(KERN_SUCCESS, mach_vm_page_info(self, (uintptr_t)file + PAGES(1) + 9, VM_PAGE_INFO_BASIC,
			(vm_page_info_t)&info, &infos));
	CHECK(info.offset == PAGES(1) + 9 && info.ref_count == 1 && info.depth == 0 && info.object_id != 0);
	infos--;
	info.__pad = 7;
	RETURNS(KERN_SUCCESS, mach_vm_page_info(self, (uintptr_t)file, VM_PAGE_INFO_BASIC, (vm_page_info_t)&info, &infos));
	CHECK(infos == VM_PAGE_INFO_BASIC_COUNT - 1 && info.__pad == 7);
	infos--;
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_page_info(self, fresh, VM_PAGE_INFO_BASIC, (vm_page_info_t)&info, &infos));
	infos = VM_PAGE_INFO_BASIC_COUNT;
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_page_info(self, fresh, 2, (vm_page_info_t)&info, &infos));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_page_info(self, ~(mach_vm_address_t)0, VM_PAGE_INFO_BASIC,
			(vm_page_info_t)&info, &infos));

	/* All pages that the range touches, as far as there is room. */
	memset(pages, 0xff, sizeof pages);
	room = 8;
	RETURNS(KERN_SUCCESS, mach_vm_page_range_query(task, FORBIDDEN + 1, PAGES(2), (uintptr_t)pages, &room));
	CHECK(room == 3 && pages[0] == ANONYMOUS && pages[1] == NOWHERE && pages[2] == ANONYMOUS && pages[3] == -1);
	room = 1;
	pages[1] = -1;
	RETURNS(KERN_SUCCESS, mach_vm_page_range_query(task, SECOND, PAGES(1) << 20, (uintptr_t)pages, &room));
	CHECK(room == 1 && pages[0] == ANONYMOUS && pages[1] == -1);
	room = 0;
	RETURNS(KERN_SUCCESS, mach_vm_page_range_query(task, base, PAGES(1), (uintptr_t)pages, &room));
	room = 5;
	RETURNS(KERN_SUCCESS, mach_vm_page_range_query(task, base, 0, (uintptr_t)pages, &room));
	CHECK(room == 5);
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_page_range_query(task, base, PAGES(1), 0, &room));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_page_range_query(task, base, ~(mach_vm_size_t)0, (uintptr_t)pages, &room));
	room = ~(mach_vm_size_t)0;
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_page_range_query(task, base, PAGES(1), (uintptr_t)pages, &room));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_page_range_query(task, base, PAGES(1), (uintptr_t)pages, NULL));

	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_page_query(task, base, NULL, &count));
	RETURNS(KERN_INVALID_ARGUMENT, vm_map_page_query(task, base, &disposition, NULL));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_page_query(TASK_NULL, base, &disposition, &count));
	return failures != 0;
}
