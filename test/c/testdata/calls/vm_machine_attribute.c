/* SPDX-License-Identifier: Apache-2.0 */
/* vm_machine_attribute and mach_vm_machine_attribute. */
#include "../check.h"

#if defined(__aarch64__)
static const unsigned int seven[] = { 0x528000e0, 0xd65f03c0 }; /* mov w0, #7; ret */
static const unsigned int eight[] = { 0x52800100, 0xd65f03c0 };
#else
static const unsigned char seven[] = { 0xb8, 7, 0, 0, 0, 0xc3 }; /* mov $7, %eax; ret */
static const unsigned char eight[] = { 0xb8, 8, 0, 0, 0, 0xc3 };
#endif

static int call(mach_vm_address_t code)
{
	uintptr_t address = (uintptr_t)code;
	int (*function)(void);

	memcpy(&function, &address, sizeof function);
	return function();
}

static void put(mach_vm_address_t at, const void *code, size_t size)
{
	vm_machine_attribute_val_t value = MATTR_VAL_CACHE_FLUSH;

	RETURNS(KERN_SUCCESS, mach_vm_protect(mach_task_self(), at, size, FALSE, VM_PROT_DEFAULT));
	memcpy((void *)(uintptr_t)at, code, size);
	RETURNS(KERN_SUCCESS, mach_vm_protect(mach_task_self(), at, size, FALSE, VM_PROT_READ | VM_PROT_EXECUTE));
	RETURNS(KERN_SUCCESS, mach_vm_machine_attribute(mach_task_self(), at, size, MATTR_CACHE, &value));
	CHECK(value == MATTR_VAL_CACHE_FLUSH);
}

int main(int argc, char **argv)
{
	static const vm_machine_attribute_val_t values[] = { MATTR_VAL_CACHE_FLUSH, MATTR_VAL_DCACHE_FLUSH,
		MATTR_VAL_ICACHE_FLUSH, MATTR_VAL_CACHE_SYNC, MATTR_VAL_GET };
	mach_port_t task = begin(argc, argv);
	vm_machine_attribute_val_t value;
	mach_vm_address_t code = 0;
	unsigned char seen;
	unsigned i;

	/* What is written becomes what is executed. */
	RETURNS(KERN_SUCCESS, mach_vm_allocate(mach_task_self(), &code, PAGES(1), VM_FLAGS_ANYWHERE));
	for (i = 0; i < 100; i++) {
		put(code, seven, sizeof seven);
		CHECK(call(code) == 7);
		put(code, eight, sizeof eight);
		CHECK(call(code) == 8);
	}

	RETURNS(KERN_SUCCESS, mach_vm_protect(task, base, PAGES(1), FALSE, VM_PROT_READ | VM_PROT_EXECUTE));
	for (i = 0; i < sizeof values / sizeof values[0]; i++) {
		value = values[i];
		RETURNS(KERN_SUCCESS, vm_machine_attribute(task, base + 1, PAGES(4), MATTR_CACHE, &value));
		CHECK(value == values[i]);
		RETURNS(KERN_SUCCESS, vm_machine_attribute(mach_task_self(), (vm_address_t)&value, 1, MATTR_CACHE, &value));
	}
	peek(base + 100, &seen, 1);
	CHECK(seen == filled(100));

	RETURNS(KERN_SUCCESS, vm_machine_attribute(task, GAP, 0, MATTR_CACHE, &value));
	RETURNS(KERN_FAILURE, vm_machine_attribute(task, GAP, 1, MATTR_CACHE, &value));
	RETURNS(KERN_FAILURE, vm_machine_attribute(task, base, PAGES(8), MATTR_CACHE, &value));
	RETURNS(KERN_INVALID_ADDRESS, mach_vm_machine_attribute(task, base, ~(mach_vm_size_t)0, MATTR_CACHE, &value));
	RETURNS(KERN_NOT_SUPPORTED, vm_machine_attribute(task, base, 1, MATTR_MIGRATE, &value));
	RETURNS(KERN_INVALID_ARGUMENT, vm_machine_attribute(task, base, 1, MATTR_CACHE, NULL));
	RETURNS(MACH_SEND_INVALID_DEST, vm_machine_attribute(TASK_NULL, base, 1, MATTR_CACHE, &value));
	return failures != 0;
}
