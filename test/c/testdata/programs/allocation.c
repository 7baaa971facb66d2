/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of what the calls on memory must do for sizes, alignments, holes and
 * protections: most of what XNU's own test of allocation and protection looks at, and
 * more. Each case is a line, "ok NAME" or "not ok NAME: why"; where macOS returns
 * another code on purpose of ours, the name ends with it.
 *
 *   allocation PID BASE    in a target
 *   allocation self        in this task
 */
#include "../check.h"

static mach_port_t task;

/* Where nobody maps anything, on a boundary of 2 MB. */
#define PLACE ((mach_vm_address_t)0x300000000000)
#define OTHER ((mach_vm_address_t)0x310000000000)
#define TWO_MB ((mach_vm_offset_t)0x1fffff)
#define LAST_PAGE (~(mach_vm_address_t)0 - vm_page_size + 1)

/* The beginning of the name of a case. */
static char theme[128];

static void say(int good, const char *name, const char *why)
{
	printf("%s %s: %s%s%s\n", good ? "ok" : "not ok", theme, name, good ? "" : ": ", good ? "" : why);
	failures += !good;
}

static void expect(const char *name, kern_return_t got, kern_return_t want)
{
	char why[256];

	snprintf(why, sizeof why, "%s; want %s", mach_error_string(got), mach_error_string(want));
	say(got == want, name, why);
}

/* Where small reads, writes and copies differ from macOS, which looks at protection only from two pages on. */
static void expect_protection(const char *name, kern_return_t got, mach_vm_size_t size)
{
	char text[256];

	snprintf(text, sizeof text, "%s%s", name, size < PAGES(2) ? " [macOS: invalid address]" : "");
	expect(text, got, KERN_PROTECTION_FAILURE);
}

/* Sizes are of 8 pages at most. */
static struct {
	mach_vm_size_t size;
	char name[32];
} sizes[8];
static unsigned size_count;

static void add_size(mach_vm_size_t size, const char *name)
{
	sizes[size_count].size = size;
	snprintf(sizes[size_count].name, sizeof sizes[0].name, "%s", name);
	size_count++;
}

static mach_vm_size_t rounded(mach_vm_size_t size) { return mach_vm_round_page(size); }

/* The protection of a page of the task, -1 for a hole. */
static int protection(mach_vm_address_t at)
{
	mach_vm_address_t start = at;
	mach_vm_size_t size = 0;
	vm_region_basic_info_data_64_t info;
	mach_msg_type_number_t count = VM_REGION_BASIC_INFO_COUNT_64;
	mach_port_t name;

	if (mach_vm_region(task, &start, &size, VM_REGION_BASIC_INFO_64, (vm_region_info_t)&info, &count, &name) != KERN_SUCCESS ||
	    start > at)
		return -1;
	return info.protection;
}

/* Whether all pages of a range have a protection. */
static int all(mach_vm_address_t at, mach_vm_size_t size, int wanted)
{
	mach_vm_address_t page;

	for (page = mach_vm_trunc_page(at); page < at + size; page += vm_page_size)
		if (protection(page) != wanted)
			return 0;
	return 1;
}

static unsigned char buffer[64 * 65536];

static kern_return_t get(mach_vm_address_t at, mach_vm_size_t size)
{
	mach_vm_size_t out;

	return mach_vm_read_overwrite(task, at, size, (uintptr_t)buffer, &out);
}

static int zeros(mach_vm_address_t at, mach_vm_size_t size)
{
	mach_vm_size_t i;

	if (get(at, size) != KERN_SUCCESS)
		return 0;
	for (i = 0; i < size; i++)
		if (buffer[i] != 0)
			return 0;
	return 1;
}

/* Memory of the task, each word of which is its number. */
static void fill(mach_vm_address_t at, mach_vm_size_t pages)
{
	mach_vm_size_t i;
	uint32_t word;

	if (mach_vm_allocate(task, &at, PAGES(pages), VM_FLAGS_FIXED | VM_FLAGS_OVERWRITE) != KERN_SUCCESS)
		exit(2);
	for (i = 0; i < PAGES(pages); i += 4) {
		word = (uint32_t)i;
		memcpy(buffer + i, &word, 4);
	}
	if (mach_vm_write(task, at, (vm_offset_t)buffer, (mach_msg_type_number_t)PAGES(pages)) != KERN_SUCCESS)
		exit(2);
	memset(buffer, 0, sizeof buffer);
}

