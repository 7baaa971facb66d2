// SPDX-License-Identifier: Apache-2.0
// A program that waits, with a function whose code is known.

#include <unistd.h>

int constant(void);
__asm__(".text\n.globl constant\n.type constant, @function\nconstant:\n.cfi_startproc\n"
	"mov $0x12345678, %eax\nret\n.cfi_endproc\n.size constant, .-constant\n");

int main(void)
{
	for (;;) {
		pause();
		constant();
	}
}
