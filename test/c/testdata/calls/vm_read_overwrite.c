/* SPDX-License-Identifier: Apache-2.0 */
/* vm_read_overwrite and mach_vm_read_overwrite. */
#include "../check.h"

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);
	unsigned char buffer[64], *pages, *zeros;
	vm_size_t size = 7;
	mach_vm_size_t wide = 7;
	int i;

	memset(buffer, 0, sizeof buffer);
	RETURNS(KERN_SUCCESS, vm_read_overwrite(task, base + 5, 32, (vm_address_t)buffer, &size));
	CHECK(size == 32);
	for (i = 0; i < 32; i++)
		CHECK(buffer[i] == filled((mach_vm_size_t)(5 + i)));
	CHECK(buffer[32] == 0);
	RETURNS(KERN_SUCCESS, mach_vm_read_overwrite(task, READ_ONLY, 1, (mach_vm_address_t)(uintptr_t)buffer, &wide));
	CHECK(wide == 1 && buffer[0] == filled(0));
	RETURNS(KERN_SUCCESS, mach_vm_read_overwrite(task, GAP, 0, 0, &wide));
	CHECK(wide == 0);

	/* The source's offence comes first, then that of the destination. */
	wide = 7;
	pages = (unsigned char *)mmap(NULL, PAGES(3), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	zeros = (unsigned char *)calloc(1, PAGES(1));
	CHECK(mprotect(pages + PAGES(1), PAGES(1), PROT_READ) == 0 && munmap(pages + PAGES(2), PAGES(1)) == 0);
	RETURNS(KERN_PROTECTION_FAILURE, mach_vm_read_overwrite(task, FORBIDDEN, 1, 0, &wide));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_read_overwrite(task, GAP, 1, (uintptr_t)(pages + PAGES(1)), &wide));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_read_overwrite(task, base, 1, 0, &wide));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_read_overwrite(task, base, 1, (uintptr_t)(pages + PAGES(2)), &wide));
	RETURNS(KERN_PROTECTION_FAILURE, mach_vm_read_overwrite(task, base, 2, (uintptr_t)(pages + PAGES(1) - 1), &wide));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_read_overwrite(task, base, PAGES(2), ~(mach_vm_address_t)0 - 8, &wide));
	CHECK(memcmp(pages, zeros, PAGES(1)) == 0);
	RETURNS(KERN_PROTECTION_FAILURE, mach_vm_read_overwrite(task, READ_ONLY, PAGES(3), (uintptr_t)pages, &wide));
	CHECK(memcmp(pages, zeros, PAGES(1)) == 0);
	free(zeros);

	RETURNS(KERN_INVALID_ARGUMENT, vm_read_overwrite(task, base, 1, (vm_address_t)buffer, NULL));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_read_overwrite(task, base, 1, (uintptr_t)buffer, NULL));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_read_overwrite(TASK_NULL, base, 1, (uintptr_t)buffer, &wide));
	CHECK(wide == 7);
	return failures != 0;
}
