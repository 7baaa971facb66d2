/* SPDX-License-Identifier: Apache-2.0 */
/* A patcher, as one writes it for macOS: patcher PID FUNCTION. The function returns 1 then. */
#include <mach/mach.h>
#include <mach/vm_map.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
static const unsigned char return_1[] = { 0xb8, 1, 0, 0, 0, 0xc3 }; /* mov $1, %eax; ret */
#elif defined(__aarch64__)
static const unsigned char return_1[] = { 0x20, 0, 0x80, 0x52, 0xc0, 3, 0x5f, 0xd6 }; /* mov w0, #1; ret */
#endif

static void must(const char *what, kern_return_t kr)
{
	if (kr == KERN_SUCCESS)
		return;
	mach_error(what, kr);
	exit(1);
}

int main(int argc, char **argv)
{
	mach_port_t task = MACH_PORT_NULL;
	vm_address_t function;
	vm_offset_t before;
	mach_msg_type_number_t count;

	if (argc != 3)
		return 64;
	function = (vm_address_t)strtoull(argv[2], NULL, 0);
	must("task_for_pid", task_for_pid(mach_task_self(), atoi(argv[1]), &task));
	must("vm_read", vm_read(task, function, sizeof return_1, &before, &count));
	if (vm_write(task, function, (pointer_t)return_1, sizeof return_1) != KERN_PROTECTION_FAILURE)
		return 2;
	must("task_suspend", task_suspend(task));
	must("vm_protect", vm_protect(task, function, sizeof return_1, FALSE, VM_PROT_READ | VM_PROT_WRITE | VM_PROT_COPY));
	must("vm_write", vm_write(task, function, (pointer_t)return_1, sizeof return_1));
	must("vm_protect", vm_protect(task, function, sizeof return_1, FALSE, VM_PROT_READ | VM_PROT_EXECUTE));
	must("task_resume", task_resume(task));
	if (memcmp((const void *)before, return_1, sizeof return_1) == 0)
		return 3;
	must("vm_deallocate", vm_deallocate(mach_task_self(), before, count));
	return 0;
}
