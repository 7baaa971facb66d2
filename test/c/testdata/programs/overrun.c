/* SPDX-License-Identifier: Apache-2.0 */
/* Says that there is more room than there is: the address sanitizer must notice. */
#include "../check.h"

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv), object;
	mach_vm_address_t address = base;
	mach_vm_size_t size;
	mach_msg_type_number_t count = VM_REGION_BASIC_INFO_COUNT_64;
	int *info = (int *)malloc(sizeof(int) * (VM_REGION_BASIC_INFO_COUNT_64 - 1));

	mach_vm_region(task, &address, &size, VM_REGION_BASIC_INFO_64, info, &count, &object);
	printf("not noticed: %d\n", info[0]);
	return 0;
}
