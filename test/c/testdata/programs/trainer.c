/* SPDX-License-Identifier: Apache-2.0 */
/* A trainer, as one writes it for macOS: trainer PID OLD NEW. */
#include <mach/mach.h>
#include <mach/mach_vm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (1 << 20)

static int found;

static void scan(task_t task, mach_vm_address_t address, mach_vm_size_t size, uint32_t old_value, uint32_t new_value)
{
	static unsigned char buffer[CHUNK];
	mach_vm_size_t offset, i, got;
	kern_return_t kr;

	for (offset = 0; offset < size; offset += got) {
		mach_vm_size_t want = size - offset < CHUNK ? size - offset : CHUNK;
		kr = mach_vm_read_overwrite(task, address + offset, want, (mach_vm_address_t)(uintptr_t)buffer, &got);
		if (kr != KERN_SUCCESS)
			return; /* gone since, or cannot be faulted in */
		for (i = 0; i + sizeof old_value <= got; i += sizeof old_value) {
			if (memcmp(buffer + i, &old_value, sizeof old_value) != 0)
				continue;
			kr = mach_vm_write(task, address + offset + i, (vm_offset_t)&new_value, sizeof new_value);
			if (kr != KERN_SUCCESS)
				mach_error("mach_vm_write", kr);
			else
				found++;
		}
	}
}

int main(int argc, char **argv)
{
	mach_port_t task, object_name;
	mach_vm_address_t address = 0;
	mach_vm_size_t size = 0;
	vm_region_basic_info_data_64_t info;
	mach_msg_type_number_t count;
	kern_return_t kr;

	if (argc != 4)
		return 64;
	kr = task_for_pid(mach_task_self(), atoi(argv[1]), &task);
	if (kr != KERN_SUCCESS) {
		fprintf(stderr, "task_for_pid: %s\n", mach_error_string(kr));
		return 1;
	}
	for (;; address += size) {
		count = VM_REGION_BASIC_INFO_COUNT_64;
		kr = mach_vm_region(task, &address, &size, VM_REGION_BASIC_INFO_64, (vm_region_info_t)&info, &count,
			&object_name);
		if (kr != KERN_SUCCESS)
			break;
		if ((info.protection & (VM_PROT_READ | VM_PROT_WRITE)) == (VM_PROT_READ | VM_PROT_WRITE))
			scan(task, address, size, (uint32_t)strtoul(argv[2], NULL, 0), (uint32_t)strtoul(argv[3], NULL, 0));
	}
	mach_port_deallocate(mach_task_self(), task);
	printf("%d\n", found);
	return found == 0;
}
