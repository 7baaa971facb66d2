// SPDX-License-Identifier: Apache-2.0
// A program that never leaves the second instruction of a function.

void stuck(void);

#if defined(__x86_64__) || defined(__i386__)
__asm__(".text\n.globl stuck\n.type stuck, @function\nstuck: nop\n1: jmp 1b\n.size stuck, .-stuck\n");
#elif defined(__aarch64__)
__asm__(".text\n.globl stuck\n.type stuck, %function\nstuck: nop\n1: b 1b\n.size stuck, .-stuck\n");
#endif

int main(void)
{
	stuck();
	return 0;
}
