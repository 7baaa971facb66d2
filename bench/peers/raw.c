/* SPDX-License-Identifier: Apache-2.0 */
/* The bare system calls, in loops: what a write costs when nothing is checked,
 * and when only the checking calls are added. It takes commands on its input, a
 * line each, and answers with the nanoseconds that all CALLS took together.
 *
 *   open PID                       the process that the other commands mean
 *   source PATH BYTES              a file to map and to write from, for long writes
 *   vm ADDRESS BYTES CALLS         process_vm_writev until all bytes are written
 *   mem ADDRESS BYTES CALLS        pwrite on /proc/PID/mem, likewise
 *   copy BYTES CALLS               memcpy inside this process
 *   query ADDRESS CALLS            PROCMAP_QUERY
 *   checked ADDRESS BYTES CALLS    PROCMAP_QUERY, process_vm_writev, PROCMAP_QUERY
 *   lives CALLS                    a read of /proc/PID/task/PID/stat
 *   confirmed ADDRESS BYTES CALLS  process_vm_writev, that read
 *   addresses COUNT BYTES          followed by COUNT binary 64-bit addresses, for:
 *   batch CALLS                    process_vm_writev with up to 1024 iovecs a call
 *   readbatch CALLS                process_vm_readv likewise
 *   checkedbatch CALLS             what Task.WriteBatch does for the values of one
 *                                  mapping: PROCMAP_QUERY, madvise of the source's
 *                                  last page, batch, the read of stat
 *   confirmedread CALLS            what Task.ReadBatch does: readbatch, that read
 *   single CALLS                   process_vm_writev, one call for each address
 *   readall ADDRESS BYTES N CALLS  process_vm_readv of all of it in blocks of 256 KiB, by
 *                                  N threads
 *   reopen PID CALLS               what TaskForPID and Close do
 *   threads N ADDRESS BYTES CALLS  N threads, CALLS each, 64 bytes apart
 *   processes N ADDRESS BYTES CALLS
 *   stop ADDRESS BYTES CALLS PAUSE stop all threads, write, release: the start and
 *                                  end of each call; PAUSE us in between
 */
#include "common.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_IOVECS = 1024 };

static pid_t pid;
static int maps = -1, memory = -1, stat = -1;
static struct buffer { char *bytes; size_t size; } source, destination;
static struct iovec *local, *remote;
static long addresses, value_size;

/* Writes of a few pages come from memory of our own. */
static char *grow(struct buffer *b, size_t size)
{
	if (b->size >= size)
		return b->bytes;
	if (b->size > 0)
		munmap(b->bytes, b->size);
	b->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->bytes == MAP_FAILED)
		exit(1);
	memset(b->bytes, 2, size);
	b->size = size;
	return b->bytes;
}

/* Long writes come from the same pages on both sides of a comparison, because
 * where in the machine's memory pages lie makes one copy faster than another. */
static int map_source(const char *path, size_t size)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return 0;
	if (source.size > 0)
		munmap(source.bytes, source.size);
	source.size = size;
	source.bytes = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
	close(file);
	return source.bytes != MAP_FAILED;
}

static int open_process(long number)
{
	char path[64];
	if (maps >= 0)
		close(maps);
	if (memory >= 0)
		close(memory);
	pid = number;
	snprintf(path, sizeof path, "/proc/%d/maps", pid);
	maps = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof path, "/proc/%d/mem", pid);
	memory = open(path, O_RDWR | O_CLOEXEC);
	if (stat >= 0)
		close(stat);
	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, pid);
	stat = open(path, O_RDONLY | O_CLOEXEC);
	return maps >= 0 && memory >= 0 && stat >= 0;
}

/* The file says where the program lies that the process runs. */
static int lives(void)
{
	char text[2048];
	return pread(stat, text, sizeof text, 0) > 0;
}

static int write_vm(uint64_t address, char *data, size_t size)
{
	while (size > 0) {
		struct iovec from = {data, size}, to = {(void *)address, size};
		ssize_t n = process_vm_writev(pid, &from, 1, &to, 1, 0);
		if (n <= 0)
			return 0;
		address += n, data += n, size -= n;
	}
	return 1;
}

static int write_mem(uint64_t address, char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = pwrite(memory, data, size, address);
		if (n <= 0)
			return 0;
		address += n, data += n, size -= n;
	}
	return 1;
}

static int query(uint64_t address)
{
	struct procmap_query_args q = {.size = sizeof q, .flags = COVERING_OR_NEXT, .address = address};
	return ioctl(maps, PROCMAP_QUERY_REQUEST, &q) == 0;
}

static int load(long count, long size)
{
	uint64_t address;
	free(local);
	free(remote);
	local = calloc(count, sizeof *local);
	remote = calloc(count, sizeof *remote);
	grow(&source, count * size);
	for (long i = 0; i < count; i++) {
		if (fread(&address, sizeof address, 1, stdin) != 1)
			return 0;
		local[i] = (struct iovec){source.bytes + i * size, size};
		remote[i] = (struct iovec){(void *)address, size};
	}
	addresses = count;
	value_size = size;
	return 1;
}

