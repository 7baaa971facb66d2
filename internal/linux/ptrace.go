// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Each function here must run on the operating system thread that traces tid,
// while tid is stopped.

// PtraceDetach lets the thread tid run on untraced, and delivers signal to it
// first unless signal is 0: PTRACE_DETACH in ptrace(2), whose signal argument
// the call of the same name in x/sys/unix does not take.
func PtraceDetach(tid int, signal unix.Signal) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(tid), 0, uintptr(signal), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// PtraceSigmask returns the set of signals that tid blocks: PTRACE_GETSIGMASK.
func PtraceSigmask(tid int) (mask uint64, err error) {
	_, err = ptrace(unix.PTRACE_GETSIGMASK, tid, unsafe.Sizeof(mask), unsafe.Pointer(&mask))
	return mask, err
}

// PtraceSetSigmask sets the signals that tid blocks: PTRACE_SETSIGMASK.
func PtraceSetSigmask(tid int, mask uint64) error {
	_, err := ptrace(unix.PTRACE_SETSIGMASK, tid, unsafe.Sizeof(mask), unsafe.Pointer(&mask))
	return err
}

// PtraceSeccompFilter reads the program of a seccomp filter of tid, counted from
// the one that was installed last, and returns its length:
// PTRACE_SECCOMP_GET_FILTER. The error is ENOENT past the first one, EACCES without
// CAP_SYS_ADMIN or when the caller is itself under a filter, EINVAL when the kernel
// can't show them.
func PtraceSeccompFilter(tid, index int, program *[unix.BPF_MAXINSNS]unix.SockFilter) (int, error) {
	return ptrace(unix.PTRACE_SECCOMP_GET_FILTER, tid, uintptr(index), unsafe.Pointer(program))
}

// SyscallUserDispatch is struct ptrace_sud_config of the uapi header linux/ptrace.h.
type SyscallUserDispatch struct {
	Mode, Selector, Offset, Length uint64
}

// PtraceSyscallUserDispatch returns how the system calls of tid are dispatched:
// PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, Linux 6.4.
func PtraceSyscallUserDispatch(tid int) (d SyscallUserDispatch, err error) {
	_, err = ptrace(unix.PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tid, unsafe.Sizeof(d), unsafe.Pointer(&d))
	return d, err
}

// PtraceRseqCriticalSection returns the address at which tid's pointer to the
// restartable sequence that it runs lies (rseq_cs of struct rseq), 0 when it
// has none: PTRACE_GET_RSEQ_CONFIGURATION.
func PtraceRseqCriticalSection(tid int) (uint64, error) {
	const criticalSection = 8 // offset of rseq_cs in struct rseq of linux/rseq.h
	var config struct {       // ptrace_rseq_configuration of linux/ptrace.h
		address                   uint64
		size, signature, flags, _ uint32
	}
	_, err := ptrace(unix.PTRACE_GET_RSEQ_CONFIGURATION, tid, unsafe.Sizeof(config), unsafe.Pointer(&config))
	if err != nil || config.address == 0 {
		return 0, err
	}
	return config.address + criticalSection, nil
}

func ptrace(request, tid int, address uintptr, data unsafe.Pointer) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), address, uintptr(data), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// PtraceRegisterSet reads registers of tid into p and returns how many bytes of p
// they take: PTRACE_GETREGSET with a note, NT_PRSTATUS and so on, of the uapi header
// linux/elf.h. A 32-bit thread has others than a 64-bit one. The error is ENODEV or
// EINVAL where the processor, the kernel or the architecture has no such registers.
func PtraceRegisterSet(tid int, note uintptr, p []byte) (int, error) {
	return ptraceRegisterSet(unix.PTRACE_GETREGSET, tid, note, p)
}

// PtraceSetRegisterSet sets what PtraceRegisterSet reads: PTRACE_SETREGSET.
func PtraceSetRegisterSet(tid int, note uintptr, p []byte) error {
	_, err := ptraceRegisterSet(unix.PTRACE_SETREGSET, tid, note, p)
	return err
}

