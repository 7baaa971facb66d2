/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four writers in C into the range of test/adversarial/testdata/storm.c, whose
 * threads map, unmap, protect, move and drop its pages meanwhile.
 *
 *	storm_writer PID BASE shared|private MILLISECONDS library|mem|short
 *
 * They go on at least until the storm and the writes have met, and no longer once a
 * fault is found.
 *
 * Descriptors 3 and 4 are those of the storm. Each writer alone writes certain
 * pages, so after each call it knows what they must hold, by the code that was
 * returned, and compares. "mem" writes through /proc/PID/mem and "short" leaves
 * the last byte out: faults that the comparison must find.
 */
#include "../check.h"

#include <errno.h>
#include <pthread.h>

enum { WRITERS = 4, PAGES_EACH = 16, PAGE = 4096, OWN = PAGES_EACH * PAGE, MOST = 8 * PAGE };

static mach_port_t task;
static const volatile uint64_t *epochs; /* of each page, odd while it can't be written; then the storm's faults */
static const unsigned char *file;       /* of a shared range */
static int memory = -1;                 /* the target's, for a private range and for "mem" */
static const char *how;
static int64_t enough, too_long;                    /* in milliseconds */
static volatile int whole, refused, denied, faulty; /* set once one was seen */

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int over(void)
{
	if (now() > too_long)
		return 1;
	if (strcmp(how, "mem") == 0)
		return faulty && epochs[WRITERS * PAGES_EACH] > 0;
	return faulty || (whole && refused && denied && now() > enough && strcmp(how, "library") == 0);
}

struct writer {
	pthread_t thread;
	int first; /* its first page */
	uint32_t random;
	unsigned char shadow[OWN], got[OWN];
	unsigned char data[MOST], old[MOST];
	int faults;
	long whole, refused, partial, denied, copies, reads;
};

static uint32_t next(struct writer *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 17;
	w->random ^= w->random << 5;
	return w->random;
}

static void fault(struct writer *w, const char *what, size_t offset, size_t size, kern_return_t code)
{
	w->faults++;
	faulty = 1;
	printf("writer of page %d, %zu bytes at %zu, code %d: %s\n", w->first, size, offset, code, what);
}

static mach_vm_address_t address_of(const struct writer *w, size_t offset)
{
	return base + (mach_vm_address_t)w->first * PAGE + offset;
}

/* Fills got with what the pages hold, wherever the storm has put them. */
static void look(struct writer *w, size_t first, size_t count)
{
	size_t page;
	ssize_t got;

	for (page = first; page < first + count; page++) {
		if (file != NULL) {
			memcpy(w->got + page * PAGE, file + ((size_t)w->first + page) * PAGE, PAGE);
			continue;
		}
		do {
			got = pread(memory, w->got + page * PAGE, PAGE, (off_t)address_of(w, page * PAGE));
		} while (got < 0 && errno == EIO && now() < too_long);
		if (got != PAGE) {
			perror("looking at a page");
			exit(2);
		}
	}
}

static kern_return_t write_there(struct writer *w, size_t offset, size_t size)
{
	mach_vm_address_t at = address_of(w, offset);

	if (strcmp(how, "mem") == 0)
		return pwrite(memory, w->data, size, (off_t)at) == (ssize_t)size ? KERN_SUCCESS : KERN_INVALID_ADDRESS;
	if (strcmp(how, "short") == 0 && size > 1)
		size--;
	if (next(w) % 2)
		return vm_write(task, (vm_address_t)at, (vm_offset_t)w->data, (mach_msg_type_number_t)size);
	return mach_vm_write(task, at, (vm_offset_t)w->data, (mach_msg_type_number_t)size);
}

/* Notes what must have arrived and compares. forbidden are the pages that could not be
 * written throughout the call. */
static void judge(struct writer *w, size_t offset, size_t size, kern_return_t code, const char *forbidden)
{
	size_t first = offset / PAGE, count = (offset + size - 1) / PAGE - first + 1, arrived = 0, i;
	int any = 0;

	for (i = first; i < first + count; i++)
		any |= forbidden[i];
	w->denied += any;
	denied |= any;
	look(w, first, count);
	memcpy(w->old, w->shadow + offset, size);
	if (code == KERN_SUCCESS) {
		w->whole++;
		whole = 1;
		arrived = size;
		if (any)
			fault(w, "success, though a page could not be written throughout", offset, size, code);
	} else {
		w->refused++;
		refused = 1;
		if (code != KERN_INVALID_ADDRESS && code != KERN_PROTECTION_FAILURE && code != KERN_MEMORY_ERROR)
			fault(w, "no code for what the storm does", offset, size, code);
		/* How much arrived is not told. It is the front of the data, and not all. */
		while (arrived < size && w->got[offset + arrived] == w->data[arrived])
			arrived++;
		/* Of a copy, bytes that are those that were there don't show whether they did. */
		if (arrived == size && w->data[size - 1] != w->old[size - 1])
			fault(w, "all bytes arrived, and the code is no success", offset, size, code);
		w->partial += arrived > 0;
	}
	memcpy(w->shadow + offset, w->data, arrived);
	for (i = offset; i < offset + size; i++)
		if (forbidden[i / PAGE] && w->got[i] != w->old[i - offset]) {
			fault(w, "bytes arrived in a page that could not be written throughout", offset, size, code);
			break;
		}
	if (memcmp(w->got + first * PAGE, w->shadow + first * PAGE, count * PAGE) != 0)
		fault(w, "the bytes are not what was reported", offset, size, code);
	memcpy(w->shadow + first * PAGE, w->got + first * PAGE, count * PAGE);
}

