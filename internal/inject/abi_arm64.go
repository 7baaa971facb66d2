package inject

import "golang.org/x/sys/unix"

// The kernel has put an interrupted system call back to its start before a
// thread stops, so the registers are all that it needs to go on.
var abis = []abi{{
	word: 8, instruction: []byte{0x01, 0x00, 0x00, 0xd4}, // svc #0
	audit:   unix.AUDIT_ARCH_AARCH64,
	numbers: [...]uint64{mmap: 222, mprotect: 226, munmap: 215},
	// x0 to x30 sp pc pstate
	registers: 34, pc: 32, stack: 31, number: 8, result: 0,
	arguments: [6]int{0, 1, 2, 3, 4, 5},
}}
