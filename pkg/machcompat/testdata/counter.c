/* SPDX-License-Identifier: Apache-2.0 */
// A target that counts in memory as fast as it can, and notices what others write
// there: "good" if that was made of the number that stood there, with the highest
// bit set. It prints the counter's address; at the end of its input "GOOD BAD".
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define MARK (1ull << 63)

static volatile uint64_t counter;
static uint64_t good, bad;
static volatile int done;

static void *count(void *unused) {
	uint64_t last = 0;
	while (!done) {
		uint64_t found = last;
		// A stop may always find the thread at the same instruction: seldom at the last
		// look before it writes, behind which it would notice nothing.
		for (int looks = 0; looks < 100 && found == last; looks++)
			found = counter;
		if (found == (last | MARK))
			good++;
		else if (found != last)
			bad++;
		counter = ++last;
	}
	return unused;
}

int main(void) {
	pthread_t thread;
	pthread_create(&thread, NULL, count, NULL);
	while (counter == 0)
		;
	printf("%#llx\n", (unsigned long long)(uintptr_t)&counter);
	fflush(stdout);
	while (getchar() != EOF)
		;
	done = 1;
	pthread_join(thread, NULL);
	printf("%llu %llu\n", (unsigned long long)good, (unsigned long long)bad);
	return 0;
}
