/* task_suspend and task_resume, on a child that counts. */
#include "../check.h"

static volatile uint64_t *counter;

static int counts(void)
{
	uint64_t before = *counter;
	int i;

	for (i = 0; i < 200; i++) {
		usleep(5000);
		if (*counter != before)
			return 1;
	}
	return 0;
}

static int stands_still(void)
{
	uint64_t before = *counter;

	usleep(50000);
	return *counter == before;
}

int main(int argc, char **argv)
{
	mach_port_t task;
	pid_t child;

	begin(argc, argv);
	counter = (volatile uint64_t *)mmap(NULL, PAGES(1), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	child = fork();
	if (child == 0) {
		for (;; usleep(100))
			*counter = *counter + 1;
	}
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
	waitpid(child, NULL, 0);
	return failures != 0;
}
