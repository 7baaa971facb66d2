/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library of game.c: a world on the heap, four links deep, whose parts move, and
 * whose player's values change at each tick. It knows each byte that nobody else may
 * change.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stats {
	unsigned char front[16];
	int32_t health; /* 0x10 */
	unsigned char between[3];
	uint8_t lives; /* 0x17 */
	unsigned char beside[4];
	float x; /* 0x1c */
	unsigned char back[16];
};

struct player {
	unsigned char front[0x40];
	struct stats *stats; /* 0x40 */
	unsigned char back[16];
};

struct level {
	unsigned char front[0x18];
	struct player *players[4]; /* 0x18; the one at 0x28 is ours */
	unsigned char back[16];
};

struct world {
	unsigned char front[0x18];
	struct level *level; /* 0x18 */
	unsigned char back[16];
};

enum { US = 2 };

/* What a structure has that is not of the pattern: at, size. */
static const struct kind {
	const char *name;
	size_t size;
	size_t fields[4][2];
} kinds[] = {
	{ "world", sizeof(struct world), { { offsetof(struct world, level), sizeof(void *) } } },
	{ "level", sizeof(struct level), { { offsetof(struct level, players), 4 * sizeof(void *) } } },
	{ "player", sizeof(struct player), { { offsetof(struct player, stats), sizeof(void *) } } },
	{ "stats", sizeof(struct stats), { { offsetof(struct stats, health), 4 }, { offsetof(struct stats, lives), 1 },
					   { offsetof(struct stats, x), 4 } } },
};

/* Every block that there was. None is freed: who writes late, to where a structure was,
 * may have changed its value there and nothing else. */
static struct block {
	const struct kind *kind;
	unsigned char *bytes;
} blocks[1 << 16];
static size_t number;

struct world *game_world;         /* exported */
static struct world *volatile local_world; /* only the symbol table names it */
static struct world **root;       /* the program's own */

static unsigned char pattern(size_t at)
{
	return (unsigned char)(at * 37 + 11);
}

static void *block(int which)
{
	const struct kind *kind = &kinds[which];
	unsigned char *bytes = (unsigned char *)malloc(kind->size);
	size_t i;

	if (bytes == NULL || number == sizeof blocks / sizeof *blocks) {
		fprintf(stderr, "libgame: no room for %zu blocks\n", number + 1);
		exit(1);
	}
	for (i = 0; i < kind->size; i++)
		bytes[i] = pattern(i);
	blocks[number].kind = kind;
	blocks[number++].bytes = bytes;
	return bytes;
}

static void *moved(int which, const void *from)
{
	return memcpy(block(which), from, kinds[which].size);
}

static void begin(struct world *world)
{
	game_world = local_world = *root = world;
}

static void start(struct world **of_program)
{
	struct world *world = (struct world *)block(0);
	int i;

	root = of_program;
	world->level = (struct level *)block(1);
	for (i = 0; i < 4; i++) {
		struct player *player = world->level->players[i] = (struct player *)block(2);

		player->stats = (struct stats *)block(3);
		player->stats->health = 100;
		player->stats->lives = 3;
		player->stats->x = 0;
	}
	begin(world);
}

static void move(unsigned long which)
{
	struct level *level = game_world->level;
	struct player *us = level->players[US];

	switch (which % 4) {
	case 0:
		begin((struct world *)moved(0, game_world));
		break;
	case 1:
		game_world->level = (struct level *)moved(1, level);
		break;
	case 2:
		level->players[US] = (struct player *)moved(2, us);
		break;
	case 3:
		us->stats = (struct stats *)moved(3, us->stats);
		break;
	}
}

static struct stats *stats(void)
{
	return game_world->level->players[US]->stats;
}

static void tick(void)
{
	stats()->health -= 1;
	stats()->lives += 1;
	stats()->x += 0.5f;
}

static int is_field(const struct kind *kind, size_t at)
{
	int i;

	for (i = 0; i < 4; i++)
		if (at >= kind->fields[i][0] && at < kind->fields[i][0] + kind->fields[i][1])
			return 1;
	return 0;
}

/* check returns the number of bytes that somebody else has changed, and says of the
 * first where it is. */
static size_t check(const char **name, size_t *offset)
{
	size_t i, at, wrong = 0;

	for (i = 0; i < number; i++)
		for (at = 0; at < blocks[i].kind->size; at++)
			if (blocks[i].bytes[at] != pattern(at) && !is_field(blocks[i].kind, at) && wrong++ == 0) {
				*name = blocks[i].kind->name;
				*offset = at;
			}
	return wrong;
}

/* game.c has the same structure. */
const struct game {
	void (*start)(struct world **root);
	void (*move)(unsigned long which);
	struct stats *(*stats)(void);
	void (*tick)(void);
	size_t (*check)(const char **name, size_t *offset);
} game = { start, move, stats, tick, check };
