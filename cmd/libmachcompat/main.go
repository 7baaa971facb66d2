// SPDX-License-Identifier: Apache-2.0

// Libmachcompat is Mach's C interface for Linux: pkg/machcompat behind the
// declarations of include/mach, built by "make lib".
//
// The .c files are what a program calls. They look at pointers and counts, write
// what goes to the caller, and do nothing at all in the child of a fork, where Go
// does not run. The exported functions of the .go files look up the name of the
// task (ports.go) and make the call. What a call means is not decided here but in
// pkg/machcompat.
package main

// What is written into the caller's structs is written by calls of memcpy, not by
// inlined code, so that the address sanitizer of a program sees it.

// #cgo CFLAGS: -I${SRCDIR}/../../include -std=gnu11 -Wall -Wextra -fno-builtin-memcpy
// #cgo LDFLAGS: -ldl
import "C"

func main() {}
