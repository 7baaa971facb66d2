/* SPDX-License-Identifier: Apache-2.0 */
/* vm_read and mach_vm_read. */
#include "../check.h"

/* What is not there must not be found in the buffer, which could be put into the hole. */
static void read_holes(void)
{
	mach_vm_address_t hole;
	vm_offset_t data = 7;
	mach_msg_type_number_t count = 7;
	mach_vm_size_t pages;

	for (pages = 1; pages <= 4096; pages += pages < 64 ? 1 : 61) {
		hole = 0;
		RETURNS(KERN_SUCCESS, mach_vm_allocate(mach_task_self(), &hole, PAGES(pages), VM_FLAGS_ANYWHERE));
		RETURNS(KERN_SUCCESS, mach_vm_deallocate(mach_task_self(), hole, PAGES(pages)));
		RETURNS(KERN_INVALID_ADDRESS, mach_vm_read(mach_task_self(), hole, PAGES(pages), &data, &count));
		RETURNS(KERN_INVALID_ADDRESS, vm_read(mach_task_self(), hole + PAGES(pages) - 1, 1, &data, &count));
		CHECK(data == 7 && count == 7);
	}
}

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);
	vm_offset_t data = 7;
	mach_msg_type_number_t count = 7, i;

	/* Over two mappings of different protection, from the middle of a page. */
	RETURNS(KERN_SUCCESS, vm_read(task, base + 100, PAGES(4) - 100, &data, &count));
	CHECK(count == PAGES(4) - 100 && data % vm_page_size == (base + 100) % vm_page_size);
	for (i = 0; i < count; i++) {
		mach_vm_size_t at = (100 + i) % PAGES(2);
		if (((unsigned char *)data)[i] != filled(at)) {
			CHECK(!"the bytes are those of the target");
			break;
		}
	}
	/* They are this task's own, to change and to free. */
	((unsigned char *)data)[0] ^= 0xff;
	RETURNS(KERN_SUCCESS, vm_deallocate(mach_task_self(), data, count));

	RETURNS(KERN_SUCCESS, mach_vm_read(task, base, 16, &data, &count));
	CHECK(count == 16 && *(unsigned char *)data == filled(0));
	RETURNS(KERN_SUCCESS, mach_vm_deallocate(mach_task_self(), data, count));

	/* From two pages on they begin where they do in their page, as on macOS. */
	RETURNS(KERN_SUCCESS, mach_vm_read(task, base + 1, PAGES(2) - 1, &data, &count));
	CHECK(data % vm_page_size == 0);
	RETURNS(KERN_SUCCESS, mach_vm_deallocate(mach_task_self(), data, count));
	RETURNS(KERN_SUCCESS, mach_vm_read(task, base + PAGES(1) - 1, PAGES(2), &data, &count));
	CHECK(data % vm_page_size == vm_page_size - 1 && *(unsigned char *)data == filled(PAGES(1) - 1));
	RETURNS(KERN_SUCCESS, mach_vm_deallocate(mach_task_self(), data, count));
	read_holes();

	/* Nothing: no memory to free, but freeing it does no harm. */
	RETURNS(KERN_SUCCESS, vm_read(task, GAP, 0, &data, &count));
	CHECK(data == 0 && count == 0);
	RETURNS(KERN_SUCCESS, vm_deallocate(mach_task_self(), data, count));

	data = count = 7;
	RETURNS(KERN_PROTECTION_FAILURE, vm_read(task, base, PAGES(8), &data, &count));
	RETURNS(KERN_PROTECTION_FAILURE, mach_vm_read(task, FORBIDDEN, 1, &data, &count));
	RETURNS(KERN_INVALID_ADDRESS, vm_read(task, GAP, PAGES(3), &data, &count));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_read(task, SECOND, PAGES(2) + 1, &data, &count));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_read(task, (mach_vm_address_t)-1, 1, &data, &count));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_read(task, base, (mach_vm_size_t)1 << 32, &data, &count));
	RETURNS(KERN_PROTECTION_FAILURE, mach_vm_read(task, base, ((mach_vm_size_t)1 << 32) - 1, &data, &count));
	RETURNS(KERN_INVALID_ARGUMENT, vm_read(task, base, 1, NULL, &count));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_read(task, base, 1, &data, NULL));
	RETURNS(MACH_SEND_INVALID_DEST, vm_read(MACH_PORT_NULL, base, 1, &data, &count));
	CHECK(data == 7 && count == 7);
	return failures != 0;
}
