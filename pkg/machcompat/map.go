// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"errors"
	"fmt"
	"math/bits"
	"os"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// MapRequest is what [Task.Map] is to map.
type MapRequest struct {
	Address uint64 // a hint, or with VM_FLAGS_FIXED a requirement
	Size    uint64 // in bytes, rounded up to pages
	Mask    uint64 // the bits that are to be 0 in the address of what is mapped
	Flags   int    // as for [Task.Allocate]

	Protection VMProt
	// MaxProtection takes away from Protection what it lacks. Linux has no highest
	// protection, so [Task.Protect] may give that back.
	MaxProtection VMProt
	// Inheritance is what the child of a fork gets: VM_INHERIT_COPY for private memory,
	// VM_INHERIT_SHARE for memory that it shares with the task, VM_INHERIT_NONE for
	// private memory that it gets nothing of.
	Inheritance int32
}

// valid returns an error for values that none of a request may have.
func (r *MapRequest) valid() error {
	switch {
	case r.Flags&^(VM_FLAGS_ANYWHERE|VM_FLAGS_OVERWRITE) != 0:
		return fmt.Errorf("%#x are not flags of vm_map", r.Flags)
	case (r.Protection|r.MaxProtection)&^VM_PROT_ALL != 0:
		return fmt.Errorf("%#x are not bits of a protection", int32((r.Protection|r.MaxProtection)&^VM_PROT_ALL))
	case r.Inheritance < VM_INHERIT_SHARE || r.Inheritance > VM_INHERIT_NONE:
		return fmt.Errorf("%d is no inheritance", r.Inheritance)
	case r.Size == 0:
		return errors.New("no bytes")
	}
	return nil
}

// Map maps new memory of zeros in the task: vm_map without a memory object. The task
// itself makes the system calls, as for [Task.Protect]. It returns the address of the
// first page.
//
// The error is an [*Error], with the codes of [Task.Allocate]. KERN_INVALID_ARGUMENT is
// also that of size 0, and of bits or values in r that are none; KERN_NO_SPACE also that
// of a fixed address in which a bit of Mask is set, and of a hint that is too high.
func (t *Task) Map(r MapRequest) (uint64, error) {
	if !t.enter() {
		return 0, t.closedError(opMap)
	}
	defer t.leave()
	if err := r.valid(); err != nil {
		return 0, t.newError(opMap, r.Address, r.Size, fault{code: KERN_INVALID_ARGUMENT, address: r.Address}, err)
	}
	return t.mapNew(scope{}, opMap, r)
}

// mapNew maps new memory for a request that is valid.
func (p *process) mapNew(s scope, op string, r MapRequest) (uint64, error) {
	fail := func(code KernReturn, err error) error {
		return p.newError(op, r.Address, r.Size, fault{code: code, address: r.Address}, err)
	}
	anywhere := r.Flags&VM_FLAGS_ANYWHERE != 0
	if anywhere {
		r.Address &^= HostPageSize() - 1 // where a hint lies in its page adds no page
	}
	if rangeWraps(r.Address, r.Size) {
		if anywhere && !rangeWraps(0, r.Size) {
			return 0, fail(KERN_NO_SPACE, errWraps)
		}
		return 0, fail(KERN_INVALID_ARGUMENT, errWraps)
	}
	start, end := pageRange(r.Address, r.Size)
	switch {
	case anywhere:
	case start == 0: // which Linux lets root map
		return 0, fail(KERN_INVALID_ADDRESS, errors.New("no memory can be at address 0"))
	case start&r.Mask != 0:
		return 0, fail(KERN_NO_SPACE, fmt.Errorf("bits of %#x are set in the address", r.Mask))
	}
	var got uint64
	err := p.calling(s, func(c systemCalls) (err error) {
		got, err = r.place(c, start, end-start)
		if err == nil && r.Inheritance == VM_INHERIT_NONE {
			if err = c.Madvise(got, end-start, unix.MADV_DONTFORK); err != nil {
				c.Insist()
				err = both(err, c.Munmap(got, end-start))
			}
		}
		return err
	})
	if err == nil {
		return got, nil
	}
	switch errnoOf(err) {
	case unix.EEXIST:
		return 0, fail(KERN_NO_SPACE, err)
	case unix.EOVERFLOW: // beyond the word of a 32-bit task
		if anywhere {
			return 0, fail(KERN_NO_SPACE, err)
		}
		return 0, fail(KERN_INVALID_ADDRESS, err)
	case unix.ENOMEM:
		if !anywhere && !p.hasAddress(end-1) {
			return 0, fail(KERN_INVALID_ADDRESS, nil)
		}
		return 0, fail(KERN_NO_SPACE, err)
	case unix.EPERM, unix.EINVAL:
		if _, ok := err.(unix.Errno); ok { // below vm.mmap_min_addr
			return 0, fail(KERN_INVALID_ADDRESS, err)
		}
	}
	return 0, p.callError(op, r.Address, r.Size, err)
}

