/* SPDX-License-Identifier: Apache-2.0 */
/* vm_copy and mach_vm_copy. */
#include "../check.h"

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);
	unsigned char before[8192], after[8192];

	peek(base, before, sizeof before);
	RETURNS(KERN_SUCCESS, vm_copy(task, READ_ONLY + 7, 1000, SECOND + 1));
	peek(SECOND, after, 1002);
	CHECK(after[0] == filled(0) && after[1001] == filled(1001));
	peek(READ_ONLY + 7, before, 1000);
	CHECK(memcmp(after + 1, before, 1000) == 0);

	/* Overlapping, forwards and backwards: as memmove. */
	peek(base, before, sizeof before);
	RETURNS(KERN_SUCCESS, mach_vm_copy(task, base, 8000, base + 100));
	memmove(before + 100, before, 8000);
	peek(base, after, sizeof after);
	CHECK(memcmp(before, after, sizeof before) == 0);
	RETURNS(KERN_SUCCESS, vm_copy(task, base + 100, 8000, base));
	memmove(before, before + 100, 8000);
	peek(base, after, sizeof after);
	CHECK(memcmp(before, after, sizeof before) == 0);

	RETURNS(KERN_SUCCESS, vm_copy(task, GAP, 0, GAP));
	RETURNS(KERN_PROTECTION_FAILURE, mach_vm_copy(task, FORBIDDEN, 1, GAP));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_copy(task, GAP, 1, READ_ONLY));
	RETURNS(KERN_PROTECTION_FAILURE, mach_vm_copy(task, base, 1, READ_ONLY));
	RETURNS(KERN_PROTECTION_FAILURE, vm_copy(task, SECOND, PAGES(2), base + PAGES(1)));
	RETURNS(KERN_INVALID_ADDRESS, vm_copy(task, base, PAGES(2), BEHIND - PAGES(1)));
	RETURNS(MACH_SEND_INVALID_DEST, vm_copy(12345, base, 1, SECOND));
	peek(base, after, sizeof after);
	CHECK(memcmp(before, after, sizeof before) == 0);
	return failures != 0;
}