/* Whether bytes are those that fill wrote from an offset on. */
static int as_filled(const unsigned char *bytes, mach_vm_size_t offset, mach_vm_size_t size)
{
	mach_vm_size_t i;
	uint32_t word;

	for (i = 0; i < size; i++) {
		word = (uint32_t)((offset + i) & ~(mach_vm_size_t)3);
		if (bytes[i] != ((const unsigned char *)&word)[(offset + i) & 3])
			return 0;
	}
	return 1;
}

static void clear(mach_vm_address_t at, mach_vm_size_t pages) { mach_vm_deallocate(task, at, PAGES(pages)); }

/* The ways to allocate. */
static const struct {
	const char *name;
	int maps;
	mach_vm_offset_t mask;
} allocators[] = { { "mach_vm_allocate", 0, 0 }, { "mach_vm_map", 1, 0 }, { "mach_vm_map of 4 KB", 1, 0xfff },
	{ "mach_vm_map of 2 MB", 1, TWO_MB } };
enum { ALLOCATORS = sizeof allocators / sizeof allocators[0] };

static kern_return_t allocate(unsigned which, mach_port_t in, mach_vm_address_t *at, mach_vm_size_t size, int flags)
{
	if (!allocators[which].maps)
		return mach_vm_allocate(in, at, size, flags);
	return mach_vm_map(in, at, size, allocators[which].mask, flags, MACH_PORT_NULL, 0, FALSE, VM_PROT_DEFAULT,
		VM_PROT_ALL, VM_INHERIT_DEFAULT);
}

static void allocation(unsigned which, mach_vm_size_t size, int flags, unsigned unaligned)
{
	mach_vm_address_t at = PLACE + unaligned, page;
	mach_vm_size_t whole = rounded(size + (flags == VM_FLAGS_FIXED ? unaligned : 0));
	kern_return_t want = KERN_SUCCESS, kr;
	int refused = 1;

	/* A fixed address is that of its page, and so has no bits of these masks. */
	if (size == 0)
		want = allocators[which].maps ? KERN_INVALID_ARGUMENT : KERN_SUCCESS;
	kr = allocate(which, task, &at, size, flags);
	expect("returns", kr, want);
	if (kr != KERN_SUCCESS || want != KERN_SUCCESS)
		return;
	if (size == 0) {
		say(at == 0, "nothing is at 0", "it is not");
		return;
	}
	say((at & (vm_page_mask | allocators[which].mask)) == 0, "the address is aligned", "it is not");
	say(flags != VM_FLAGS_FIXED || at == PLACE, "the address is that asked for, of the page", "it is not");
	say(all(at, whole, VM_PROT_DEFAULT), "all pages can be read and written", "they can't");
	say(flags != VM_FLAGS_FIXED || protection(at + whole) == -1, "no page more is mapped", "it is");
	say(zeros(at, whole), "all bytes are 0", "they are not");
	for (page = at; page < at + whole; page += vm_page_size) {
		mach_vm_address_t again = page;

		refused &= mach_vm_allocate(task, &again, vm_page_size, VM_FLAGS_FIXED) == KERN_NO_SPACE;
	}
	say(refused, "no page of it can be allocated again", "one can");
	expect("deallocate", mach_vm_deallocate(task, at, whole), KERN_SUCCESS);
	say(all(at, whole, -1), "then it is gone", "it is not");
}

static void allocations(void)
{
	static const int flags[] = { VM_FLAGS_ANYWHERE, VM_FLAGS_FIXED };
	unsigned which, i, f, unaligned;

	for (which = 0; which < ALLOCATORS; which++)
		for (i = 0; i < size_count; i++)
			for (f = 0; f < 2; f++)
				for (unaligned = 0; unaligned < 2; unaligned++) {
					snprintf(theme, sizeof theme, "%s, %s, %s%s", allocators[which].name, sizes[i].name,
						f ? "fixed" : "anywhere", unaligned ? ", unaligned" : "");
					allocation(which, sizes[i].size, flags[f], unaligned);
				}
}

