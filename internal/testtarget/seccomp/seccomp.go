// SPDX-License-Identifier: Apache-2.0

// Package seccomp puts this process under a seccomp filter, for tests.
package seccomp

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Refuse makes the kernel answer errno to the system calls of the given numbers,
// in all threads of this process, for good (seccomp(2)). A test starts its own
// program anew for it.
func Refuse(errno unix.Errno, numbers ...uintptr) error {
	return install(unix.SECCOMP_RET_ERRNO|uint32(errno), numbers)
}

// Kill makes the kernel end this process when it makes one of the system calls.
func Kill(numbers ...uintptr) error { return install(unix.SECCOMP_RET_KILL_PROCESS, numbers) }

// RefuseWithout makes the kernel answer errno to a system call whose third argument
// has none of some bits.
func RefuseWithout(bits uint32, errno unix.Errno, number uintptr) error {
	const argument = 16 + 2*8 // of struct seccomp_data: its low half, on a little-endian machine
	return load([]unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(number), Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: argument},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: bits, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	})
}

func install(action uint32, numbers []uintptr) error {
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}}
	for _, number := range numbers {
		program = append(program,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(number), Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action},
		)
	}
	return load(append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}))
}

func load(program []unix.SockFilter) error {
	const (
		filterMode = 1 // SECCOMP_SET_MODE_FILTER
		allThreads = 1 // SECCOMP_FILTER_FLAG_TSYNC
	)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, callErrno := unix.Syscall(unix.SYS_SECCOMP, filterMode, allThreads, uintptr(unsafe.Pointer(&filter)))
	runtime.KeepAlive(program)
	if callErrno != 0 {
		return fmt.Errorf("seccomp: %w", callErrno)
	}
	return nil
}
