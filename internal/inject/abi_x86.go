// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || 386

package inject

import "golang.org/x/sys/unix"

var abis = []abi{
	{
		word: 8, instruction: []byte{0x0f, 0x05}, // syscall
		signalReturns: [][]byte{
			{0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05}, // mov $15, %rax; syscall
			{0xb8, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05},             // mov $15, %eax; syscall
		},
		stackInFrame: 8, // behind the address that a handler returns to
		signalReturn: 15, restart: 219, layFrame: layFrame, isFrame: isFrame,
		audit:   unix.AUDIT_ARCH_X86_64,
		numbers: [...]uint64{mmap: 9, mprotect: 10, munmap: 11, madvise: 28, msync: 26},
		// r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip
		// cs eflags rsp ss fs_base gs_base ds es fs gs
		registers: 27, pc: 16, stack: 19, number: 10, result: 10, original: 15,
		arguments: [6]int{14, 13, 12, 7, 9, 8}, // rdi rsi rdx r10 r8 r9
	},
	{
		word: 4, instruction: []byte{0xcd, 0x80}, // int 0x80
		audit:   unix.AUDIT_ARCH_I386,
		numbers: [...]uint64{mmap: 192, mprotect: 125, munmap: 91, madvise: 219, msync: 144}, // mmap2, whose offset is in pages
		// ebx ecx edx esi edi ebp eax xds xes xfs xgs orig_eax eip xcs eflags esp xss
		registers: 17, pc: 12, stack: 15, number: 6, result: 6, original: 11,
		arguments: [6]int{0, 1, 2, 3, 4, 5}, // ebx ecx edx esi edi ebp
	},
}