static void allocation_edges(void)
{
	static const int bad_flags[] = { 0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x8000, 0x200000, 0x400000 };
	static const vm_prot_t prots[] = { VM_PROT_DEFAULT, VM_PROT_ALL + 1, ~0x40, 0x7fffffff };
	static const vm_inherit_t inherits[] = { VM_INHERIT_DEFAULT, VM_INHERIT_LAST_VALID + 1, ~(vm_inherit_t)0 };
	char name[128];
	mach_vm_address_t at;
	unsigned which, i, j, k;
	int refused;

	for (which = 0; which < ALLOCATORS; which++) {
		int maps = allocators[which].maps;

		snprintf(theme, sizeof theme, "%s", allocators[which].name);
		for (i = 0; i < size_count; i++) {
			at = 0;
			snprintf(name, sizeof name, "%s at address 0", sizes[i].name);
			expect(name, allocate(which, task, &at, sizes[i].size, VM_FLAGS_FIXED),
				sizes[i].size ? KERN_INVALID_ADDRESS : maps ? KERN_INVALID_ARGUMENT : KERN_SUCCESS);
		}
		at = 0;
		expect("at address 0 in place of what is there", allocate(which, task, &at, 1, VM_FLAGS_FIXED | VM_FLAGS_OVERWRITE),
			KERN_INVALID_ADDRESS);
		expect("the largest size", allocate(which, task, &at, LAST_PAGE, VM_FLAGS_ANYWHERE), KERN_NO_SPACE);
		expect("a size that wraps", allocate(which, task, &at, ~(mach_vm_size_t)0, VM_FLAGS_ANYWHERE), KERN_INVALID_ARGUMENT);
		at = LAST_PAGE;
		expect("the highest hint", allocate(which, task, &at, PAGES(1), VM_FLAGS_ANYWHERE), maps ? KERN_NO_SPACE : KERN_SUCCESS);
		if (!maps)
			clear(at, 1);
		at = PLACE;
		expect("in no task", allocate(which, MACH_PORT_NULL, &at, 1, VM_FLAGS_ANYWHERE), MACH_SEND_INVALID_DEST);
		refused = 1;
		for (i = 0; i < sizeof bad_flags / sizeof bad_flags[0]; i++)
			refused &= allocate(which, task, &at, 1, bad_flags[i] | VM_FLAGS_ANYWHERE) == KERN_INVALID_ARGUMENT &&
				allocate(which, task, &at, 1, bad_flags[i]) == KERN_INVALID_ARGUMENT;
		say(refused, "flags that are none are an invalid argument", "one is not");
		at = PLACE + PAGES(1);
		expect("fixed, on a page that is on no boundary", allocate(which, task, &at, PAGES(1), VM_FLAGS_FIXED),
			allocators[which].mask == TWO_MB ? KERN_NO_SPACE : KERN_SUCCESS);
		clear(PLACE, 8);
		fill(PLACE, 2);
		at = PLACE;
		expect("in place of what is there", allocate(which, task, &at, PAGES(2), VM_FLAGS_FIXED | VM_FLAGS_OVERWRITE),
			KERN_SUCCESS);
		say(zeros(PLACE, PAGES(2)), "in place of what is there: all bytes are 0", "they are not");
		clear(PLACE, 2);
	}
	snprintf(theme, sizeof theme, "mach_vm_map");
	for (i = 0; i < 4; i++)
		for (j = 0; j < 4; j++)
			for (k = 0; k < 3; k++) {
				if (i == 0 && j == 0 && k == 0)
					continue;
				at = 0;
				snprintf(name, sizeof name, "protection %#x of at most %#x, inheritance %#x", (unsigned)prots[i],
					j == 0 ? 7U : (unsigned)prots[j], (unsigned)inherits[k]);
				expect(name, mach_vm_map(task, &at, 1, 0, VM_FLAGS_ANYWHERE, MACH_PORT_NULL, 0, FALSE, prots[i],
						j == 0 ? VM_PROT_ALL : prots[j], inherits[k]), KERN_INVALID_ARGUMENT);
			}
	at = 1;
	expect("a mask of all bits", mach_vm_map(task, &at, 1, ~(mach_vm_offset_t)0, VM_FLAGS_ANYWHERE, MACH_PORT_NULL, 0, FALSE,
			VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_DEFAULT), KERN_NO_SPACE);
	expect("a mask of all bits, no size", mach_vm_map(task, &at, 0, ~(mach_vm_offset_t)0, VM_FLAGS_ANYWHERE, MACH_PORT_NULL, 0,
			FALSE, VM_PROT_DEFAULT, VM_PROT_ALL, VM_INHERIT_DEFAULT), KERN_INVALID_ARGUMENT);
}

