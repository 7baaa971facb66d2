// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"encoding/binary"

	"github.com/vmwrite/vmwrite/internal/linux"
	"golang.org/x/sys/unix"
)

var abis = []abi{{
	word: 8, instruction: []byte{0x01, 0x00, 0x00, 0xd4}, // svc #0
	signalReturns: [][]byte{{0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4}}, // mov x8, #139; svc #0
	signalReturn:  unix.SYS_RT_SIGRETURN, restart: unix.SYS_RESTART_SYSCALL, layFrame: layFrame, isFrame: isFrame,
	audit:   unix.AUDIT_ARCH_AARCH64,
	numbers: [...]uint64{mmap: unix.SYS_MMAP, mprotect: unix.SYS_MPROTECT, munmap: unix.SYS_MUNMAP, madvise: unix.SYS_MADVISE, msync: unix.SYS_MSYNC},
	// x0 to x30 sp pc pstate
	registers: 34, pc: 32, stack: 31, number: 8, result: 0,
	flags: 33, branched: 3 << 10, // BTYPE
	arguments: [6]int{0, 1, 2, 3, 4, 5},
	setNumber: setNumber, hiddenRestart: hiddenRestart, interrupted: interrupted, vectors: vectors, isStreaming: isStreaming,
}}

func setNumber(tid int, number uint64) error {
	return linux.PtraceSetRegisterSet(tid, unix.NT_ARM_SYSTEM_CALL, binary.NativeEndian.AppendUint32(nil, uint32(number)))
}

// hiddenRestart reports whether the thread may be in one of the calls that wait for a
// time and go on with the rest of it by restart_syscall: those in which the kernel
// returns ERESTART_RESTARTBLOCK.
func hiddenRestart(t *thread) bool {
	r := &t.saved
	waits := false
	switch r.get(r.abi.number) {
	case unix.SYS_NANOSLEEP:
		waits = true
	case unix.SYS_CLOCK_NANOSLEEP: // until a time it begins again as it was
		const timerAbstime = 1 // linux/time.h
		waits = r.get(1)&timerAbstime == 0
	case unix.SYS_FUTEX:
		waits = isFutexWait(r) && r.get(3) != 0
	}
	return waits && t.atSystemCall()
}

func isFutexWait(r *registers) bool {
	const commands, wait, waitBitset = 0x7f, 0, 9 // linux/futex.h
	command := r.get(1) & commands
	return command == wait || command == waitBitset
}

// interrupted returns the error in which a system call that waits has ended for the
// kernel when it was interrupted. It decides whether the call returns EINTR after the
// handler of a signal. The kernel shows the thread as it is to start the call again,
// so that the error is told by the call.
func interrupted(t *thread) unix.Errno {
	const restartSys, restartNoHandler, restartBlock = 512, 514, 516 // linux/errno.h
	if !t.atSystemCall() {
		return 0
	}
	switch t.saved.get(t.saved.abi.number) {
	case unix.SYS_RESTART_SYSCALL:
		return restartBlock
	case unix.SYS_PPOLL, unix.SYS_PSELECT6, unix.SYS_RT_SIGSUSPEND, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_MSGRCV, unix.SYS_MSGSND:
		return restartNoHandler
	case unix.SYS_READ, unix.SYS_READV, unix.SYS_WRITE, unix.SYS_WRITEV, unix.SYS_WAIT4, unix.SYS_WAITID,
		unix.SYS_PREADV2, unix.SYS_PWRITEV2, unix.SYS_SPLICE, unix.SYS_TEE, unix.SYS_VMSPLICE, unix.SYS_SENDFILE,
		unix.SYS_RECVFROM, unix.SYS_RECVMSG, unix.SYS_RECVMMSG, unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG,
		unix.SYS_ACCEPT, unix.SYS_ACCEPT4, unix.SYS_CONNECT, unix.SYS_FLOCK, unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_IOCTL,
		unix.SYS_MQ_TIMEDRECEIVE, unix.SYS_MQ_TIMEDSEND, unix.SYS_FUTEX_WAITV, unix.SYS_FUTEX_WAIT:
		return restartSys
	case unix.SYS_FUTEX:
		if isFutexWait(&t.saved) {
			return restartSys
		}
	case unix.SYS_FCNTL:
		const ofdSetLockAndWait = 38 // F_OFD_SETLKW of linux/fcntl.h
		if command := t.saved.get(1); command == unix.F_SETLKW || command == ofdSetLockAndWait {
			return restartSys
		}
	}
	return 0
}

// isStreaming reports whether the thread is in the streaming mode of SME, out of which
// every system call takes it.
func isStreaming(tid int) bool { return scalable(tid, unix.NT_ARM_SSVE) != nil }

// vectors returns the registers of SVE, which a system call destroys but for their
// first 128 bits, as NT_ARM_SVE shows them; nil if they are not in use.
func vectors(tid int) []byte { return scalable(tid, unix.NT_ARM_SVE) }

func scalable(tid int, note uintptr) []byte {
	var state [16 << 10]byte
	n, err := linux.PtraceRegisterSet(tid, note, state[:])
	if err != nil || n < sveHeader || binary.NativeEndian.Uint16(state[sveFlags:])&sveInUse == 0 {
		return nil
	}
	return state[:n]
}

// Parts of struct user_sve_header of the uapi header asm/ptrace.h.
const (
	sveVectorLength = 8  // in bytes
	sveFlags        = 12 // SVE_PT_REGS_SVE
	sveHeader       = 16
	sveInUse        = 1
)
