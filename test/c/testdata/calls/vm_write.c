/* SPDX-License-Identifier: Apache-2.0 */
/* vm_write and mach_vm_write. */
#include "../check.h"

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);
	char text[] = "as if the target had written";
	char seen[64];
	unsigned char *pages, before[8192], after[8192];

	RETURNS(KERN_SUCCESS, vm_write(task, base + PAGES(1) - 3, (vm_offset_t)text, sizeof text));
	peek(base + PAGES(1) - 3, seen, sizeof text);
	CHECK(strcmp(seen, text) == 0);
	RETURNS(KERN_SUCCESS, mach_vm_write(task, SECOND, (vm_offset_t)text, 6));
	peek(SECOND, seen, 7);
	CHECK(memcmp(seen, text, 6) == 0 && (unsigned char)seen[6] == filled(6));
	RETURNS(KERN_SUCCESS, mach_vm_write(task, GAP, 0, 0));
	RETURNS(KERN_SUCCESS, vm_write(task, GAP, 1, 0));

	/* All or nothing. */
	peek(base, before, sizeof before);
	pages = (unsigned char *)mmap(NULL, PAGES(9), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	RETURNS(KERN_PROTECTION_FAILURE, vm_write(task, READ_ONLY, (vm_offset_t)text, 1));
	RETURNS(KERN_PROTECTION_FAILURE, vm_write(task, base, (vm_offset_t)pages, (mach_msg_type_number_t)PAGES(3)));
	RETURNS(KERN_PROTECTION_FAILURE, mach_vm_write(task, FORBIDDEN, (vm_offset_t)text, 1));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_write(task, GAP, (vm_offset_t)text, 1));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_write(task, BEHIND - 1, (vm_offset_t)text, 2));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_write(task, ~(mach_vm_address_t)0, (vm_offset_t)text, 2));

	/* Data of the caller that can't be read. */
	CHECK(munmap(pages + PAGES(1), PAGES(1)) == 0 && mprotect(pages + PAGES(2), PAGES(1), PROT_NONE) == 0);
	RETURNS(KERN_INVALID_ARGUMENT, vm_write(task, base, 0, 1));
	RETURNS(MACH_SEND_INVALID_MEMORY, vm_write(task, base, 1, 1));
	RETURNS(MACH_SEND_INVALID_MEMORY, vm_write(task, base, (vm_offset_t)(pages + PAGES(1) - 1), 2));
	RETURNS(MACH_SEND_INVALID_MEMORY, vm_write(task, base, (vm_offset_t)(pages + PAGES(2)), 1));
	RETURNS(MACH_SEND_INVALID_MEMORY, vm_write(task, base, ~(vm_offset_t)0, 1));
	RETURNS(MACH_SEND_INVALID_MEMORY, vm_write(task, base, ~(vm_offset_t)0 - 4095, 8192));
	RETURNS(MACH_SEND_INVALID_DEST, vm_write(MACH_PORT_DEAD, base, (vm_offset_t)text, 1));
	peek(base, after, sizeof after);
	CHECK(memcmp(before, after, sizeof before) == 0);
	return failures != 0;
}