/* Addresses at which nothing is to be done. */
static void at_edges(const char *call, kern_return_t (*do_nothing)(mach_vm_address_t))
{
	mach_vm_address_t edges[] = { 0, 1, vm_page_size - 1, vm_page_size, vm_page_size + 1, 0xffffffff - vm_page_size + 1,
		0xffffffff, LAST_PAGE, ~(mach_vm_address_t)0 };
	char name[64];
	unsigned i;

	snprintf(theme, sizeof theme, "%s", call);
	for (i = 0; i < sizeof edges / sizeof edges[0]; i++) {
		snprintf(name, sizeof name, "nothing at %#" PRIx64, edges[i]);
		expect(name, do_nothing(edges[i]), KERN_SUCCESS);
	}
}

/* Ranges that wrap; the first two are too large to read, and the last two for data of this task. */
enum { ALL_WRAPS, READABLE_WRAPS = 2, WRITABLE_WRAPS_END = 4, WRAPS_END = 6 };

static void at_wraps(const char *call, kern_return_t (*f)(mach_vm_address_t, mach_vm_size_t), kern_return_t want, unsigned first,
	unsigned behind)
{
	const mach_vm_size_t most = 0xffffffff;
	struct {
		mach_vm_address_t address;
		mach_vm_size_t size;
	} wraps[] = { { 1, ~(mach_vm_size_t)0 }, { vm_page_size, ~(mach_vm_size_t)0 - vm_page_size + 1 }, { LAST_PAGE, vm_page_size },
		{ ~(mach_vm_address_t)0, 1 }, { ~(mach_vm_address_t)0 - most + 1, most },
		{ ~(mach_vm_address_t)0 - most + vm_page_size, most - vm_page_size + 1 } };
	char name[64];
	unsigned i;

	snprintf(theme, sizeof theme, "%s", call);
	for (i = first; i < behind; i++) {
		snprintf(name, sizeof name, "%#" PRIx64 " bytes at %#" PRIx64, wraps[i].size, wraps[i].address);
		expect(name, f(wraps[i].address, wraps[i].size), want);
	}
}

static kern_return_t deallocate(mach_vm_address_t at, mach_vm_size_t size) { return mach_vm_deallocate(task, at, size); }
static kern_return_t deallocate_nothing(mach_vm_address_t at) { return deallocate(at, 0); }

static void deallocations(void)
{
	unsigned i, where;

	for (i = 0; i < size_count; i++)
		for (where = 0; where < 3; where++) {
			mach_vm_size_t size = sizes[i].size, offset = where == 0 ? 0 : where == 1 ? PAGES(1) + 7 : PAGES(9) - size;
			mach_vm_address_t from = mach_vm_trunc_page(PLACE + offset), to = rounded(PLACE + offset + size);

			if (size == 0)
				continue;
			snprintf(theme, sizeof theme, "mach_vm_deallocate, %s at the %s", sizes[i].name,
				where == 0 ? "start" : where == 1 ? "middle" : "end");
			fill(PLACE, 9);
			expect("returns", deallocate(PLACE + offset, size), KERN_SUCCESS);
			say(all(from, to - from, -1), "the pages that it touches are gone", "they are not");
			say((from == PLACE || all(PLACE, from - PLACE, VM_PROT_DEFAULT)) &&
				(to == PLACE + PAGES(9) || all(to, PLACE + PAGES(9) - to, VM_PROT_DEFAULT)), "the others are there", "they are not");
			expect("twice", deallocate(PLACE + offset, size), KERN_SUCCESS);
			expect("a read of it", get(PLACE + offset, size), KERN_INVALID_ADDRESS);
			expect("a read over it", get(PLACE, PAGES(9)), KERN_INVALID_ADDRESS);
			clear(PLACE, 9);
			{
				mach_vm_address_t at = from;

				expect("allocate it again", mach_vm_allocate(task, &at, to - from, VM_FLAGS_FIXED), KERN_SUCCESS);
				say(zeros(from, to - from), "then it is zeros", "it is not");
				deallocate(from, to - from);
			}
		}
	at_edges("mach_vm_deallocate", deallocate_nothing);
	at_wraps("mach_vm_deallocate", deallocate, KERN_INVALID_ARGUMENT, ALL_WRAPS, WRAPS_END);
	expect("in no task", mach_vm_deallocate(MACH_PORT_NULL, PLACE, 1), MACH_SEND_INVALID_DEST);
}

