/* SPDX-License-Identifier: Apache-2.0 */
/* A target with odd memory, of the kind that its argument names. It prints an
 * address, 0 when the kernel has no such memory. Commands: "look OFFSET" prints
 * the byte there as the target reads it; the others are beside their kind. It
 * prints "ok" when its input ends.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/mman.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE sysconf(_SC_PAGESIZE)
static const int ACCESS = PROT_READ | PROT_WRITE, FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
static int file = -1, faults = -1;

static char *map(char *at, size_t size, int prot, int flags, int fd)
{
	char *got = mmap(at, size, prot, flags | (at ? MAP_FIXED_NOREPLACE : 0), fd, 0);
	return got == MAP_FAILED ? NULL : got;
}

enum { HUGE = 2 << 20 };

static char *first_huge_page(char *area)
{
	return (char *)(((uintptr_t)area + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
}

/* Two huge pages, of which a small page in the middle is read-only. */
static char *thp(void)
{
	char *page = first_huge_page(map(NULL, 3 * HUGE, ACCESS, FLAGS, -1));
	madvise(page, 2 * HUGE, MADV_HUGEPAGE);
	memset(page, 'o', 2 * HUGE);
	mprotect(page + HUGE, PAGE, PROT_READ);
	return page;
}

/* With a gap behind it. */
static char *hugetlb(void)
{
	char *area = map(NULL, 3 * HUGE, PROT_NONE, FLAGS, -1), *page = first_huge_page(area);
	munmap(area, 3 * HUGE);
	page = map(page, HUGE, ACCESS, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1);
	if (page)
		memset(page, 'o', HUGE);
	return page;
}

/* "cut": four pages of a file become one. */
static char *shared_file(void)
{
	file = memfd_create("odd", 0);
	if (ftruncate(file, 4 * PAGE) != 0)
		return NULL;
	char *page = map(NULL, 4 * PAGE, ACCESS, MAP_SHARED, file);
	memset(page, 'o', 4 * PAGE);
	return page;
}

/* The second and third page are not there, and the kernel asks who may bring
 * them. "release" gives up that right; "answer" has a thread bring them.
 */
static char *userfault(void)
{
	faults = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = {.api = UFFD_API};
	char *page = map(NULL, 4 * PAGE, ACCESS, FLAGS, -1);
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) != 0)
		return NULL;
	memset(page, 'o', PAGE);
	struct uffdio_register range = {.range = {(uintptr_t)page + PAGE, 2 * PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	return ioctl(faults, UFFDIO_REGISTER, &range) == 0 ? page : NULL;
}

static void *answer(void *unused)
{
	char *zeros = map(NULL, PAGE, PROT_READ, FLAGS, -1);
	struct uffd_msg message;
	while (read(faults, &message, sizeof message) == sizeof message) {
		struct uffdio_copy copy = {
			.dst = message.arg.pagefault.address & ~(uint64_t)(PAGE - 1), .src = (uintptr_t)zeros, .len = PAGE};
		ioctl(faults, UFFDIO_COPY, &copy);
	}
	return unused;
}

/* A page that the stack will grow to: "grow" uses it. */
static char *stack(void)
{
	char here;
	return (char *)(((uintptr_t)&here - (1 << 20)) & ~(uintptr_t)(PAGE - 1));
}

static int grow(void)
{
	volatile char deep[3 << 19];
	deep[0] = 1;
	deep[sizeof deep / 2] = 1;
	return deep[0] - 1;
}

/* The highest page that the kernel gives, or the next below that is free. */
static char *top(void)
{
	char *page = NULL;
	for (int bits = 47; !page && bits > 32; bits--)
		for (int below = 2; !page && below < 256; below++)
			page = map((char *)((uintptr_t)1 << bits) - below * PAGE, PAGE, ACCESS, FLAGS, -1);
	if (page)
		memset(page, 'o', PAGE);
	return page;
}

/* 64 TiB, or as many as there are, that may not be used, and a page in the middle
 * that may.
 */
static char *reserved(void)
{
	char *area = NULL;
	size_t size = (size_t)128 << 40;
	while (!area && size > 1 << 30)
		area = map(NULL, size /= 2, PROT_NONE, FLAGS, -1);
	if (!area)
		return NULL;
	char *page = area + size / 2;
	mprotect(page, PAGE, ACCESS);
	memset(page, 'o', PAGE);
	return page;
}

static const struct {
	const char *name;
	char *(*make)(void);
} kinds[] = {
	{"thp", thp},	  {"hugetlb", hugetlb}, {"file", shared_file}, {"userfault", userfault},
	{"stack", stack}, {"top", top},		{"reserved", reserved},
};

int main(int argc, char **argv)
{
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* its writers are siblings, which Yama keeps away */
	char line[64];
	char *page = NULL;
	for (size_t i = 0; argc == 2 && i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].name, argv[1]) == 0)
			page = kinds[i].make();
	printf("%#lx\n", (long)page);
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		int result = 0;
		pthread_t thread;
		if (strncmp(line, "look ", 5) == 0)
			result = page[strtol(line + 5, NULL, 0)];
		else if (strcmp(line, "cut\n") == 0)
			result = ftruncate(file, PAGE);
		else if (strcmp(line, "release\n") == 0)
			result = close(faults);
		else if (strcmp(line, "answer\n") == 0)
			result = pthread_create(&thread, NULL, answer, NULL);
		else if (strcmp(line, "grow\n") == 0)
			result = grow();
		printf("%d\n", result);
		fflush(stdout);
	}
	printf("ok\n");
	return 0;
}
