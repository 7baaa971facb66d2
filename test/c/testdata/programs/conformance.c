/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the calls that it reads: "CALL b OFFSET SIZE" for an address beside its
 * base, "CALL a ADDRESS SIZE" for any. It answers each with its code.
 *
 *   conformance PID BASE OTHER    on a target, with two regions of REGION bytes
 *   conformance self              on itself
 */
#include "../check.h"

enum { REGION = 16384 };

/* Where the kernel puts nothing of its own, so that the holes stay. */
static mach_vm_address_t own_region(uintptr_t at)
{
	void *p = mmap((void *)at, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p != (void *)at)
		exit(2);
	memset(p, 'o', REGION);
	return at;
}

int main(int argc, char **argv)
{
	mach_port_t task = mach_task_self();
	mach_vm_address_t target = 0, other = 0, own, start, address, mine;
	mach_vm_size_t size, out;
	vm_offset_t data;
	mach_msg_type_number_t count;
	kern_return_t kr;
	char call[64], kind;

	setvbuf(stdout, NULL, _IOLBF, 0);
	own = own_region(0x200000000000);
	if (argc > 3) {
		task = begin(argc, argv);
		target = base;
		other = strtoull(argv[3], NULL, 0);
	} else {
		target = own;
		other = own_region(0x210000000000);
	}
	while (scanf("%63s %c %" SCNi64 " %" SCNi64, call, &kind, (int64_t *)&start, (int64_t *)&size) == 4) {
		address = kind == 'b' ? target + start : start;
		mine = kind == 'b' ? own + start : start;
		kr = -1;
		if (strcmp(call, "mach_vm_write(dst)") == 0)
			kr = mach_vm_write(task, address, (vm_offset_t)own, (mach_msg_type_number_t)size);
		if (strcmp(call, "mach_vm_write(src)") == 0) /* nothing comes from the address 0 */
			kr = mach_vm_write(task, other, (vm_offset_t)mine, (mach_msg_type_number_t)size);
		if (strcmp(call, "mach_vm_read_overwrite(src)") == 0)
			kr = mach_vm_read_overwrite(task, address, size, own, &out);
		if (strcmp(call, "mach_vm_read_overwrite(dst)") == 0)
			kr = mach_vm_read_overwrite(task, other, size, mine, &out);
		if (strcmp(call, "mach_vm_copy(src)") == 0)
			kr = mach_vm_copy(task, address, size, other);
		if (strcmp(call, "mach_vm_copy(dst)") == 0)
			kr = mach_vm_copy(task, other, size, address);
		if (strcmp(call, "mach_vm_protect(RW,set_max=0)") == 0)
			kr = mach_vm_protect(task, address, size, FALSE, VM_PROT_READ | VM_PROT_WRITE);
		if (strcmp(call, "mach_vm_read") == 0) {
			kr = mach_vm_read(task, address, size, &data, &count);
			if (kr == KERN_SUCCESS)
				vm_deallocate(mach_task_self(), data, count);
		}
		printf("%d\n", kr);
	}
	return failures != 0;
}