static kern_return_t read_at(mach_vm_address_t at, mach_vm_size_t size)
{
	vm_offset_t data;
	mach_msg_type_number_t count;
	kern_return_t kr = mach_vm_read(task, at, size, &data, &count);

	if (kr == KERN_SUCCESS)
		mach_vm_deallocate(mach_task_self(), data, count);
	return kr;
}

static kern_return_t write_at(mach_vm_address_t at, mach_vm_size_t size)
{
	return mach_vm_write(task, at, (vm_offset_t)buffer, (mach_msg_type_number_t)size);
}

static kern_return_t copy_from(mach_vm_address_t at, mach_vm_size_t size) { return mach_vm_copy(task, at, size, OTHER); }
static kern_return_t copy_to(mach_vm_address_t at, mach_vm_size_t size) { return mach_vm_copy(task, OTHER, size, at); }
static kern_return_t protect_at(mach_vm_address_t at, mach_vm_size_t size)
{
	return mach_vm_protect(task, at, size, FALSE, VM_PROT_READ);
}
static kern_return_t read_nothing(mach_vm_address_t at) { return read_at(at, 0); }
static kern_return_t overwrite_nothing(mach_vm_address_t at) { return get(at, 0); }
static kern_return_t write_nothing(mach_vm_address_t at) { return write_at(at, 0); }
static kern_return_t copy_nothing(mach_vm_address_t at) { return mach_vm_copy(task, at, 0, OTHER); }
static kern_return_t protect_nothing(mach_vm_address_t at) { return protect_at(at, 0); }

/* The calls that move bytes, and what they need of the task's memory. */
static const struct {
	const char *name;
	kern_return_t (*call)(mach_vm_address_t, mach_vm_size_t);
	vm_prot_t needs;
} moves[] = { { "mach_vm_read", read_at, VM_PROT_READ }, { "mach_vm_read_overwrite", get, VM_PROT_READ },
	{ "mach_vm_write", write_at, VM_PROT_WRITE }, { "mach_vm_copy from", copy_from, VM_PROT_READ },
	{ "mach_vm_copy to", copy_to, VM_PROT_WRITE } };

static void moving(unsigned m, mach_vm_size_t size, const char *size_name, unsigned unaligned)
{
	static const struct {
		vm_prot_t protection;
		const char *name;
	} protections[] = { { VM_PROT_NONE, "no access" }, { VM_PROT_READ, "read" }, { VM_PROT_DEFAULT, "read and write" },
		{ VM_PROT_READ | VM_PROT_EXECUTE, "read and execute" } };
	static const char *const places[] = { "first", "middle", "last" };
	mach_vm_address_t at = PLACE + unaligned;
	char name[64];
	unsigned p, where;

	snprintf(theme, sizeof theme, "%s, %s%s", moves[m].name, size_name, unaligned ? ", unaligned" : "");
	fill(PLACE, 9);
	fill(OTHER, 9);
	expect("all is there", moves[m].call(at, size), KERN_SUCCESS);
	for (where = 0; where < 3; where++) {
		mach_vm_address_t page = mach_vm_trunc_page(where == 0 ? at : where == 1 ? at + size / 2 : at + size - 1);

		for (p = 0; p < sizeof protections / sizeof protections[0]; p++) {
			fill(PLACE, 9);
			snprintf(name, sizeof name, "the %s page has %s", places[where], protections[p].name);
			if (mach_vm_protect(task, page, 1, FALSE, protections[p].protection) != KERN_SUCCESS)
				exit(2);
			if (protections[p].protection & moves[m].needs)
				expect(name, moves[m].call(at, size), KERN_SUCCESS);
			else
				expect_protection(name, moves[m].call(at, size), size);
		}
		fill(PLACE, 9);
		clear(page, 1);
		snprintf(name, sizeof name, "the %s page is not mapped", places[where]);
		expect(name, moves[m].call(at, size), KERN_INVALID_ADDRESS);
	}
	clear(PLACE, 9);
	clear(OTHER, 9);
}

