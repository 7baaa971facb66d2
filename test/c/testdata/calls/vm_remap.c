/* SPDX-License-Identifier: Apache-2.0 */
/* vm_remap and mach_vm_remap. */
#include "../check.h"

static vm_prot_t now, most;

static kern_return_t remap(mach_vm_address_t *at, mach_vm_size_t size, int flags, mach_port_t source,
	mach_vm_address_t from, boolean_t copy)
{
	return mach_vm_remap(mach_task_self(), at, size, 0, flags, source, from, copy, &now, &most, VM_INHERIT_DEFAULT);
}

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv), self = mach_task_self();
	mach_vm_address_t at = 0, again = 0, own = 0;
	vm_address_t narrow = 0;
	char *shared = (char *)mmap(NULL, PAGES(3), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned char *bytes;

	/* A copy of another task's memory, each page with its own protection. */
	RETURNS(KERN_SUCCESS, remap(&at, PAGES(4), VM_FLAGS_ANYWHERE, task, base, TRUE));
	bytes = (unsigned char *)(uintptr_t)at;
	CHECK(bytes[0] == filled(0) && bytes[PAGES(1)] == filled(PAGES(1)) && bytes[PAGES(2)] == filled(0));
	CHECK(now == VM_PROT_READ && most == VM_PROT_ALL);
	target_pid = getpid();
	CHECK(strcmp(perms(at), "rw-p") == 0 && strcmp(perms(at + PAGES(3)), "r--p") == 0);
	bytes[0]++;
	RETURNS(KERN_SUCCESS, mach_vm_deallocate(self, at, PAGES(4)));

	/* From the page on, or from the byte. */
	RETURNS(KERN_SUCCESS, remap(&at, 16, VM_FLAGS_ANYWHERE, task, base + PAGES(1) - 8, TRUE));
	CHECK(*(unsigned char *)(uintptr_t)at == filled(0) && at % vm_page_size == 0);
	RETURNS(KERN_SUCCESS, mach_vm_deallocate(self, at, 16));
	RETURNS(KERN_SUCCESS, remap(&at, 16, VM_FLAGS_ANYWHERE | VM_FLAGS_RETURN_DATA_ADDR, task, base + PAGES(1) - 8, TRUE));
	bytes = (unsigned char *)(uintptr_t)at;
	CHECK(at % vm_page_size == vm_page_size - 8 && bytes[0] == filled(PAGES(1) - 8) && bytes[8] == filled(PAGES(1)));
	RETURNS(KERN_SUCCESS, mach_vm_deallocate(self, at, 16));

	/* In the place of what is there, even of the source. */
	RETURNS(KERN_SUCCESS, mach_vm_allocate(self, &own, PAGES(4), VM_FLAGS_ANYWHERE));
	strcpy((char *)(uintptr_t)own, "source");
	again = own + PAGES(1);
	RETURNS(KERN_NO_SPACE, remap(&again, PAGES(2), VM_FLAGS_FIXED, self, own, TRUE));
	RETURNS(KERN_SUCCESS, remap(&again, PAGES(2), VM_FLAGS_FIXED | VM_FLAGS_OVERWRITE, self, own, TRUE));
	CHECK(again == own + PAGES(1) && strcmp((char *)(uintptr_t)again, "source") == 0);
	CHECK(strcmp((char *)(uintptr_t)own, "source") == 0 && now == VM_PROT_DEFAULT);
	again = own;
	RETURNS(KERN_INVALID_ADDRESS, remap(&again, PAGES(2), VM_FLAGS_FIXED | VM_FLAGS_OVERWRITE, task, FORBIDDEN + PAGES(1), TRUE));
	CHECK(strcmp((char *)(uintptr_t)own, "source") == 0);

	/* The same memory: what is shared already. */
	strcpy(shared, "once");
	RETURNS(KERN_SUCCESS, vm_remap(self, &narrow, PAGES(2), 0x1fffff, VM_FLAGS_ANYWHERE, self, (vm_address_t)shared, FALSE,
			&now, &most, VM_INHERIT_SHARE));
	CHECK(narrow % 0x200000 == 0 && strcmp((char *)narrow, "once") == 0 && now == VM_PROT_DEFAULT);
	strcpy((char *)narrow, "twice");
	CHECK(strcmp(shared, "twice") == 0 && strcmp(perms(narrow), "rw-s") == 0);
	RETURNS(KERN_SUCCESS, vm_deallocate(self, narrow, PAGES(2)));
	RETURNS(KERN_NOT_SUPPORTED, remap(&again, PAGES(1), VM_FLAGS_ANYWHERE, self, own, FALSE));
	again = (uintptr_t)shared + PAGES(1);
	RETURNS(KERN_NOT_SUPPORTED, remap(&again, PAGES(2), VM_FLAGS_FIXED | VM_FLAGS_OVERWRITE, self, (uintptr_t)shared, FALSE));
	RETURNS(KERN_NOT_SUPPORTED, remap(&again, PAGES(1), VM_FLAGS_ANYWHERE, task, base, FALSE));
	RETURNS(KERN_NOT_SUPPORTED, mach_vm_remap(task, &again, PAGES(1), 0, VM_FLAGS_ANYWHERE, self, own, TRUE, &now, &most,
			VM_INHERIT_COPY));

	RETURNS(KERN_INVALID_ADDRESS, remap(&again, PAGES(1), VM_FLAGS_ANYWHERE, task, GAP, TRUE));
	RETURNS(KERN_PROTECTION_FAILURE, remap(&again, PAGES(5), VM_FLAGS_ANYWHERE, task, base, TRUE));
	RETURNS(KERN_INVALID_ARGUMENT, remap(&again, 0, VM_FLAGS_ANYWHERE, task, base, TRUE));
	RETURNS(KERN_INVALID_ARGUMENT, remap(&again, ~(mach_vm_size_t)0, VM_FLAGS_ANYWHERE, task, base, TRUE));
	RETURNS(KERN_INVALID_ARGUMENT, remap(&again, 1, 0x400, task, base, TRUE));
	RETURNS(KERN_INVALID_ARGUMENT, remap(NULL, 1, VM_FLAGS_ANYWHERE, task, base, TRUE));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_remap(self, &again, 1, 0, VM_FLAGS_ANYWHERE, task, base, TRUE, NULL, &most,
			VM_INHERIT_COPY));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_remap(self, &again, 1, 0, VM_FLAGS_ANYWHERE, task, base, TRUE, &now, &most, 3));
	RETURNS(MACH_SEND_INVALID_DEST, remap(&again, 1, VM_FLAGS_ANYWHERE, TASK_NULL, base, TRUE));
	RETURNS(MACH_SEND_INVALID_DEST, vm_remap(TASK_NULL, &narrow, 1, 0, VM_FLAGS_ANYWHERE, task, (vm_address_t)base, TRUE,
			&now, &most, VM_INHERIT_COPY));
	return failures != 0;
}