typedef ssize_t transfer(pid_t, const struct iovec *, unsigned long, const struct iovec *, unsigned long, unsigned long);

static int move_list(transfer *call, long most)
{
	for (long i = 0; i < addresses; i += most) {
		long n = addresses - i < most ? addresses - i : most;
		if (call(pid, local + i, n, remote + i, n, 0) != n * value_size)
			return 0;
	}
	return 1;
}

/* The last page of what is written can be read: older headers lack the advice. */
static int source_is_there(void)
{
	enum { POPULATE_READ = 22 };
	uintptr_t page = sysconf(_SC_PAGESIZE), last = (uintptr_t)source.bytes + addresses * value_size - 1;
	return madvise((void *)(last & -page), page, POPULATE_READ) == 0 || errno == EINVAL;
}

static int write_checked(void)
{
	return query((uintptr_t)remote[0].iov_base) && source_is_there() && move_list(process_vm_writev, MOST_IOVECS) && lives();
}

static int open_file(const char *format, int id)
{
	char path[64];
	snprintf(path, sizeof path, format, id, id);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* The calls of TaskForPID and Close, in their order:
 *   pidfd_open
 *   open, read, close of /proc/self/fdinfo/PIDFD   do both mean the same by a pid?
 *   open, pread of /proc/PID/task/PID/stat         which program is it?
 *   open, PROCMAP_QUERY of /proc/PID/maps          is there one, and the query?
 *   process_vm_readv of address 0                  may we? EFAULT says yes
 *   pidfd_send_signal of 0                         was the pid given to another?
 *   pread of stat                                  is it still the same program?
 *   close of all three
 */
static int open_close(pid_t id)
{
	char text[2048], byte;
	struct iovec here = {&byte, 1}, there = {NULL, 1};
	struct procmap_query_args q = {.size = sizeof q, .flags = COVERING_OR_NEXT};
	int pidfd = syscall(SYS_pidfd_open, id, 0);
	int info = open_file("/proc/self/fdinfo/%d", pidfd);
	int ok = pidfd >= 0 && info >= 0 && read(info, text, sizeof text) > 0;
	close(info);
	int about = open_file("/proc/%d/task/%d/stat", id);
	ok = ok && pread(about, text, sizeof text, 0) > 0;
	int list = open_file("/proc/%d/maps", id);
	ok = ok && ioctl(list, PROCMAP_QUERY_REQUEST, &q) == 0;
	ok = ok && process_vm_readv(id, &here, 1, &there, 1, 0) < 0 && errno == EFAULT;
	ok = ok && syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0;
	ok = ok && pread(about, text, sizeof text, 0) > 0;
	close(pidfd);
	close(list);
	close(about);
	return ok;
}

/* Workers start together, and note themselves when they began and ended: one
 * who waits for them may be given a core after they are done. Processes share
 * this too. */
enum { MOST_WORKERS = 64 };
static struct work {
	uint64_t address;
	size_t size;
	long calls;
	pthread_barrier_t start;
	struct { long began, ended; int ok; } worker[MOST_WORKERS];
} *work;

static void *run_worker(void *number)
{
	long i = (long)number, n = 0;
	pthread_barrier_wait(&work->start);
	work->worker[i].began = now();
	while (n < work->calls && write_vm(work->address + i * 64, source.bytes, work->size))
		n++;
	work->worker[i].ended = now();
	work->worker[i].ok = n == work->calls;
	return NULL;
}

static void run_threads(long count)
{
	pthread_t threads[MOST_WORKERS];
	for (long i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, run_worker, (void *)i) != 0)
			exit(1);
	for (long i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

static void run_processes(long count)
{
	for (long i = 0; i < count; i++) {
		pid_t child = fork();
		if (child < 0)
			exit(1);
		if (child == 0) {
			run_worker((void *)i);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		continue;
}

static int run_stops(uint64_t address, size_t size, long calls, long rest)
{
	char *data = grow(&source, size);
	printf("ok");
	for (long i = 0; i < calls; i++) {
		long start = now();
		if (!stop_and_write(pid, memory, address, data, size))
			return 0;
		printf(" %ld %ld", start, now());
		usleep(rest);
	}
	putchar('\n');
	return 1;
}

static int many(const char *word, long count, uint64_t address, size_t size, long calls)
{
	if (count < 1 || count > MOST_WORKERS)
		return 0;
	grow(&source, size);
	if (!work)
		work = mmap(NULL, sizeof *work, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (work == MAP_FAILED)
		exit(1);
	pthread_barrierattr_t shared;
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&work->start, &shared, count);
	work->address = address, work->size = size, work->calls = calls;
	if (strcmp(word, "threads") == 0)
		run_threads(count);
	else
		run_processes(count);
	long began = work->worker[0].began, ended = work->worker[0].ended;
	for (long i = 0; i < count; i++) {
		if (!work->worker[i].ok)
			return 0;
		if (work->worker[i].began < began)
			began = work->worker[i].began;
		if (work->worker[i].ended > ended)
			ended = work->worker[i].ended;
	}
	printf("ok %ld\n", ended - began);
	return 1;
}

enum { READ_BLOCK = 256 << 10 };
static struct { uint64_t address; size_t size, next; int failed; } reading;

static void *read_blocks(void *unused)
{
	char *block = mmap(NULL, READ_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	size_t at;
	while (block != MAP_FAILED && (at = __atomic_fetch_add(&reading.next, READ_BLOCK, __ATOMIC_RELAXED)) < reading.size) {
		size_t size = reading.size - at < READ_BLOCK ? reading.size - at : READ_BLOCK;
		struct iovec to = { block, size }, from = { (void *)(reading.address + at), size };
		if (process_vm_readv(pid, &to, 1, &from, 1, 0) != (ssize_t)size)
			break;
	}
	if (block == MAP_FAILED || reading.next < reading.size)
		reading.failed = 1;
	else
		munmap(block, READ_BLOCK);
	return unused;
}

static int read_all(uint64_t address, size_t size, long threads)
{
	pthread_t thread[MOST_WORKERS];
	if (threads < 1 || threads > MOST_WORKERS)
		return 0;
	reading.address = address, reading.size = size, reading.next = 0, reading.failed = 0;
	for (long i = 1; i < threads; i++)
		if (pthread_create(&thread[i], NULL, read_blocks, NULL) != 0)
			exit(1);
	read_blocks(NULL);
	for (long i = 1; i < threads; i++)
		pthread_join(thread[i], NULL);
	return !reading.failed;
}

#define REPEAT(calls, once) do { \
	start = now(); \
	for (long i = 0; i < (calls); i++) \
		if (!(once)) \
			return 0; \
	printf("ok %ld\n", now() - start); \
	return 1; \
} while (0)

static int obey(const char *line)
{
	char word[32] = "", path[128], *data;
	long a = 0, b = 0, c = 0, d = 0, start;
	if (sscanf(line, "source %127s %li", path, &a) == 2)
		REPEAT(1, map_source(path, a));
	sscanf(line, "%31s %li %li %li %li", word, &a, &b, &c, &d);
	if (strcmp(word, "open") == 0)
		REPEAT(1, open_process(a));
	if (strcmp(word, "addresses") == 0)
		REPEAT(1, load(a, b));
	if (strcmp(word, "batch") == 0)
		REPEAT(a, move_list(process_vm_writev, MOST_IOVECS));
	if (strcmp(word, "single") == 0)
		REPEAT(a, move_list(process_vm_writev, 1));
	if (strcmp(word, "readbatch") == 0)
		REPEAT(a, move_list(process_vm_readv, MOST_IOVECS));
	if (strcmp(word, "checkedbatch") == 0)
		REPEAT(a, write_checked());
	if (strcmp(word, "confirmedread") == 0)
		REPEAT(a, move_list(process_vm_readv, MOST_IOVECS) && lives());
	if (strcmp(word, "reopen") == 0)
		REPEAT(b, open_close(a));
	if (strcmp(word, "query") == 0)
		REPEAT(b, query(a));
	if (strcmp(word, "lives") == 0)
		REPEAT(a, lives());
	if (strcmp(word, "stop") == 0)
		return run_stops(a, b, c, d);
	if (strcmp(word, "readall") == 0)
		REPEAT(d, read_all(a, b, c));
	if (strcmp(word, "threads") == 0 || strcmp(word, "processes") == 0)
		return many(word, a, b, c, d);
	data = grow(&source, strcmp(word, "copy") == 0 ? a : b);
	if (strcmp(word, "vm") == 0)
		REPEAT(c, write_vm(a, data, b));
	if (strcmp(word, "mem") == 0)
		REPEAT(c, write_mem(a, data, b));
	if (strcmp(word, "confirmed") == 0)
		REPEAT(c, write_vm(a, data, b) && lives());
	if (strcmp(word, "checked") == 0)
		REPEAT(c, query(a) && write_vm(a, data, b) && query(a));
	if (strcmp(word, "copy") == 0) {
		char *to = grow(&destination, a);
		/* The pointer is clobbered, or the compiler would make one copy of all. */
		REPEAT(b, (memcpy(to, data, a), ({ __asm__ volatile("" : : "r"(to) : "memory"); 1; })));
	}
	return 0;
}

int main(void)
{
	static char line[256];
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	while (fgets(line, sizeof line, stdin)) {
		if (!obey(line))
			printf("error %s: %m\n", strtok(line, "\n"));
		fflush(stdout);
	}
	return 0;
}
