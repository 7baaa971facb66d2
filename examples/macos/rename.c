/* SPDX-License-Identifier: Apache-2.0 */
/* A tool for macOS, unchanged: rename PID OLD NEW changes a name, wherever it stands. */
#include <mach/mach.h>
#include <mach/mach_vm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(const char *call, kern_return_t kr)
{
	if (kr == KERN_SUCCESS)
		return;
	fprintf(stderr, "%s: %s\n", call, mach_error_string(kr));
	exit(1);
}

int main(int argc, char **argv)
{
	mach_port_t task, object;
	mach_vm_address_t at = 0;
	mach_vm_size_t size, got, i, length;
	vm_region_basic_info_data_64_t info;
	mach_msg_type_number_t count = VM_REGION_BASIC_INFO_COUNT_64;
	int found = 0;

	if (argc != 4 || *argv[2] == 0 || strlen(argv[3]) > strlen(argv[2])) {
		fprintf(stderr, "usage: rename PID OLD NEW, where NEW is no longer than OLD\n");
		return 64;
	}
	length = strlen(argv[2]) + 1;
	must("task_for_pid", task_for_pid(mach_task_self(), atoi(argv[1]), &task));
	must("task_suspend", task_suspend(task));
	for (;; at += size, count = VM_REGION_BASIC_INFO_COUNT_64) {
		unsigned char *copy;

		if (mach_vm_region(task, &at, &size, VM_REGION_BASIC_INFO_64, (vm_region_info_t)&info, &count, &object))
			break; /* that was the last */
		if ((info.protection & VM_PROT_DEFAULT) != VM_PROT_DEFAULT || (copy = (unsigned char *)malloc(size)) == NULL)
			continue;
		if (mach_vm_read_overwrite(task, at, size, (mach_vm_address_t)(uintptr_t)copy, &got) != KERN_SUCCESS)
			got = 0; /* it cannot be faulted in */
		for (i = 0; i + length <= got; i++) {
			if (memcmp(copy + i, argv[2], length) != 0)
				continue;
			must("vm_write", vm_write(task, at + i, (vm_offset_t)argv[3], strlen(argv[3]) + 1));
			found++;
		}
		free(copy);
	}
	must("task_resume", task_resume(task));
	printf("renamed in %d places\n", found);
	return found == 0;
}
