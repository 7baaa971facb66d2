/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A game whose world is in a library beside the program, libgame.so. A hundred times a
 * second its values change, and one of the four links to them moves. It answers each
 * line with one, as the test target does:
 *
 *	where                the addresses of health (i32), lives (u8) and x (f32)
 *	seen HEALTH LIVES X  how many ticks found these values since it was first asked for them
 *	check                an error if somebody has changed a byte that is no value
 *	moves                how often a link has moved
 *	still, on            whether links move
 */
#include <dlfcn.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct world;

/* libgame.c has the same. */
struct stats {
	unsigned char front[16];
	int32_t health;
	unsigned char between[3];
	uint8_t lives;
	unsigned char beside[4];
	float x;
	unsigned char back[16];
};
struct game {
	void (*start)(struct world **root);
	void (*move)(unsigned long which);
	struct stats *(*stats)(void);
	void (*tick)(void);
	size_t (*check)(const char **name, size_t *offset);
};

struct world *world;

/* What a pattern finds: bytes behind which the address of the root is, ... */
struct {
	unsigned char bytes[16];
	struct world **root;
} signpost = { { 0x9e, 0x31, 0xc4, 0x5b, 0x07, 0xe8, 0x72, 0xad, 0x16, 0xf3, 0x4c, 0x88, 0xda, 0x25, 0xb1, 0x60 }, &world };

#ifdef __x86_64__
/* ... and code that loads the root, as compilers write it: its address is relative to
 * the next instruction. Nobody calls it. */
__asm__(".text\n.globl load_world\n.type load_world, @function\nload_world:\n"
	"cmp $0x7a3c91e5, %eax\n"  /* 3d e5 91 3c 7a */
	"mov world(%rip), %rax\n"  /* 48 8b 05 rel32 */
	"ret\n");
#endif

static struct { int32_t health; int lives; float x; unsigned long ticks; } sought;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	struct pollfd input = { 0, POLLIN, 0 };
	const struct game *game;
	unsigned long moves = 0;
	int moving = 1;
	uint64_t next = now();
	char line[256], path[4096];
	void *library;

	(void)argc;
	snprintf(path, sizeof path, "%.*slibgame.so", (int)(strrchr(argv[0], '/') + 1 - argv[0]), argv[0]);
	library = dlopen(path, RTLD_NOW);
	if (library == NULL || (game = (const struct game *)dlsym(library, "game")) == NULL) {
		fprintf(stderr, "game: %s\n", dlerror());
		return 1;
	}
	game->start(&world);
	setvbuf(stdin, NULL, _IONBF, 0); /* or poll would not see the second of two lines */
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	for (;;) {
		struct stats *stats = game->stats();
		uint64_t time = now();

		if (time >= next) {
			sought.ticks += stats->health == sought.health && stats->lives == sought.lives && stats->x == sought.x;
			game->tick();
			if (moving)
				game->move(moves++);
			next = time + 10;
			continue;
		}
		if (poll(&input, 1, (int)(next - time)) <= 0)
			continue;
		if (fgets(line, sizeof line, stdin) == NULL)
			return 0;
		line[strcspn(line, "\n")] = 0;
		if (strcmp(line, "where") == 0) {
			printf("ok %p %p %p\n", (void *)&stats->health, (void *)&stats->lives, (void *)&stats->x);
		} else if (strncmp(line, "seen ", 5) == 0) {
			int health, lives;
			float x;

			if (sscanf(line, "seen %d %d %f", &health, &lives, &x) != 3) {
				puts("error want three values");
				continue;
			}
			if (health != sought.health || lives != sought.lives || x != sought.x) {
				sought.health = health;
				sought.lives = lives;
				sought.x = x;
				sought.ticks = 0;
			}
			printf("ok %lu\n", sought.ticks);
		} else if (strcmp(line, "check") == 0) {
			const char *name = "";
			size_t offset = 0, wrong = game->check(&name, &offset);

			if (wrong == 0)
				puts("ok");
			else
				printf("error %zu bytes are wrong, the first at %#zx of %s\n", wrong, offset, name);
		} else if (strcmp(line, "moves") == 0) {
			printf("ok %lu\n", moves);
		} else if (strcmp(line, "still") == 0 || strcmp(line, "on") == 0) {
			moving = line[0] == 'o';
			puts("ok");
		} else {
			printf("error no command \"%s\"\n", line);
		}
	}
}
