/* SPDX-License-Identifier: Apache-2.0 */
/* A 64-bit process whose first thread runs 32-bit code, as Wine has them. It prints
 * the address of a word that this thread counts up without an end. With "thread" it
 * has another thread, of 64 bits, and with "code" an instruction below 4 GiB that
 * makes a system call.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static void *wait_for_ever(void *argument)
{
	for (;;)
		pause();
	return argument;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	unsigned char *low = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	unsigned char code[] = {0xff, 0x05, 0, 0, 0, 0, 0xeb, 0xf8, 0xcc, 0xcc}; /* incl counter; jmp to it */
	uint32_t counter = (uint32_t)(uintptr_t)low + 4096;
	struct __attribute__((packed)) {
		uint32_t offset;
		uint16_t segment;
	} start = {(uint32_t)(uintptr_t)low, 0x23};
	unsigned data = 0x2b;
	pthread_t thread;

	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	if (low == MAP_FAILED)
		return 1;
	memcpy(code + 2, &counter, sizeof counter);
	if (strcmp(kind, "code") == 0)
		memcpy(code + 8, "\xcd\x80", 2);
	memcpy(low, code, sizeof code);
	if (strcmp(kind, "thread") == 0 && pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
		return 1;
	printf("%#x\n", counter);
	fflush(stdout);
	__asm__ volatile("mov %1, %%ds\n mov %1, %%es\n ljmp *%0" : : "m"(start), "r"(data));
	return 0;
}
