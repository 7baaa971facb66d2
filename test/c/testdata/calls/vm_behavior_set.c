/* SPDX-License-Identifier: Apache-2.0 */
/* vm_behavior_set and mach_vm_behavior_set. */
#include "../check.h"

int main(int argc, char **argv)
{
	static const vm_behavior_t harmless[] = { VM_BEHAVIOR_DEFAULT, VM_BEHAVIOR_RANDOM, VM_BEHAVIOR_SEQUENTIAL,
		VM_BEHAVIOR_RSEQNTL, VM_BEHAVIOR_WILLNEED, VM_BEHAVIOR_DONTNEED, VM_BEHAVIOR_PAGEOUT, VM_BEHAVIOR_REUSE,
		VM_BEHAVIOR_CAN_REUSE };
	mach_port_t task = begin(argc, argv);
	mach_vm_address_t own = 0;
	unsigned char seen;
	char *shared;
	unsigned i;

	/* No byte is lost. */
	for (i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
		RETURNS(KERN_SUCCESS, vm_behavior_set(task, base + 1, PAGES(4), harmless[i]));
		RETURNS(KERN_SUCCESS, mach_vm_behavior_set(mach_task_self(), (uintptr_t)&harmless, 1, harmless[i]));
		peek(base + PAGES(1), &seen, 1);
		CHECK(seen == filled(PAGES(1)));
		RETURNS(KERN_INVALID_ADDRESS, vm_behavior_set(task, FORBIDDEN, PAGES(2), harmless[i]));
		RETURNS(KERN_INVALID_ADDRESS, vm_behavior_set(task, GAP, PAGES(2), harmless[i]));
	}
	RETURNS(KERN_SUCCESS, vm_behavior_set(task, base, PAGES(2), VM_BEHAVIOR_ZERO_WIRED_PAGES));
	peek(base, &seen, 1);
	CHECK(seen == filled(0));

	/* What is not needed is what it was, or zeros. */
	RETURNS(KERN_SUCCESS, vm_behavior_set(task, base, PAGES(1), VM_BEHAVIOR_FREE));
	peek(base + 100, &seen, 1);
	CHECK(seen == filled(100) || seen == 0);
	RETURNS(KERN_SUCCESS, mach_vm_behavior_set(task, base + PAGES(1), PAGES(1), VM_BEHAVIOR_REUSABLE));
	RETURNS(KERN_SUCCESS, mach_vm_behavior_set(task, base + PAGES(1), PAGES(1), VM_BEHAVIOR_REUSE));
	seen = 9;
	RETURNS(KERN_SUCCESS, vm_write(task, base + PAGES(1), (vm_offset_t)&seen, 1));
	seen = 0;
	peek(base + PAGES(1), &seen, 1);
	CHECK(seen == 9);

	/* That is so of private memory alone. */
	shared = (char *)mmap(NULL, PAGES(1), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*shared = 7;
	RETURNS(KERN_SUCCESS, vm_behavior_set(mach_task_self(), (vm_address_t)shared, 1, VM_BEHAVIOR_FREE));
	CHECK(*shared == 7);
	RETURNS(KERN_SUCCESS, mach_vm_allocate(mach_task_self(), &own, PAGES(1), VM_FLAGS_ANYWHERE));
	RETURNS(KERN_SUCCESS, mach_vm_behavior_set(mach_task_self(), own, PAGES(1), VM_BEHAVIOR_FREE));

	RETURNS(KERN_PROTECTION_FAILURE, vm_behavior_set(task, base, PAGES(3), VM_BEHAVIOR_REUSABLE));
	RETURNS(KERN_PROTECTION_FAILURE, vm_behavior_set(task, READ_ONLY, 1, VM_BEHAVIOR_ZERO_WIRED_PAGES));
	RETURNS(KERN_INVALID_ADDRESS, vm_behavior_set(task, FORBIDDEN, PAGES(2), VM_BEHAVIOR_FREE));
	RETURNS(KERN_SUCCESS, vm_behavior_set(task, GAP, 0, VM_BEHAVIOR_RANDOM));
	RETURNS(KERN_INVALID_ARGUMENT, vm_behavior_set(task, base, 1, -1));
	RETURNS(KERN_INVALID_ARGUMENT, vm_behavior_set(task, base, 1, 99));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_behavior_set(task, base, ~(mach_vm_size_t)0, VM_BEHAVIOR_RANDOM));
	RETURNS(MACH_SEND_INVALID_DEST, vm_behavior_set(TASK_NULL, base, 1, VM_BEHAVIOR_RANDOM));
	return failures != 0;
}
