/* SPDX-License-Identifier: Apache-2.0 */
/* Four relays of threads: each thread creates the next one and ends. Answers each
   line with how many it has created. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

static pthread_attr_t detached;
static atomic_ulong created;

static void *relay(void *unused)
{
    pthread_t next;

    created++;
    while (pthread_create(&next, &detached, relay, unused) != 0)
        ; /* too many that are ending still */
    return NULL;
}

int main(void)
{
    char line[16];

    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, 64 << 10);
    for (int i = 0; i < 4; i++)
        relay(NULL);
    while (fgets(line, sizeof line, stdin) != NULL) {
        printf("%lu\n", created);
        fflush(stdout);
    }
    return 0;
}
