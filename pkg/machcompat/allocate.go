// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"fmt"
	"io"
)

// Allocate maps size bytes of new memory in the task, rounded up to pages, of
// zeros and with VM_PROT_DEFAULT: vm_allocate. The task itself makes the system
// call, as for [Task.Protect]. flags are VM_FLAGS_ANYWHERE, where the address is
// a hint, or VM_FLAGS_FIXED, where it is a requirement, also with
// VM_FLAGS_OVERWRITE. It returns the address of the first page. Size 0 succeeds at
// address 0.
//
// The error is an [*Error]: KERN_INVALID_ARGUMENT for other flags, a size that
// wraps, or a task that has ended; KERN_NO_SPACE when there is no room, or
// something is mapped at a fixed address; KERN_INVALID_ADDRESS for a fixed
// address that no memory can have, as 0, whatever the task may do; and the codes of Protect for a call that the
// task can't be made to make.
func (t *Task) Allocate(address, size uint64, flags int) (uint64, error) {
	if !t.enter() {
		return 0, t.closedError(opAllocate)
	}
	defer t.leave()
	return t.allocate(scope{}, address, size, flags)
}

func (p *process) allocate(s scope, address, size uint64, flags int) (uint64, error) {
	if flags&^(VM_FLAGS_ANYWHERE|VM_FLAGS_OVERWRITE) != 0 {
		return 0, p.newError(opAllocate, address, size, fault{code: KERN_INVALID_ARGUMENT, address: address}, fmt.Errorf("%#x are not flags of vm_allocate", flags))
	}
	if size == 0 {
		return 0, p.emptyError(opAllocate, address)
	}
	if flags&VM_FLAGS_ANYWHERE != 0 && rangeWraps(address, size) {
		address = 0 // a hint
	}
	return p.mapNew(s, opAllocate, MapRequest{
		Address: address, Size: size, Flags: flags,
		Protection: VM_PROT_DEFAULT, MaxProtection: VM_PROT_ALL, Inheritance: VM_INHERIT_COPY,
	})
}

// hasAddress reports whether an address is one of the process's, mapped or not. How
// many it has depends on the processor, the kernel and the program: the kernel answers
// with nothing where /proc/PID/pagemap is read for an address beyond the last.
func (p *process) hasAddress(address uint64) bool {
	const tag = 56 // the bits from there on are of no address, and pagemap passes over them
	if address>>tag != 0 {
		return false
	}
	pagemap, err := p.openPagemap()
	if err != nil {
		return true
	}
	defer pagemap.Close()
	_, err = pagemap.ReadAt(make([]byte, 8), int64(address/HostPageSize()*8))
	return err != io.EOF
}

// Deallocate unmaps the pages that hold the size bytes at address:
// vm_deallocate. What is not mapped there is passed over, as on Mach. Size 0
// succeeds. The task itself makes the system call, as for [Task.Protect].
//
// The error is an [*Error]: KERN_INVALID_ARGUMENT for a range that wraps or that
// no memory can have, or a task that has ended; KERN_PROTECTION_FAILURE for
// sealed memory; and the codes of Protect.
func (t *Task) Deallocate(address, size uint64) error {
	if !t.enter() {
		return t.closedError(opDeallocate)
	}
	defer t.leave()
	return t.deallocate(scope{}, address, size)
}

func (p *process) deallocate(s scope, address, size uint64) error {
	if size == 0 {
		return p.emptyError(opDeallocate, address)
	}
	if rangeWraps(address, size) {
		return p.newError(opDeallocate, address, size, fault{code: KERN_INVALID_ARGUMENT, address: address}, errWraps)
	}
	start, end := pageRange(address, size)
	err := p.calling(s, func(c systemCalls) error { return c.Munmap(start, end-start) })
	return p.callError(opDeallocate, address, size, err)
}
