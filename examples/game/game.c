/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A game to try the examples on. Ten times a second, and for each line that it reads,
 * the player is hurt; for each line it also says how the player is. Now and then the
 * player moves to another place on the heap, as in games whose objects come and go.
 */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct player {
	double x, y;
	int32_t health;
	float speed;
	char name[16];
};

struct world {
	unsigned long ticks;
	struct player *player;
};

static struct world *world; /* from where a trainer finds all else */

/* What patchers change, in the read-only data and in the code. */
const int32_t healing = 0;
int32_t damage(void);
__asm__(".text\n.balign 16\n.globl damage\n.type damage, %function\ndamage:\n"
#if defined(__x86_64__)
	"mov $1, %eax\n" /* b8 01 00 00 00 */
#elif defined(__aarch64__)
	"mov w0, #1\n" /* 20 00 80 52 */
#endif
	"ret\n");

static struct player *new_player(struct player as)
{
	struct player *p = (struct player *)malloc(sizeof *p);

	if (p == NULL)
		exit(1);
	*p = as;
	return p;
}

static void tick(void)
{
	struct player *p = world->player;

	p->health += *(const volatile int32_t *)&healing - damage(); /* looks each time */
	if (p->health < 0)
		p->health = 0;
	if (++world->ticks % 10 == 0) {
		world->player = new_player(*p);
		free(p);
	}
}

int main(void)
{
	struct player hero = { 0, 0, 100000, 1.5f, "Bulrush" };
	struct world here = { 0, new_player(hero) };
	struct pollfd input = { 0, POLLIN, 0 };
	char line[256];

	world = &here;
	printf("pid %d\nworld %p\ndamage %p\nhealing %p\n", (int)getpid(), (void *)&world,
	       (void *)(uintptr_t)damage, (void *)(uintptr_t)&healing);
	for (;;) {
		int ready;

		fflush(stdout);
		ready = poll(&input, 1, 100);
		if (ready > 0 && read(0, line, sizeof line) <= 0)
			return 0;
		tick();
		if (ready > 0)
			printf("tick %lu health %d speed %g name %s\n", world->ticks, (int)world->player->health,
			       world->player->speed, world->player->name);
	}
}
