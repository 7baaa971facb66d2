package linux

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Codes of a [ChildState], from the uapi header asm-generic/siginfo.h.
const (
	CLD_EXITED  = 1
	CLD_KILLED  = 2
	CLD_DUMPED  = 3
	CLD_TRAPPED = 4
	CLD_STOPPED = 5
)

// ChildState is what waitid(2) tells of a child or tracee.
type ChildState struct {
	TID    int // 0 when there is nothing to tell
	Code   int // CLD_EXITED and so on
	Status int // exit status, or the signal with a ptrace event in bits 8 and up
}

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
	_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_PID, uintptr(tid), uintptr(unsafe.Pointer(&info)), options, 0, 0)
	if errno != 0 {
		return ChildState{}, errno
	}
	return ChildState{TID: int(info.pid), Code: int(info.code), Status: int(info.status)}, nil
}