static void reads(void)
{
	vm_offset_t data;
	mach_msg_type_number_t count;
	unsigned i, unaligned;

	for (i = 0; i < size_count; i++)
		for (unaligned = 0; unaligned < 2; unaligned++) {
			mach_vm_size_t size = sizes[i].size;

			if (size == 0)
				continue;
			snprintf(theme, sizeof theme, "mach_vm_read, %s%s", sizes[i].name, unaligned ? ", unaligned" : "");
			fill(PLACE, 9);
			expect("returns", mach_vm_read(task, PLACE + unaligned, size, &data, &count), KERN_SUCCESS);
			say(count == size, "the count is the size", "it is not");
			say(data % vm_page_size == (size < PAGES(2) ? 0 : unaligned), "the offset in the page is that of macOS", "it is not");
			say(as_filled((unsigned char *)data, unaligned, size), "the bytes are those of the task", "they are not");
			expect("free it", mach_vm_deallocate(mach_task_self(), data, count), KERN_SUCCESS);
			clear(PLACE, 9);
		}
	at_edges("mach_vm_read", read_nothing);
	at_edges("mach_vm_read_overwrite", overwrite_nothing);
	at_wraps("mach_vm_read", read_at, KERN_INVALID_ADDRESS, READABLE_WRAPS, WRAPS_END);
	at_wraps("mach_vm_read_overwrite", get, KERN_INVALID_ADDRESS, READABLE_WRAPS, WRAPS_END);
	snprintf(theme, sizeof theme, "mach_vm_read");
	expect("4 GB", mach_vm_read(task, PLACE, (mach_vm_size_t)1 << 32, &data, &count), KERN_INVALID_ARGUMENT);
	expect("of no task", mach_vm_read(MACH_PORT_NULL, PLACE, 1, &data, &count), MACH_SEND_INVALID_DEST);
}

/* The data of a write can't be read. */
static void bad_data(void)
{
	static const vm_prot_t protections[] = { VM_PROT_NONE, -1 };
	static const char *const places[] = { "first", "middle", "last" };
	char name[64];
	unsigned where, p, i;

	for (i = 0; i < size_count; i++) {
		mach_vm_size_t size = sizes[i].size;

		if (size == 0)
			continue;
		snprintf(theme, sizeof theme, "mach_vm_write, %s of data", sizes[i].name);
		for (where = 0; where < 3; where++)
			for (p = 0; p < 2; p++) {
				mach_vm_address_t data = 0, page;

				fill(PLACE, 9);
				if (mach_vm_allocate(mach_task_self(), &data, PAGES(9), VM_FLAGS_ANYWHERE) != KERN_SUCCESS)
					exit(2);
				page = mach_vm_trunc_page(where == 0 ? data : where == 1 ? data + size / 2 : data + size - 1);
				if (protections[p] == VM_PROT_NONE)
					mach_vm_protect(mach_task_self(), page, 1, FALSE, VM_PROT_NONE);
				else
					mach_vm_deallocate(mach_task_self(), page, 1);
				snprintf(name, sizeof name, "the %s page of them %s", places[where],
					protections[p] == VM_PROT_NONE ? "can't be read" : "is not mapped");
				expect(name, mach_vm_write(task, PLACE, (vm_offset_t)data, (mach_msg_type_number_t)size), MACH_SEND_INVALID_MEMORY);
				mach_vm_deallocate(mach_task_self(), data, PAGES(9));
			}
	}
	clear(PLACE, 9);
}

static void copies(void)
{
	unsigned i, from, to;

	for (i = 0; i < size_count; i++)
		for (from = 0; from < 3; from++)
			for (to = 0; to < 3; to++) {
				if (sizes[i].size == 0)
					continue;
				snprintf(theme, sizeof theme, "mach_vm_copy, %s from offset %u to %u", sizes[i].name, from, to);
				fill(PLACE, 9);
				clear(OTHER, 9);
				{
					mach_vm_address_t other = OTHER;

					mach_vm_allocate(task, &other, PAGES(9), VM_FLAGS_FIXED);
				}
				expect("returns", mach_vm_copy(task, PLACE + from, sizes[i].size, OTHER + to), KERN_SUCCESS);
				get(OTHER, PAGES(9));
				say(as_filled(buffer + to, from, sizes[i].size), "the bytes are those of the source", "they are not");
				say(zeros(OTHER + to + sizes[i].size, 64), "no byte behind them was changed", "one was");
				get(PLACE, PAGES(9));
				say(as_filled(buffer, 0, PAGES(9)), "the source is what it was", "it is not");
			}
	clear(PLACE, 9);
	fill(OTHER, 9);
	at_edges("mach_vm_copy", copy_nothing);
	at_wraps("mach_vm_copy from", copy_from, KERN_INVALID_ADDRESS, ALL_WRAPS, WRAPS_END);
	at_wraps("mach_vm_copy to", copy_to, KERN_INVALID_ADDRESS, ALL_WRAPS, WRAPS_END);
	clear(OTHER, 9);
}

