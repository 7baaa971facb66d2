// SPDX-License-Identifier: Apache-2.0

// Loads the library that it is given, from a memfd if a second argument says so, and
// prints where its symbols are, each with the name by which to look for it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int in_data = 1;
int in_bss[4096];
static int only_here = 2;

static const char *copy_to_memfd(const char *path)
{
	static char name[64];
	char part[4096];
	ssize_t size;
	int file = open(path, O_RDONLY), copy = memfd_create("library", 0);

	while ((size = read(file, part, sizeof part)) > 0)
		if (write(copy, part, size) != size)
			return NULL;
	close(file);
	snprintf(name, sizeof name, "/proc/self/fd/%d", copy);
	return name;
}

int main(int count, char **arguments)
{
	void *library = dlopen(count > 2 ? copy_to_memfd(arguments[1]) : arguments[1], RTLD_NOW);
	int *(*hidden_place)(void);

	if (library == NULL) {
		printf("%s\n", dlerror());
		return 1;
	}
	*(void **)&hidden_place = dlsym(library, "hidden_place");
	printf("program main %p\n", (void *)main);
	printf("program in_data %p\n", (void *)&in_data);
	printf("program in_bss %p\n", (void *)in_bss);
	printf("program only_here %p\n", (void *)&only_here);
	printf("library player %p\n", dlsym(library, "player"));
	printf("library zeroes %p\n", dlsym(library, "zeroes"));
	printf("library hidden %p\n", (void *)hidden_place());
	printf("library Player::hit(int) %p\n", dlsym(library, "_ZN6Player3hitEi"));
	printf("library game::run %p\n", dlsym(library, "_ZN4game3run17h0123456789abcdefE"));
	printf("ready\n");
	fflush(stdout);
	getchar();
	return 0;
}
