package linux

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of ptrace(2), from the uapi header linux/ptrace.h.
const (
	ptraceGetSigmask      = 0x420a
	ptraceSetSigmask      = 0x420b
	ptraceSeccompGet      = 0x420c
	ptraceRseqConfig      = 0x420f
	kernelSigsetSize      = 8
	rseqCriticalSectionAt = 8 // offset of rseq_cs in struct rseq, uapi header linux/rseq.h
)

// Each function here must run on the operating system thread that traces tid,
// while tid is stopped.

// PtraceDetach lets the thread tid run on untraced, and delivers signal to it
// first unless signal is 0: PTRACE_DETACH in ptrace(2), whose signal argument
// the call of the same name in x/sys/unix does not take.
func PtraceDetach(tid int, signal unix.Signal) error {
	_, err := ptrace(unix.PTRACE_DETACH, tid, 0, uintptr(signal))
	return err
}

// PtraceSigmask returns the set of signals that tid blocks: PTRACE_GETSIGMASK.
func PtraceSigmask(tid int) (mask uint64, err error) {
	_, err = ptracePointer(ptraceGetSigmask, tid, kernelSigsetSize, unsafe.Pointer(&mask))
	return mask, err
}

// PtraceSetSigmask sets the signals that tid blocks: PTRACE_SETSIGMASK.
func PtraceSetSigmask(tid int, mask uint64) error {
	_, err := ptracePointer(ptraceSetSigmask, tid, kernelSigsetSize, unsafe.Pointer(&mask))
	return err
}

// PtraceSeccompFilter reads the program of a seccomp filter of tid, counted from
// the one that was installed last, and returns its length:
// PTRACE_SECCOMP_GET_FILTER. The error is ENOENT past the first one, EACCES without
// CAP_SYS_ADMIN or when the caller is itself under a filter, EINVAL when the kernel
// can't show them.
func PtraceSeccompFilter(tid, index int, program *[unix.BPF_MAXINSNS]unix.SockFilter) (int, error) {
	return ptracePointer(ptraceSeccompGet, tid, uintptr(index), unsafe.Pointer(program))
}

// rseqConfiguration is struct ptrace_rseq_configuration of linux/ptrace.h.
type rseqConfiguration struct {
	address          uint64
	size             uint32
	signature, flags uint32
	_                uint32
}

// PtraceRseqCriticalSection returns the address at which tid's pointer to the
// restartable sequence that it runs lies (rseq_cs of struct rseq), 0 when it
// has none: PTRACE_GET_RSEQ_CONFIGURATION.
func PtraceRseqCriticalSection(tid int) (uint64, error) {
	var config rseqConfiguration
	_, err := ptracePointer(ptraceRseqConfig, tid, unsafe.Sizeof(config), unsafe.Pointer(&config))
	if err != nil || config.address == 0 {
		return 0, err
	}
	return config.address + rseqCriticalSectionAt, nil
}

func ptrace(request, tid int, address, data uintptr) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), address, data, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func ptracePointer(request, tid int, address uintptr, data unsafe.Pointer) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), address, uintptr(data), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Register sets, from the uapi header linux/elf.h.
const (
	noteStatus        = 1     // NT_PRSTATUS
	noteExtendedState = 0x202 // NT_X86_XSTATE
)

// PtraceRegisters reads the registers of tid into p and returns how many bytes
// they are: PTRACE_GETREGSET with NT_PRSTATUS. A 32-bit thread has others than a
// 64-bit one.
func PtraceRegisters(tid int, p []byte) (int, error) {
	return ptraceRegisterSet(unix.PTRACE_GETREGSET, tid, noteStatus, p)
}

// PtraceSetRegisters sets the registers of tid: PTRACE_SETREGSET with NT_PRSTATUS.
func PtraceSetRegisters(tid int, p []byte) error {
	_, err := ptraceRegisterSet(unix.PTRACE_SETREGSET, tid, noteStatus, p)
	return err
}

// PtraceExtendedState reads the vector registers of tid into p, as the XSAVE
// instruction of x86 stores them, and returns how many bytes of p they take:
// PTRACE_GETREGSET with NT_X86_XSTATE. The error is ENODEV on a processor without
// that instruction.
func PtraceExtendedState(tid int, p []byte) (int, error) {
	return ptraceRegisterSet(unix.PTRACE_GETREGSET, tid, noteExtendedState, p)
}

func ptraceRegisterSet(request, tid int, note uintptr, p []byte) (int, error) {
	vector := unix.Iovec{Base: &p[0]}
	vector.SetLen(len(p))
	_, err := ptracePointer(request, tid, note, unsafe.Pointer(&vector))
	return int(vector.Len), err
}

// StopInfo says why a traced thread is stopped: siginfo_t.
type StopInfo struct {
	Signal, Errno, Code int32
	_                   [116]byte
}

// PtraceStopInfo returns why tid is stopped: PTRACE_GETSIGINFO. The error is ESRCH
// while it runs, and EINVAL in the group-stop of a thread that was not seized.
func PtraceStopInfo(tid int) (info StopInfo, err error) {
	_, err = ptracePointer(unix.PTRACE_GETSIGINFO, tid, 0, unsafe.Pointer(&info))
	return info, err
}

// PtraceSetStopInfo changes what PtraceStopInfo returns: PTRACE_SETSIGINFO.
func PtraceSetStopInfo(tid int, info StopInfo) error {
	_, err := ptracePointer(unix.PTRACE_SETSIGINFO, tid, 0, unsafe.Pointer(&info))
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
	_, err = ptracePointer(unix.PTRACE_GET_SYSCALL_INFO, tid, unsafe.Sizeof(info), unsafe.Pointer(&info))
	return info.pc, info.sp, err
}