static void protections(void)
{
	static const vm_prot_t wanted[] = { VM_PROT_NONE, VM_PROT_READ, VM_PROT_DEFAULT, VM_PROT_READ | VM_PROT_EXECUTE, VM_PROT_ALL };
	char name[64];
	unsigned i, where, p;

	for (i = 0; i < size_count; i++)
		for (where = 0; where < 3; where++) {
			mach_vm_size_t size = sizes[i].size, offset = where == 0 ? 0 : where == 1 ? PAGES(1) + 7 : PAGES(9) - size;
			mach_vm_address_t from = mach_vm_trunc_page(PLACE + offset), to = rounded(PLACE + offset + size);

			if (size == 0)
				continue;
			snprintf(theme, sizeof theme, "mach_vm_protect, %s at the %s", sizes[i].name,
				where == 0 ? "start" : where == 1 ? "middle" : "end");
			for (p = 0; p < sizeof wanted / sizeof wanted[0]; p++) {
				fill(PLACE, 9);
				snprintf(name, sizeof name, "protection %d", wanted[p]);
				expect(name, mach_vm_protect(task, PLACE + offset, size, FALSE, wanted[p]), KERN_SUCCESS);
				say(all(from, to - from, wanted[p]) && (from == PLACE || all(PLACE, from - PLACE, VM_PROT_DEFAULT)) &&
					(to == PLACE + PAGES(9) || all(to, PLACE + PAGES(9) - to, VM_PROT_DEFAULT)), "the pages that it touches have it", "not so");
			}
			mach_vm_protect(task, PLACE, PAGES(9), FALSE, VM_PROT_DEFAULT);
			get(PLACE, PAGES(9));
			say(as_filled(buffer, 0, PAGES(9)), "the bytes are what they were", "they are not");
			clear(mach_vm_trunc_page(PLACE + offset + size / 2), 1);
			expect("a hole in the middle", protect_at(PLACE + offset, size), KERN_INVALID_ADDRESS);
			say(protection(PLACE + (where == 0 ? PAGES(8) : 0)) == VM_PROT_DEFAULT, "then nothing changes", "it does");
			clear(PLACE, 9);
		}
	at_edges("mach_vm_protect", protect_nothing);
	at_wraps("mach_vm_protect", protect_at, KERN_INVALID_ARGUMENT, ALL_WRAPS, WRAPS_END);
	expect("in no task", mach_vm_protect(MACH_PORT_NULL, PLACE, 1, FALSE, VM_PROT_READ), MACH_SEND_INVALID_DEST);
}

int main(int argc, char **argv)
{
	unsigned i, m, unaligned;

	task = argc == 2 ? mach_task_self() : begin(argc, argv);
	if (PAGES(9) > sizeof buffer)
		exit(2);
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	add_size(0, "no bytes");
	add_size(1, "1 byte");
	add_size(PAGES(1) - 1, "a page less 1");
	add_size(PAGES(1), "a page");
	add_size(PAGES(1) + 1, "a page and 1");
	add_size(PAGES(2), "2 pages");
	add_size(PAGES(7) + 100, "7 pages and 100");
	allocations();
	allocation_edges();
	deallocations();
	reads();
	for (m = 0; m < sizeof moves / sizeof moves[0]; m++)
		for (i = 0; i < size_count; i++)
			for (unaligned = 0; unaligned < 2; unaligned++)
				if (sizes[i].size != 0)
					moving(m, sizes[i].size, sizes[i].name, unaligned);
	at_edges("mach_vm_write", write_nothing);
	at_wraps("mach_vm_write", write_at, KERN_INVALID_ADDRESS, READABLE_WRAPS, WRITABLE_WRAPS_END);
	bad_data();
	copies();
	protections();
	return failures != 0;
}
