// SPDX-License-Identifier: Apache-2.0

// Package address finds the address in a process that an expression names. An address
// is another one in each run of a program; what stays is where it lies in a module, and
// which pointers lead to it:
//
//	game+0x4068,0x8,0x16        the pointer at game+0x4068, plus 8; the pointer there, plus 0x16
//	[[game+0x4068]+0x8]+0x16    the same
//	game!player->0x10           0x10 behind what the variable player of the module game points to
//	!"Player::instance()"       a symbol of the program, or of any module
//	[@stack-0x20]*8+0xf000      arithmetic, from the end of the stack
//
// [Parse] reads an expression, a [Resolver] finds its address in a process.
//
// # Grammar
//
// In the notation of the Go specification; spaces may stand between the tokens.
//
//	expr    = sum { ( "," | "->" ) sum } .
//	sum     = [ "-" ] product { ( "+" | "-" ) product } .
//	product = term { "*" term } .
//	term    = number | place | "[" expr "]" | "(" expr ")" .
//	place   = module [ "!" symbol ] | "!" symbol | "@heap" | "@stack" .
//	module  = name | "@exe" | "@vdso" .
//	symbol  = name .
//	number  = "0x" hex { hex } | "0d" decimal { decimal } | decimal .
//	name    = namechar { namechar } | quoted .
//
// A comma and an arrow are the same: read the pointer at what stands on their left, and
// add what stands on their right. They bind weakest. "[" expr "]" is the pointer at expr.
// Arithmetic is modulo 2^64, or modulo 2^32 where all places and pointers in it belong
// to 32-bit modules that lie below 2^32, as in the code of those.
//
// A number has its base in front of it. Other tools read 374 in an address as
// hexadecimal, and a wrong guess would write to a wrong place, so it is refused.
//
// A namechar is a letter, a digit, a letter or digit outside ASCII, or one of _ . / : $ ~ %.
// A name that begins with a digit has something in it that is no hexadecimal digit, and
// does not begin with 0x or 0d. Any other name is quoted as a string of Go is:
// "libc-2.31.so", "7", "a \"b\"", "\xff".
//
// # Places
//
// A module is named by the last part of its path, by the end of its path from a slash
// on, or by the front of its build id, and is the address where it begins. @exe is the
// program that the process runs: for a Windows program that is Wine's loader. @heap is
// the start of the heap that brk(2) moves, and @vdso that of the kernel's code in the
// process. @stack is the end of the first thread's stack, since its start moves when it
// grows: what is on it has a negative offset.
//
// A pointer is as wide as those of the module that is named first in its brackets, and
// otherwise as those of the program. Bytes are in the order of this machine.
package address
