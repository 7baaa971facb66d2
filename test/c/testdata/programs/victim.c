/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the trainer and the patcher change: a game with a number, and with a
 * function that decides. It prints both for each line that it reads, after the
 * address of the function.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static volatile uint32_t gold = 1234567891;

__attribute__((noinline, aligned(64))) int may_enter(void) { return 0; }

int main(void)
{
	int (*volatile function)(void) = may_enter;
	uint32_t *volatile on_the_heap = (uint32_t *)malloc(sizeof *on_the_heap);
	int c;

	*on_the_heap = gold;
	printf("%#lx\n", (unsigned long)(uintptr_t)function);
	fflush(stdout);
	while ((c = getchar()) != EOF) {
		if (c == '\n') {
			printf("%lu %lu %d\n", (unsigned long)gold, (unsigned long)*on_the_heap, function());
			fflush(stdout);
		}
	}
	return 0;
}
