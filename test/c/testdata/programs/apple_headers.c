/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program for macOS has from <mach/mach.h> though it includes no more:
 * strings, integers, the page, the macros of <sys/cdefs.h>.
 */
#include <mach/mach.h>

#if !__DARWIN_UNIX03
#error "the registers' names begin with __"
#endif

__BEGIN_DECLS
static int compare(const void *a, const void *b) __pure2;
__END_DECLS

static int compare(const void *a, const void *b)
{
	return *(const uint8_t *)a - *(const uint8_t *)b;
}

int main(__unused int argc, __unused char **argv)
{
	vm_address_t address = 0;
	mach_timespec_t second = { 1, 0 };
	char text[16];
	uint8_t low = 1, high = 2;
	size_t length;

	strcpy(text, "mach");
	length = strlen(text);
	memset(text + length, '!', 1);
	if (memcmp(text, "mach!", length + 1) != 0 || compare(&low, &high) >= 0)
		return 1;

	if (PAGE_SIZE != vm_page_size || PAGE_MASK != vm_page_mask || (int)PAGE_SHIFT != vm_page_shift)
		return 2;
	if (PAGE_SIZE < PAGE_MIN_SIZE || PAGE_SIZE > PAGE_MAX_SIZE || PAGE_SIZE != (vm_size_t)1 << PAGE_SHIFT)
		return 3;

	if (vm_allocate(mach_task_self(), &address, PAGE_SIZE, VM_FLAGS_ANYWHERE | VM_MAKE_TAG(VM_MEMORY_SQLITE)) != KERN_SUCCESS)
		return 4;
	if (address <= VM_MIN_ADDRESS || address >= VM_MAX_ADDRESS || (address & PAGE_MASK) != 0)
		return 5;
	if ((uint64_t)(uintptr_t)text >= MACH_VM_MAX_ADDRESS)
		return 6;
	if (vm_deallocate(mach_task_self(), address, PAGE_SIZE) != KERN_SUCCESS)
		return 7;

	if (second.tv_sec * NSEC_PER_SEC != 1000000000 || EXC_MASK_ALL == 0 || TASK_BOOTSTRAP_PORT != 4)
		return 8;
	return 0;
}
