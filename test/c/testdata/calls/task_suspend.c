/* SPDX-License-Identifier: Apache-2.0 */
/* task_suspend and task_resume, on a child that counts. Another child is a clock. */
#include "../check.h"

static volatile uint64_t *counter, *ticks;

static pid_t count_in_child(volatile uint64_t *number)
{
	pid_t child = fork_with_us();

	if (child == 0)
		for (;; usleep(100))
			*number = *number + 1;
	return child;
}

static int counts(void)
{
	uint64_t before = *counter;

	WAIT_FOR(*counter != before);
	return *counter != before;
}

static int stands_still(void)
{
	uint64_t before = *counter, tick = *ticks;

	WAIT_FOR(*ticks >= tick + 100);
	return *counter == before;
}

int main(int argc, char **argv)
{
	mach_port_t task;
	pid_t child, clock;

	begin(argc, argv);
	counter = (volatile uint64_t *)mmap(NULL, PAGES(2), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ticks = counter + PAGES(1) / sizeof *counter;
	child = count_in_child(counter);
	clock = count_in_child(ticks);
	RETURNS(KERN_SUCCESS, task_for_pid(mach_task_self(), child, &task));
	CHECK(counts());
	RETURNS(KERN_FAILURE, task_resume(task));
	RETURNS(KERN_SUCCESS, task_suspend(task));
	RETURNS(KERN_SUCCESS, task_suspend(task));
	CHECK(stands_still());
	/* Memory can be read, written and protected meanwhile. */
	RETURNS(KERN_SUCCESS, vm_protect(task, (vm_address_t)counter, 1, FALSE, VM_PROT_READ));
	RETURNS(KERN_PROTECTION_FAILURE, vm_write(task, (vm_address_t)counter, (vm_offset_t)"12345678", 8));
	RETURNS(KERN_SUCCESS, vm_protect(task, (vm_address_t)counter, 1, FALSE, VM_PROT_DEFAULT));
	RETURNS(KERN_SUCCESS, vm_write(task, (vm_address_t)counter, (vm_offset_t)"12345678", 8));
	CHECK(memcmp((void *)counter, "12345678", 8) == 0);
	RETURNS(KERN_SUCCESS, task_resume(task));
	CHECK(stands_still());
	RETURNS(KERN_SUCCESS, task_resume(task));
	CHECK(counts());
	RETURNS(KERN_FAILURE, task_resume(task));

	/* Who lets go of the task lets it go on. */
	RETURNS(KERN_SUCCESS, task_suspend(task));
	CHECK(stands_still());
	RETURNS(KERN_SUCCESS, mach_port_deallocate(mach_task_self(), task));
	CHECK(counts());
	RETURNS(MACH_SEND_INVALID_DEST, task_suspend(task));
	RETURNS(MACH_SEND_INVALID_DEST, task_resume(TASK_NULL));
	kill(child, SIGKILL);
	kill(clock, SIGKILL);
	waitpid(child, NULL, 0);
	waitpid(clock, NULL, 0);
	return failures != 0;
}