// place maps size bytes, which are pages, at start or where the request allows.
func (r *MapRequest) place(c systemCalls, start, size uint64) (uint64, error) {
	prot, kind := (r.Protection & r.MaxProtection).perms(), unix.MAP_PRIVATE
	if r.Inheritance == VM_INHERIT_SHARE {
		kind = unix.MAP_SHARED
	}
	switch {
	case r.Flags&VM_FLAGS_ANYWHERE != 0 && r.Mask < HostPageSize():
		return c.Mmap(start, size, prot, kind)
	case r.Flags&VM_FLAGS_ANYWHERE != 0:
		return alignedRoom(c, start, size, r.Mask, func(at uint64) error {
			_, err := c.Mmap(at, size, prot, kind|unix.MAP_FIXED)
			return err
		})
	case r.Flags&VM_FLAGS_OVERWRITE != 0:
		return c.Mmap(start, size, prot, kind|unix.MAP_FIXED)
	}
	got, err := c.Mmap(start, size, prot, kind|unix.MAP_FIXED_NOREPLACE)
	if err == nil && got != start {
		// Before Linux 4.17 a fixed address was a hint.
		err = errors.Join(unix.EEXIST, c.Munmap(got, size))
	}
	return got, err
}

// alignedRoom finds room for size bytes at an address without the bits of mask, by
// reserving more than that, has f map it, and gives back what is beside it.
func alignedRoom(c systemCalls, hint, size, mask uint64, f func(at uint64) error) (uint64, error) {
	page := HostPageSize()
	step := uint64(1) << bits.Len64(mask) // 0 for 64 bits
	room := size + step - page
	if step == 0 || room < size {
		return 0, unix.ENOMEM
	}
	reserved, err := c.Mmap(hint, room, 0, unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return 0, err
	}
	c.Insist()
	at := (reserved + step - 1) &^ (step - 1)
	if err := f(at); err != nil {
		return 0, both(err, c.Munmap(reserved, room))
	}
	if at > reserved {
		err = c.Munmap(reserved, at-reserved)
	}
	if behind := reserved + room - (at + size); err == nil && behind > 0 {
		err = c.Munmap(at+size, behind)
	}
	return at, err
}

// Remap maps memory of the source once more, in this process, as which t must be open:
// vm_remap. Of r the protections are not used: the new memory has those of the source,
// and those that all of it has are returned, the second for what it may ever have.
//
// It is Size bytes, rounded up to pages, from the beginning of the page that holds
// address; with VM_FLAGS_RETURN_DATA_ADDR the pages that hold the Size bytes at address,
// and at is the address of the first of those bytes.
//
// With a copy it is private memory with the same bytes, or shared with the children of a
// fork by VM_INHERIT_SHARE. Without, it is the same memory, which Linux allows of
// shared memory of this process alone; a child of a fork shares that too, unless
// VM_INHERIT_NONE.
//
// The error is an [*Error]: KERN_NOT_SUPPORTED where t is another process, and without a
// copy where the source is another process or the memory is private, or lies where the
// new memory is to be; KERN_INVALID_ADDRESS where some of the source is not mapped;
// KERN_PROTECTION_FAILURE where some of it can't be read, for a copy; and the codes of
// [Task.Map]. What is in the place of the new memory stays, but for an error on the last
// steps.
func (t *Task) Remap(r MapRequest, source *Task, address uint64, copied bool) (at uint64, now, most VMProt, err error) {
	if !t.enter() {
		return 0, 0, 0, t.closedError(opRemap)
	}
	defer t.leave()
	if !source.enter() {
		return 0, 0, 0, source.closedError(opRemap)
	}
	defer source.leave()
	page := HostPageSize()
	if r.Flags&VM_FLAGS_RETURN_DATA_ADDR == 0 {
		address &^= page - 1
	}
	r.Flags &^= VM_FLAGS_RETURN_DATA_ADDR
	r.Protection, r.MaxProtection = VM_PROT_DEFAULT, VM_PROT_ALL
	fail := func(code KernReturn, address uint64, err error) (uint64, VMProt, VMProt, error) {
		return 0, 0, 0, source.newError(opRemap, address, r.Size, fault{code: code, address: address}, err)
	}
	if err := r.valid(); err != nil {
		return fail(KERN_INVALID_ARGUMENT, address, err)
	}
	if rangeWraps(address, r.Size) {
		return fail(KERN_INVALID_ARGUMENT, address, errWraps)
	}
	start, end := pageRange(address, r.Size)
	r.Size = end - start
	if t.pid != os.Getpid() || !copied && source.pid != t.pid {
		return fail(KERN_NOT_SUPPORTED, address, errors.New("only this process can get memory of another, and only as a copy"))
	}
	mapped, hole, err := source.mappingsOf(start, end)
	if err == nil {
		err = hole
	}
	if err == nil {
		err = source.identity.confirm()
	}
	if err != nil {
		return 0, 0, 0, source.callError(opRemap, address, r.Size, err)
	}
	now, most = VM_PROT_ALL, VM_PROT_ALL
	for _, m := range mapped {
		now, most = now&VMProt(m.Perms), most&source.maxProtection(m.Span())
		switch {
		case copied && m.Perms&procmaps.Read == 0:
			return fail(KERN_PROTECTION_FAILURE, m.Start, nil)
		case !copied && !m.Shared:
			return fail(KERN_NOT_SUPPORTED, m.Start, errors.New("private memory can't be shared"))
		}
	}
	if copied {
		at, err = t.mapCopy(r, source.process, mapped)
		most = VM_PROT_ALL
	} else {
		at, err = t.mapAgain(r, mapped)
	}
	if err != nil {
		return 0, 0, 0, err
	}
	return at + address - start, now, most, nil
}

