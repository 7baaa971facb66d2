/* SPDX-License-Identifier: Apache-2.0 */
/* host_page_size, mach_host_self, and the variables of the page. */
#include "../check.h"

int main(int argc, char **argv)
{
	vm_size_t size = 7;
	mach_vm_address_t odd = 0x12345678;

	begin(argc, argv);
	RETURNS(KERN_INVALID_ARGUMENT, host_page_size(mach_host_self(), NULL));
	/* The port does not matter: programs pass that of a task. */
	RETURNS(KERN_SUCCESS, host_page_size(HOST_NULL, &size));
	CHECK(size == vm_page_size);
	size = 7;
	RETURNS(KERN_SUCCESS, host_page_size(mach_task_self(), &size));
	CHECK(size == vm_page_size);
	RETURNS(KERN_SUCCESS, host_page_size(mach_host_self(), &size));
	CHECK(size == (vm_size_t)sysconf(_SC_PAGESIZE) && size == vm_page_size && size == vm_kernel_page_size);
	CHECK(vm_page_mask == size - 1 && (vm_size_t)1 << vm_page_shift == size);
	CHECK(vm_kernel_page_mask == vm_page_mask && vm_kernel_page_shift == vm_page_shift);
	CHECK(trunc_page(odd) <= odd && trunc_page(odd) % size == 0 && round_page(odd) == trunc_page(odd) + size);
	CHECK(mach_vm_trunc_page(odd) == trunc_page(odd) && mach_vm_round_page(odd) == round_page(odd));
	CHECK(mach_vm_round_page(size) == size && mach_vm_round_page(0) == 0);
	CHECK(mach_host_self() == mach_host_self());
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), mach_host_self()));
	RETURNS(KERN_SUCCESS, host_page_size(mach_host_self(), &size));
	return failures != 0;
}
