/* SPDX-License-Identifier: Apache-2.0 */
/* vm_inherit and mach_vm_inherit. */
#include "../check.h"

/* Whether the kernel keeps the target's mapping there from the child of a fork: the flag dc of smaps. */
static int kept_from_children(int pid, mach_vm_address_t address)
{
	char path[64], line[4096];
	uint64_t start, end;
	int inside = 0;
	FILE *smaps;

	snprintf(path, sizeof path, "/proc/%d/smaps", pid);
	smaps = fopen(path, "r");
	while (smaps != NULL && fgets(line, sizeof line, smaps) != NULL) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2)
			inside = start <= address && address < end;
		if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			fclose(smaps);
			return strstr(line, " dc ") != NULL || strstr(line, " dc\n") != NULL;
		}
	}
	if (smaps != NULL)
		fclose(smaps);
	return -1;
}

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv);
	mach_vm_address_t own = 0;
	void *shared;
	unsigned char residency[2];
	pid_t child;
	int status;

	/* The pages that the range touches; a hole is passed over. */
	RETURNS(KERN_SUCCESS, vm_inherit(task, base + PAGES(2) - 1, PAGES(5), VM_INHERIT_NONE));
	CHECK(kept_from_children(target_pid, base) == 0 && kept_from_children(target_pid, base + PAGES(1)) == 1);
	CHECK(kept_from_children(target_pid, FORBIDDEN) == 1 && kept_from_children(target_pid, SECOND) == 1);
	CHECK(kept_from_children(target_pid, SECOND + PAGES(1)) == 0);
	RETURNS(KERN_SUCCESS, mach_vm_inherit(task, base, PAGES(7), VM_INHERIT_COPY));
	CHECK(kept_from_children(target_pid, base + PAGES(1)) == 0 && kept_from_children(target_pid, SECOND) == 0);
	RETURNS(KERN_SUCCESS, mach_vm_inherit(task, GAP, 1, VM_INHERIT_NONE));

	/* It is the mapping that decides between a copy and the memory itself. */
	RETURNS(KERN_NOT_SUPPORTED, mach_vm_inherit(task, base, PAGES(2), VM_INHERIT_SHARE));
	shared = mmap(NULL, PAGES(1), PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	RETURNS(KERN_SUCCESS, vm_inherit(mach_task_self(), (vm_address_t)shared, 1, VM_INHERIT_NONE));
	CHECK(kept_from_children(getpid(), (uintptr_t)shared) == 1);
	RETURNS(KERN_NOT_SUPPORTED, vm_inherit(mach_task_self(), (vm_address_t)shared, 1, VM_INHERIT_COPY));
	CHECK(kept_from_children(getpid(), (uintptr_t)shared) == 1);
	RETURNS(KERN_SUCCESS, vm_inherit(mach_task_self(), (vm_address_t)shared, 1, VM_INHERIT_SHARE));
	CHECK(kept_from_children(getpid(), (uintptr_t)shared) == 0);

	RETURNS(KERN_SUCCESS, mach_vm_allocate(mach_task_self(), &own, PAGES(2), VM_FLAGS_ANYWHERE));
	RETURNS(KERN_SUCCESS, mach_vm_inherit(mach_task_self(), own, 1, VM_INHERIT_NONE));
	child = fork_with_us();
	if (child == 0) /* mincore fails for what is not mapped */
		_exit(mincore((void *)(uintptr_t)own, PAGES(1), residency) == 0 ||
			mincore((void *)(uintptr_t)(own + PAGES(1)), PAGES(1), residency) != 0);
	CHECK(waitpid(child, &status, 0) == child && status == 0);

	RETURNS(KERN_SUCCESS, vm_inherit(task, base, 0, 7));
	RETURNS(KERN_INVALID_ARGUMENT, vm_inherit(task, base, 1, VM_INHERIT_DONATE_COPY));
	RETURNS(KERN_INVALID_ARGUMENT, vm_inherit(task, base, 1, (vm_inherit_t)-1));
	RETURNS(KERN_INVALID_ARGUMENT, mach_vm_inherit(task, base, ~(mach_vm_size_t)0, VM_INHERIT_NONE));
	RETURNS(MACH_SEND_INVALID_DEST, vm_inherit(TASK_NULL, base, 1, VM_INHERIT_NONE));
	RETURNS(MACH_SEND_INVALID_DEST, mach_vm_inherit(TASK_NULL, base, 0, VM_INHERIT_NONE));
	return failures != 0;
}
