package machcompat

import (
	"errors"
	"os"
	"sync"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// codeOfErrno returns the code of an errno for which the mappings have no say.
func codeOfErrno(err error) KernReturn {
	switch errno := errnoOf(err); errno {
	case unix.ESRCH:
		return KERN_INVALID_ARGUMENT
	case unix.ENOMEM:
		return KERN_RESOURCE_SHORTAGE
	case unix.EHWPOISON:
		return KERN_MEMORY_FAILURE
	case unix.ENOSYS:
		return KERN_NOT_SUPPORTED
	}
	return KERN_FAILURE
}

// errnoOf returns the errno that err wraps, or err itself.
func errnoOf(err error) error {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno
	}
	return err
}

// isPageFault reports whether err says that a page of the process could not be
// faulted in: EFAULT from process_vm_writev, EIO from /proc/PID/mem.
func isPageFault(err error) bool {
	return (errors.Is(err, unix.EFAULT) || errors.Is(err, unix.EIO)) && !errors.Is(err, pwrite.ErrLocalFault)
}

// processVMRefused reports whether err means that process_vm_writev itself is
// refused here, rather than that this target is not ours to change.
func processVMRefused(err error) bool { return errors.Is(err, pwrite.ErrRefused) }

// memIgnoresProtection reports whether /proc/PID/mem writes to pages that the
// process itself could not write, as every kernel does that was not started
// with proc_mem.force_override=never (or =ptrace, while we do not trace). It is
// tried once, on a read-only page of our own.
var memIgnoresProtection = sync.OnceValue(func() bool {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return true
	}
	defer unix.Munmap(page)
	memory, err := pwrite.OpenProcMem(os.Getpid())
	if err != nil {
		return true
	}
	defer memory.Close()
	_, err = memory.Write([]pwrite.Segment{{Address: uint64(linux.AddressOf(page)), Data: []byte{1}}})
	return err == nil
})
