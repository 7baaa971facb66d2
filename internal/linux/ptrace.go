package linux

import "golang.org/x/sys/unix"

// PtraceDetach lets the thread tid run on untraced, and delivers signal to it
// first unless signal is 0: PTRACE_DETACH in ptrace(2), whose signal argument
// the call of the same name in x/sys/unix does not take. It must run on the
// operating system thread that traces tid.
func PtraceDetach(tid int, signal unix.Signal) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(tid), 0, uintptr(signal), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
