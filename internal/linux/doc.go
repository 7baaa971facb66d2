// Package linux holds the raw system calls and kernel structures that
// golang.org/x/sys/unix lacks, each with the man page or the uapi header that
// defines it.
//
// It is the only package here that may import unsafe. It must not hold policy:
// no retries, no fallbacks, no knowledge of Mach, nothing that decides which
// call to make. A function here makes one system call and returns its errno.
package linux
