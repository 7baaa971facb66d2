/* SPDX-License-Identifier: Apache-2.0 */
/* vm_msync and mach_vm_msync. */
#include "../check.h"

int main(int argc, char **argv)
{
	static const vm_sync_t flags[] = { 0, VM_SYNC_ASYNCHRONOUS, VM_SYNC_SYNCHRONOUS, VM_SYNC_INVALIDATE,
		VM_SYNC_SYNCHRONOUS | VM_SYNC_INVALIDATE, VM_SYNC_DEACTIVATE, VM_SYNC_REUSABLEPAGES };
	mach_port_t task = begin(argc, argv);
	char name[] = "/tmp/vm_msync-XXXXXX", *own, *remote;
	unsigned char seen;
	unsigned i;
	int fd = mkstemp(name);

	if (fd < 0 || ftruncate(fd, (off_t)PAGES(2)) != 0)
		exit(2);
	unlink(name);
	own = (char *)mmap(NULL, PAGES(2), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	remote = (char *)mmap(NULL, PAGES(2), PROT_READ, MAP_SHARED, fd, 0);
	CHECK(own != MAP_FAILED && remote != MAP_FAILED);
	strcpy(own, "to the file");
	for (i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		RETURNS(KERN_SUCCESS, vm_msync(mach_task_self(), (vm_address_t)own, PAGES(2), flags[i]));
		CHECK(strcmp(own, "to the file") == 0 && strcmp(remote, own) == 0);
		/* Without the flag a hole is passed over. */
		RETURNS(KERN_SUCCESS, mach_vm_msync(task, base, PAGES(8), flags[i]));
		RETURNS(KERN_SUCCESS, mach_vm_msync(task, base, PAGES(5), flags[i] | VM_SYNC_CONTIGUOUS));
		RETURNS(KERN_INVALID_ADDRESS, mach_vm_msync(task, base, PAGES(8), flags[i] | VM_SYNC_CONTIGUOUS));
		RETURNS(KERN_INVALID_ADDRESS, vm_msync(task, GAP, 1, flags[i] | VM_SYNC_CONTIGUOUS));
		peek(SECOND, &seen, 1);
		CHECK(seen == filled(0));
	}
	RETURNS(KERN_SUCCESS, mach_vm_msync(task, base, PAGES(1), VM_SYNC_KILLPAGES));
	peek(base + 100, &seen, 1);
	CHECK(seen == filled(100) || seen == 0);
	RETURNS(KERN_SUCCESS, mach_vm_msync(mach_task_self(), (uintptr_t)own, PAGES(1), VM_SYNC_KILLPAGES));
	CHECK(strcmp(own, "to the file") == 0);

	RETURNS(KERN_SUCCESS, vm_msync(task, GAP, 0, VM_SYNC_SYNCHRONOUS | VM_SYNC_ASYNCHRONOUS));
	RETURNS(KERN_INVALID_ARGUMENT, vm_msync(task, base, 1, VM_SYNC_SYNCHRONOUS | VM_SYNC_ASYNCHRONOUS));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_msync(task, base, ~(mach_vm_size_t)0, VM_SYNC_SYNCHRONOUS));
	RETURNS(MACH_SEND_INVALID_DEST, vm_msync(TASK_NULL, base, 1, VM_SYNC_SYNCHRONOUS));
	return failures != 0;
}