// mapCopy maps a copy of what is mapped in the source. In the place of what is there it
// comes when it is whole.
func (p *process) mapCopy(r MapRequest, source *process, mapped []procmaps.Mapping) (at uint64, err error) {
	overwritten, aside := r.Address, r
	overwrites := r.Flags&(VM_FLAGS_ANYWHERE|VM_FLAGS_OVERWRITE) == VM_FLAGS_OVERWRITE
	if overwrites {
		aside.Address, aside.Flags = 0, VM_FLAGS_ANYWHERE
		if start, _ := pageRange(overwritten, 1); start == 0 || start&r.Mask != 0 || rangeWraps(start, r.Size) {
			return p.mapNew(scope{}, opRemap, r) // which says what is wrong with it
		}
	}
	if at, err = p.mapNew(scope{}, opRemap, aside); err != nil {
		return 0, err
	}
	start := mapped[0].Start
	if source.pid == p.pid && start < at+r.Size && at < start+r.Size {
		err = &gapError{max(start, at)} // the new memory has come to lie in it
	}
	buffer := make([]byte, min(r.Size, 1<<20))
	for done := uint64(0); err == nil && done < r.Size; {
		part := buffer[:min(uint64(len(buffer)), r.Size-done)]
		err = source.readBatch(scope{}, []pwrite.Segment{{Address: start + done, Data: part}})
		if err == nil {
			err = p.write(scope{}, []pwrite.Segment{{Address: at + done, Data: part}}, false)
		}
		done += uint64(len(part))
	}
	if to, _ := pageRange(overwritten, 1); err == nil && overwrites {
		if err = linux.Move(at, r.Size, to); err == nil {
			at = to
		}
	}
	for _, m := range mapped {
		if err == nil {
			err = linux.Mprotect(at+(m.Start-start), m.End-m.Start, int(m.Perms))
		}
	}
	if err != nil {
		return 0, p.callError(opRemap, r.Address, r.Size, both(err, linux.Munmap(at, r.Size)))
	}
	return at, nil
}

// mapAgain maps shared memory of this process once more.
func (p *process) mapAgain(r MapRequest, mapped []procmaps.Mapping) (at uint64, err error) {
	start := mapped[0].Start
	if to, _ := pageRange(r.Address, 1); r.Flags&VM_FLAGS_ANYWHERE == 0 && to < start+r.Size && start < to+r.Size {
		return 0, p.newError(opRemap, r.Address, r.Size, fault{code: KERN_NOT_SUPPORTED, address: r.Address}, errors.New("it is its own source"))
	}
	r.Protection = VM_PROT_NONE
	if r.Inheritance == VM_INHERIT_SHARE {
		r.Inheritance = VM_INHERIT_COPY // of what only keeps the room
	}
	if at, err = p.mapNew(scope{}, opRemap, r); err != nil {
		return 0, err
	}
	for _, m := range mapped {
		if err == nil {
			err = linux.MapAgain(m.Start, m.End-m.Start, at+(m.Start-start))
		}
	}
	if err == nil && r.Inheritance == VM_INHERIT_NONE {
		err = linux.Madvise(at, r.Size, unix.MADV_DONTFORK)
	}
	if err != nil {
		return 0, p.callError(opRemap, r.Address, r.Size, both(err, linux.Munmap(at, r.Size)))
	}
	return at, nil
}
