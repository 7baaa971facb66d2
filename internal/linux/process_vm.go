package linux

import (
	"golang.org/x/sys/unix"
)

// ProcessVM is one call of process_vm_writev(2), or of process_vm_readv(2), for
// one run of n bytes: local is their address here. It is for bytes that several
// goroutines move, and that must not be known to: see [AddressOf]. The caller
// keeps them alive, and must be sure that they do not lie on a goroutine's
// stack, which moves.
func ProcessVM(write bool, pid int, remote uint64, local uintptr, n int) (int, error) {
	here := [1]unix.Iovec{{Base: (*byte)(pointer(local))}}
	here[0].SetLen(n)
	there := [1]unix.RemoteIovec{{Base: uintptr(remote), Len: n}}
	if write {
		return unix.ProcessVMWritev(pid, here[:], there[:], 0)
	}
	return unix.ProcessVMReadv(pid, here[:], there[:], 0)
}
