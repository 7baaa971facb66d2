/* SPDX-License-Identifier: Apache-2.0 */
/* A target without an instruction that makes a 64-bit system call: it has no library,
 * unmaps the vdso, and makes its own calls as 32-bit programs do, which all its
 * addresses are low enough for. It prints "ready ADDRESS", of a page, and maps such an
 * instruction at the first line of its input, as a program does that loads a library.
 *
 * Built with -nostdlib -static -no-pie.
 */
#include <elf.h>

enum { READ = 3, WRITE = 4, EXIT = 1, MUNMAP = 91, MMAP2 = 192, PAGE = 4096 };

static long call(long number, long a, long b, long c, long d, long e)
{
	long result;
	__asm__ volatile("push %%rbp; xor %%ebp, %%ebp; int $0x80; pop %%rbp"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

static char *map(int prot)
{
	const int private_anonymous = 0x22;
	return (char *)(call(MMAP2, 0, PAGE, prot, private_anonymous, -1) & 0xffffffff);
}

/* The instruction is put together here, so that this program does not hold it. */
static char *map_instruction(void)
{
	volatile char *code = map(7);
	code[1] = 5;
	code[0] = 15;
	code[2] = (char)0xc3; /* ret */
	return (char *)code;
}

static void unmap_vdso(unsigned long vdso)
{
	const long munmap = 11;
	char *code = map_instruction();
	long result;
	__asm__ volatile("call *%1" : "=a"(result) : "r"(code), "0"(munmap), "D"(vdso), "S"(2 * PAGE) : "rcx", "r11", "memory");
	call(MUNMAP, (long)code, PAGE, 0, 0, 0);
}

/* What is on the stack is too high for the calls. */
static char line[64], text[] = "ready 0x00000000\n", ok[] = "ok\n";

void run(long *stack)
{
	Elf64_auxv_t *auxiliary;
	long *p = stack + 1 + stack[0] + 1;
	while (*p++)
		continue;
	for (auxiliary = (Elf64_auxv_t *)p; auxiliary->a_type != AT_NULL; auxiliary++)
		if (auxiliary->a_type == AT_SYSINFO_EHDR)
			unmap_vdso(auxiliary->a_un.a_val);
	unsigned long page = (unsigned long)map(3);
	for (int i = 15; i >= 8; i--, page >>= 4)
		text[i] = "0123456789abcdef"[page & 15];
	call(WRITE, 1, (long)text, sizeof text - 1, 0, 0);
	while (call(READ, 0, (long)line, sizeof line, 0, 0) > 0) {
		map_instruction();
		call(WRITE, 1, (long)ok, sizeof ok - 1, 0, 0);
	}
	call(EXIT, 0, 0, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run\n");