func ptraceRegisterSet(request, tid int, note uintptr, p []byte) (int, error) {
	vector := unix.Iovec{Base: &p[0]}
	vector.SetLen(len(p))
	_, err := ptrace(request, tid, note, unsafe.Pointer(&vector))
	return int(vector.Len), err
}

// StopInfo says why a traced thread is stopped: siginfo_t.
type StopInfo struct {
	Signal, Errno, Code int32
	_                   [116]byte
}

// IsEvent reports whether a stop is one of PTRACE_INTERRUPT or of job control.
func (s StopInfo) IsEvent() bool { return s.Code>>8 == unix.PTRACE_EVENT_STOP }

// IsSystemCall reports whether a stop is at the entry or the exit of a system call.
// Which code that has depends on PTRACE_O_TRACESYSGOOD.
func (s StopInfo) IsSystemCall() bool {
	return s.Signal == int32(unix.SIGTRAP) && s.Code&^0x80 == int32(unix.SIGTRAP)
}

// IsSignal reports whether a stop is that of a signal before it takes effect.
func (s StopInfo) IsSignal() bool { return s.Code>>8 <= 0 && !s.IsSystemCall() }

// PtraceStopInfo returns why tid is stopped: PTRACE_GETSIGINFO. The error is ESRCH
// while it runs, and EINVAL in the group-stop of a thread that was not seized.
func PtraceStopInfo(tid int) (info StopInfo, err error) {
	_, err = ptrace(unix.PTRACE_GETSIGINFO, tid, 0, unsafe.Pointer(&info))
	return info, err
}

// PtraceSetStopInfo changes what PtraceStopInfo returns: PTRACE_SETSIGINFO.
func PtraceSetStopInfo(tid int, info StopInfo) error {
	_, err := ptrace(unix.PTRACE_SETSIGINFO, tid, 0, unsafe.Pointer(&info))
	return err
}

// PtracePosition returns the instruction pointer and the stack pointer of tid,
// whatever its architecture: PTRACE_GET_SYSCALL_INFO. The error is EIO before
// Linux 5.3.
func PtracePosition(tid int) (pc, sp uint64, err error) {
	var info struct {
		op     uint8
		_      [3]uint8
		arch   uint32
		pc, sp uint64
	}
	_, err = ptrace(unix.PTRACE_GET_SYSCALL_INFO, tid, unsafe.Sizeof(info), unsafe.Pointer(&info))
	return info.pc, info.sp, err
}

// ChildState is what waitid(2) tells of a child or tracee.
type ChildState struct {
	TID    int // 0 when there is nothing to tell
	Code   int // CLD_EXITED and so on, of the uapi header asm-generic/siginfo.h
	Status int // exit status, or the signal with a ptrace event in bits 8 and up
}

// Ended reports whether the thread has ended: CLD_EXITED, CLD_KILLED, CLD_DUMPED.
func (s ChildState) Ended() bool { return 1 <= s.Code && s.Code <= 3 }

// Trapped reports whether it is stopped for its tracer: CLD_TRAPPED.
func (s ChildState) Trapped() bool { return s.Code == 4 }

// childInfo is siginfo_t as waitid(2) fills it: three words, then a union that
// is aligned to a pointer.
type childInfo struct {
	signo, errno, code int32
	_                  [unsafe.Sizeof(uintptr(0)) - 4]byte
	pid                int32
	uid                uint32
	status             int32
	_                  [128]byte
}

// PeekChild tells the state of the child or traced thread tid without waiting
// and without consuming it: waitid(2) with WNOHANG and WNOWAIT. A stop that is
// not consumed keeps the signal that caused it, and the kernel delivers that
// signal even if the tracer is killed. The error is ECHILD when tid is neither
// child nor tracee.
func PeekChild(tid int) (ChildState, error) {
	const options = unix.WEXITED | unix.WSTOPPED | unix.WALL | unix.WNOHANG | unix.WNOWAIT
	var info childInfo
	err := unix.Waitid(unix.P_PID, tid, (*unix.Siginfo)(unsafe.Pointer(&info)), options, nil)
	return ChildState{TID: int(info.pid), Code: int(info.code), Status: int(info.status)}, err
}
