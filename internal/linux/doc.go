// SPDX-License-Identifier: Apache-2.0

// Package linux holds the raw system calls and kernel structures that
// golang.org/x/sys/unix lacks, each with the man page or the uapi header that
// defines it.
//
// A function here makes one system call and returns its errno, or makes none and
// turns a pointer into an address or back. It must not hold policy: no retries, no
// fallbacks, no knowledge of Mach, nothing that decides which call to make. Apart
// from the C interface and tests, this is the only package that may import unsafe.
package linux