/* One write, of which each byte differs from what is there, or one copy. */
static void change(struct writer *w, size_t size, int copies)
{
	size_t offset = next(w) % (OWN - size + 1), source = next(w) % (OWN - size + 1), i;
	uint64_t before[PAGES_EACH];
	char forbidden[PAGES_EACH];
	kern_return_t code;

	for (i = 0; i < size; i++)
		w->data[i] = copies ? w->shadow[source + i] : (unsigned char)(w->shadow[offset + i] ^ (1 + next(w) % 255));
	for (i = 0; i < PAGES_EACH; i++)
		before[i] = epochs[(size_t)w->first + i];
	__sync_synchronize();
	if (copies)
		code = mach_vm_copy(task, address_of(w, source), size, address_of(w, offset));
	else
		code = write_there(w, offset, size);
	__sync_synchronize();
	for (i = 0; i < PAGES_EACH; i++)
		forbidden[i] = before[i] % 2 == 1 && epochs[(size_t)w->first + i] == before[i];
	w->copies += copies;
	judge(w, offset, size, code, forbidden);
}

/* What is read is what was written, or the code says otherwise. */
static void read_back(struct writer *w, size_t size)
{
	enum { GUARD = 16, SENTINEL = 4711 };
	static const char guard[] = "0123456789abcdef"; /* and a 0, which C++ insists on */
	static __thread unsigned char buffer[MOST + GUARD];
	size_t offset = next(w) % (OWN - size + 1);
	mach_vm_size_t moved = SENTINEL;
	kern_return_t code;

	memcpy(buffer + size, guard, GUARD);
	code = mach_vm_read_overwrite(task, address_of(w, offset), size, (uintptr_t)buffer, &moved);
	w->reads++;
	if (code == KERN_SUCCESS && (moved != size || memcmp(buffer, w->shadow + offset, size) != 0))
		fault(w, "a read found other bytes", offset, size, code);
	if (code != KERN_SUCCESS && moved != SENTINEL)
		fault(w, "a read that failed says how much it read", offset, size, code);
	if (memcmp(buffer + size, guard, GUARD) != 0)
		fault(w, "a read went beyond its buffer", offset, size, code);
}

static void *work(void *argument)
{
	struct writer *w = (struct writer *)argument;

	while (!over()) {
		uint32_t kind = next(w) % 8;

		if (kind < 3)
			change(w, 1 + next(w) % 8, 0);
		else if (kind < 6 || strcmp(how, "library") != 0)
			change(w, 1 + next(w) % MOST, 0);
		else if (kind < 7)
			change(w, 1 + next(w) % MOST, 1);
		else
			read_back(w, 1 + next(w) % MOST);
	}
	return NULL;
}

static void open_views(const char *kind)
{
	char path[64];

	epochs = (const volatile uint64_t *)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, 3, 0);
	if (strcmp(kind, "shared") == 0)
		file = (const unsigned char *)mmap(NULL, WRITERS * OWN, PROT_READ, MAP_SHARED, 4, 0);
	snprintf(path, sizeof path, "/proc/%d/mem", target_pid);
	memory = open(path, O_RDWR);
	if (epochs == MAP_FAILED || file == MAP_FAILED || memory < 0) {
		perror("storm_writer");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static struct writer writers[WRITERS];
	struct writer sum;
	int i;

	task = begin(argc, argv);
	if (argc != 6)
		return 2;
	open_views(argv[3]);
	enough = now() + atoi(argv[4]);
	too_long = enough + PATIENCE * 1000;
	how = argv[5];
	memset(&sum, 0, sizeof sum);
	for (i = 0; i < WRITERS; i++) {
		writers[i].first = i * PAGES_EACH;
		writers[i].random = 2463534242u + (uint32_t)i + (uint32_t)time(NULL);
		if (pthread_create(&writers[i].thread, NULL, work, &writers[i]) != 0)
			return 2;
	}
	for (i = 0; i < WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		sum.whole += writers[i].whole;
		sum.refused += writers[i].refused;
		sum.partial += writers[i].partial;
		sum.denied += writers[i].denied;
		sum.copies += writers[i].copies;
		sum.reads += writers[i].reads;
		sum.faults += writers[i].faults;
	}
	printf("%ld whole, %ld refused, %ld of those in part, %ld with a page denied throughout, %ld of all were copies; %ld reads; %d faults\n",
		sum.whole, sum.refused, sum.partial, sum.denied, sum.copies, sum.reads, sum.faults);
	if (sum.faults == 0 && (sum.whole == 0 || sum.refused == 0 || sum.denied == 0)) {
		printf("the storm and the writes did not meet\n");
		return 2;
	}
	return sum.faults != 0;
}
