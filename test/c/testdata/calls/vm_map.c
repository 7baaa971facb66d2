/* SPDX-License-Identifier: Apache-2.0 */
/* vm_map, vm_map_64 and mach_vm_map. */
#include "../check.h"

#define TWO_MB ((mach_vm_offset_t)0x1fffff)

static kern_return_t map(mach_port_t task, mach_vm_address_t *at, mach_vm_size_t size, mach_vm_offset_t mask, int flags,
	vm_prot_t current, vm_prot_t maximum, vm_inherit_t inheritance)
{
	return mach_vm_map(task, at, size, mask, flags, MACH_PORT_NULL, 0, FALSE, current, maximum, inheritance);
}

static void in(mach_port_t task, int pid)
{
	mach_vm_address_t at = 0, other = 0;
	vm_address_t narrow = 0;
	char text[] = "mapped", seen[8];
	int i;

	target_pid = pid; /* for perms and peek */
	RETURNS(KERN_SUCCESS, map(task, &at, PAGES(1) + 1, 0, VM_FLAGS_ANYWHERE, VM_PROT_DEFAULT, VM_PROT_ALL,
			VM_INHERIT_DEFAULT));
	CHECK(at % vm_page_size == 0 && strcmp(perms(at + PAGES(1)), "rw-p") == 0);
	RETURNS(KERN_SUCCESS, mach_vm_write(task, at, (vm_offset_t)text, sizeof text));
	peek(at, seen, sizeof text);
	CHECK(strcmp(seen, text) == 0);
	RETURNS(KERN_NO_SPACE, map(task, &at, 1, 0, VM_FLAGS_FIXED, VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_DEFAULT));
	RETURNS(KERN_SUCCESS, map(task, &at, 1, 0, VM_FLAGS_FIXED | VM_FLAGS_OVERWRITE, VM_PROT_READ, VM_PROT_ALL,
			VM_INHERIT_DEFAULT));
	peek(at, seen, 1);
	CHECK(seen[0] == 0 && strcmp(perms(at), "r--p") == 0 && strcmp(perms(at + PAGES(1)), "rw-p") == 0);
	RETURNS(KERN_SUCCESS, mach_vm_deallocate(task, at, PAGES(2)));
	RETURNS(KERN_SUCCESS, map(task, &at, 1, 0, VM_FLAGS_FIXED, VM_PROT_NONE, VM_PROT_ALL, VM_INHERIT_DEFAULT));
	CHECK(strcmp(perms(at), "---p") == 0 && strcmp(perms(at + PAGES(1)), "gap") == 0);
	RETURNS(KERN_SUCCESS, mach_vm_deallocate(task, at, 1));

	/* The bits of the mask are 0. */
	for (i = 0; i < 20; i++) {
		other = at = 0;
		RETURNS(KERN_SUCCESS, map(task, &at, PAGES(3), TWO_MB, VM_FLAGS_ANYWHERE, VM_PROT_ALL, VM_PROT_ALL,
				VM_INHERIT_DEFAULT));
		CHECK((at & TWO_MB) == 0 && strcmp(perms(at + PAGES(2)), "rwxp") == 0);
		RETURNS(KERN_SUCCESS, map(task, &other, PAGES(1), 0xffff, VM_FLAGS_ANYWHERE, VM_PROT_DEFAULT, VM_PROT_ALL,
				VM_INHERIT_DEFAULT));
		CHECK((other & 0xffff) == 0);
		RETURNS(KERN_SUCCESS, mach_vm_deallocate(task, at, PAGES(3)));
		RETURNS(KERN_SUCCESS, mach_vm_deallocate(task, other, PAGES(1)));
		CHECK(strcmp(perms(at), "gap") == 0);
	}
	at = 0x200000000000 + PAGES(1);
	RETURNS(KERN_NO_SPACE, map(task, &at, 1, TWO_MB, VM_FLAGS_FIXED, VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_DEFAULT));
	RETURNS(KERN_NO_SPACE, map(task, &at, 1, ~(mach_vm_offset_t)0, VM_FLAGS_ANYWHERE, VM_PROT_DEFAULT, VM_PROT_ALL,
			VM_INHERIT_DEFAULT));
	at = ~(mach_vm_address_t)0 - vm_page_size + 1;
	RETURNS(KERN_NO_SPACE, map(task, &at, PAGES(1), 0, VM_FLAGS_ANYWHERE, VM_PROT_DEFAULT, VM_PROT_ALL,
			VM_INHERIT_DEFAULT));

	/* What a child of a fork gets; and what the highest protection lacks. */
	at = 0;
	RETURNS(KERN_SUCCESS, map(task, &at, 1, 0, VM_FLAGS_ANYWHERE, VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_SHARE));
	CHECK(strcmp(perms(at), "rw-s") == 0);
	RETURNS(KERN_SUCCESS, mach_vm_deallocate(task, at, 1));
	RETURNS(KERN_SUCCESS, map(task, &at, 1, 0, VM_FLAGS_ANYWHERE, VM_PROT_DEFAULT, VM_PROT_READ, VM_INHERIT_NONE));
	CHECK(strcmp(perms(at), "r--p") == 0);
	RETURNS(KERN_SUCCESS, mach_vm_deallocate(task, at, 1));

	RETURNS(KERN_SUCCESS, vm_map(task, &narrow, 1, 0, VM_FLAGS_ANYWHERE | VM_MAKE_TAG(1), MACH_PORT_NULL, 0, FALSE,
			VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_DEFAULT));
	RETURNS(KERN_SUCCESS, vm_deallocate(task, narrow, 1));
	RETURNS(KERN_SUCCESS, vm_map_64(task, &narrow, 1, 0, VM_FLAGS_ANYWHERE, MACH_PORT_NULL, 0, TRUE, VM_PROT_DEFAULT,
			VM_PROT_ALL, VM_INHERIT_DEFAULT));
	RETURNS(KERN_SUCCESS, vm_deallocate(task, narrow, 1));

	at = 0;
	RETURNS(KERN_INVALID_ADDRESS, map(task, &at, 1, 0, VM_FLAGS_FIXED, VM_PROT_READ, VM_PROT_ALL, VM_INHERIT_COPY));
	RETURNS(KERN_INVALID_ARGUMENT, map(task, &at, 0, 0, VM_FLAGS_ANYWHERE, VM_PROT_READ, VM_PROT_ALL, VM_INHERIT_COPY));
	RETURNS(KERN_INVALID_ARGUMENT, map(task, &at, 1, 0, 0x400, VM_PROT_READ, VM_PROT_ALL, VM_INHERIT_COPY));
	RETURNS(KERN_INVALID_ARGUMENT, map(task, &at, 1, 0, VM_FLAGS_ANYWHERE, VM_PROT_ALL + 1, VM_PROT_ALL, VM_INHERIT_COPY));
	RETURNS(KERN_INVALID_ARGUMENT, map(task, &at, 1, 0, VM_FLAGS_ANYWHERE, VM_PROT_READ, VM_PROT_ALL + 1, VM_INHERIT_COPY));
	RETURNS(KERN_INVALID_ARGUMENT, map(task, &at, 1, 0, VM_FLAGS_ANYWHERE, VM_PROT_READ, VM_PROT_ALL,
			VM_INHERIT_LAST_VALID + 1));
	RETURNS(KERN_INVALID_ARGUMENT, map(task, &at, ~(mach_vm_size_t)0, 0, VM_FLAGS_ANYWHERE, VM_PROT_READ, VM_PROT_ALL,
			VM_INHERIT_COPY));
	RETURNS(KERN_NO_SPACE, map(task, &at, ~(mach_vm_size_t)0 - vm_page_size + 1, 0, VM_FLAGS_ANYWHERE, VM_PROT_READ,
			VM_PROT_ALL, VM_INHERIT_COPY));
	RETURNS(KERN_NOT_SUPPORTED, mach_vm_map(task, &at, 1, 0, VM_FLAGS_ANYWHERE, mach_host_self(), 0, FALSE,
			VM_PROT_READ, VM_PROT_ALL, VM_INHERIT_COPY));
	RETURNS(KERN_INVALID_ARGUMENT, map(task, NULL, 1, 0, VM_FLAGS_ANYWHERE, VM_PROT_READ, VM_PROT_ALL, VM_INHERIT_COPY));
	CHECK(at == 0);
}

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);
	mach_vm_address_t at = 0;

	in(task, target_pid);
	in(mach_task_self(), getpid());
	RETURNS(MACH_SEND_INVALID_DEST, map(TASK_NULL, &at, 1, 0, VM_FLAGS_ANYWHERE, VM_PROT_READ, VM_PROT_ALL,
			VM_INHERIT_COPY));
	return failures != 0;
}
