/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This process: its names, its page size, and whether it is the one that the
 * library was loaded into.
 */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include <dlfcn.h>
#include <mach/mach.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "_cgo_export.h"

/* ports.go knows these two: the slots 1 and 2, and a generation of 3. */
mach_port_t mach_task_self_ = 1 << 16 | 3;
static const mach_port_t host_name = 2 << 16 | 3;

vm_size_t vm_page_size = 4096;
vm_size_t vm_page_mask = 4095;
int vm_page_shift = 12;
vm_size_t vm_kernel_page_size = 4096;
vm_size_t vm_kernel_page_mask = 4095;
int vm_kernel_page_shift = 12;

/*
 * The child of a fork has one thread, and Go's scheduler, its locks and its other
 * threads are gone or stand still: a call into Go could wait for ever. The pid
 * tells a child of fork, vfork or clone at once; the handler tells that of a fork
 * into a new pid namespace, where both can be number 1.
 */
static pid_t own_pid;
static volatile int forked;

static void note_fork(void) { forked = 1; }

int machcompat_in_child(void) { return forked || getpid() != own_pid; }

/*
 * Sets a variable of the library. A program may have got a copy of it at its start
 * (R_*_COPY), which is then what all but this library see.
 */
static void set(const char *name, void *variable, const void *value, size_t size)
{
	void *shown = dlsym(RTLD_DEFAULT, name);

	memcpy(variable, value, size);
	if (shown != NULL)
		memcpy(shown, value, size);
}

static void set_page_size(void)
{
	vm_size_t size = (vm_size_t)sysconf(_SC_PAGESIZE), mask = size - 1;
	int shift = __builtin_ctzl((unsigned long)size);

	set("vm_page_size", &vm_page_size, &size, sizeof size);
	set("vm_page_mask", &vm_page_mask, &mask, sizeof mask);
	set("vm_page_shift", &vm_page_shift, &shift, sizeof shift);
	set("vm_kernel_page_size", &vm_kernel_page_size, &size, sizeof size);
	set("vm_kernel_page_mask", &vm_kernel_page_mask, &mask, sizeof mask);
	set("vm_kernel_page_shift", &vm_kernel_page_shift, &shift, sizeof shift);
}

/* Before the constructors of whoever uses the library. */
__attribute__((constructor(101))) static void begin(void)
{
	own_pid = getpid();
	pthread_atfork(NULL, NULL, note_fork);
	set_page_size();
}

#undef mach_task_self
mach_port_t mach_task_self(void) { return mach_task_self_; }

mach_port_name_t task_self_trap(void) { return mach_task_self_; }

mach_port_t mach_host_self(void)
{
	/* One more right to the host, as there. */
	if (!machcompat_in_child())
		machcompatPortModRefs(mach_task_self_, host_name, MACH_PORT_RIGHT_SEND, 1);
	return host_name;
}

kern_return_t host_page_size(host_t host, vm_size_t *out_page_size)
{
	(void)host; /* as on macOS, where programs pass any port */
	if (out_page_size == NULL)
		return KERN_INVALID_ARGUMENT;
	*out_page_size = vm_page_size;
	return KERN_SUCCESS;
}

kern_return_t machcompat_check_host(host_t host, kern_return_t not_a_host)
{
	if (host == host_name)
		return KERN_SUCCESS;
	if (machcompat_in_child() || !machcompatHasName(host))
		return MACH_SEND_INVALID_DEST;
	return not_a_host;
}
