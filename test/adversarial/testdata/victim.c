/* SPDX-License-Identifier: Apache-2.0 */
/* A target that runs itself anew when it is told to.
 *
 *	victim LETTER [fixed]
 *
 * It has no random layout if it is fixed. It fills a page with the letter and prints its address. Commands: "exec" runs
 * it anew with the letter n, "undump" makes it unreadable for its own user, "look"
 * tells whether the page is as it was filled.
 * It prints "ok" when its input ends.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* its writers are siblings, which Yama keeps away */
	char line[64];
	if (argc == 3) {
		personality(ADDR_NO_RANDOMIZE);
		return execl(argv[0], argv[0], argv[1], NULL);
	}
	long size = sysconf(_SC_PAGESIZE);
	char *page = mmap((void *)0x100000010000, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (argc != 2 || page == MAP_FAILED)
		return 64;
	memset(page, argv[1][0], size);
	setvbuf(stdin, NULL, _IONBF, 0);
	printf("%p\n", (void *)page);
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		if (strcmp(line, "exec\n") == 0) {
			execl("/proc/self/exe", argv[0], "n", NULL);
			return 1;
		}
		if (strcmp(line, "undump\n") == 0)
			prctl(PR_SET_DUMPABLE, 0);
		int changed = 0;
		for (long i = 0; i < size; i++)
			changed += page[i] != argv[1][0];
		printf("%s %d\n", argv[1], changed);
		fflush(stdout);
	}
	printf("ok\n");
	return 0;
}
