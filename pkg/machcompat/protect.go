// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"errors"
	"fmt"
	"os"

	"github.com/vmwrite/vmwrite/internal/inject"
	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// systemCalls are those that only the task itself can make: mprotect(2), mmap(2)
// of new memory, munmap(2), madvise(2), msync(2).
type systemCalls interface {
	Mprotect(start, length uint64, prot procmaps.Perms) error
	Mmap(start, length uint64, prot procmaps.Perms, flags int) (uint64, error)
	Munmap(start, length uint64) error
	Madvise(start, length uint64, advice int) error
	Msync(start, length uint64, flags int) error
	// Insist lets the calls that follow be made though their context is done: to
	// undo or to finish what was begun.
	Insist()
}

// ownCalls makes them in this process.
type ownCalls struct{}

func (ownCalls) Mprotect(start, length uint64, prot procmaps.Perms) error {
	return linux.Mprotect(start, length, int(prot))
}

func (ownCalls) Mmap(start, length uint64, prot procmaps.Perms, flags int) (uint64, error) {
	return linux.Mmap(start, length, int(prot), flags|unix.MAP_ANONYMOUS)
}

func (ownCalls) Munmap(start, length uint64) error { return linux.Munmap(start, length) }

func (ownCalls) Madvise(start, length uint64, advice int) error {
	return linux.Madvise(start, length, advice)
}

func (ownCalls) Msync(start, length uint64, flags int) error {
	return linux.Msync(start, length, flags)
}

func (ownCalls) Insist() {}

// callingOnNeed is calling where f needs it: without a call to make, f needs no stop
// either. With nil f returns errNeedsCall in place of its first call.
func (p *process) callingOnNeed(s scope, f func(systemCalls) error) error {
	err := f(nil)
	switch err {
	case errNeedsCall:
		return p.calling(s, f)
	case nil:
		return p.identity.confirm()
	}
	return err
}

// calling has the task make system calls, in the stop s or, if there is none, in
// one of their own. A task that is this process needs no stop.
func (p *process) calling(s scope, f func(systemCalls) error) error {
	if p.pid == os.Getpid() {
		p.own.Lock()
		defer p.own.Unlock()
		return f(ownCalls{})
	}
	const attempts = 20
	for i := 0; ; i++ {
		err := p.callingOnce(s, f)
		// Another stop finds the threads elsewhere.
		if s.stop != nil || i == attempts || !errors.Is(err, inject.ErrNoThread) {
			return err
		}
	}
}

func (p *process) callingOnce(s scope, f func(systemCalls) error) (err error) {
	if s.stop == nil {
		if s.stop, err = p.openOwn(nil); err != nil {
			return err
		}
		defer s.leave()
	}
	if err := s.begin(true); err != nil {
		return err
	}
	defer s.done(true)
	return s.inject(f)
}

// Protect sets the protection of the pages that hold the size bytes at address:
// vm_protect. The task itself makes the change: all its threads are stopped, one
// of them makes the system call mprotect(2), and all go on as they were. Size 0
// succeeds.
//
// With VM_PROT_COPY the memory must be private, so that writing to it leaves the
// file alone that it was mapped from; text of a program is. setMaximum asks for
// the highest protection that the memory may ever have: Linux has none to set,
// so it succeeds only for what holds already.
//
// The error is an [*Error], and nothing was changed:
//
//   - KERN_INVALID_ARGUMENT: other bits in prot, a range that wraps, or a task
//     that has ended;
//   - KERN_INVALID_ADDRESS: some of the range is not mapped;
//   - KERN_PROTECTION_FAILURE: the memory may not have that protection: writing
//     to a file that was not opened for it, or sealed memory;
//   - KERN_NOT_SUPPORTED: setMaximum; VM_PROT_COPY of shared memory; a seccomp
//     filter of the task that would or might act on the system call; an
//     architecture other than amd64 and arm64;
//   - KERN_RESOURCE_SHORTAGE: the task would have too many mappings;
//   - KERN_FAILURE: the task could not be stopped, and anything else.
func (t *Task) Protect(address, size uint64, setMaximum bool, prot VMProt) error {
	if !t.enter() {
		return t.closedError(opProtect)
	}
	defer t.leave()
	return t.protect(scope{}, address, size, setMaximum, prot)
}

func (p *process) protect(s scope, address, size uint64, setMaximum bool, prot VMProt) error {
	fail := func(code KernReturn, at uint64, err error) error {
		return p.newError(opProtect, address, size, fault{code: code, address: at}, err)
	}
	if prot&^(VM_PROT_ALL|VM_PROT_COPY) != 0 {
		return fail(KERN_INVALID_ARGUMENT, address, fmt.Errorf("%#x are not bits of a protection", int32(prot&^(VM_PROT_ALL|VM_PROT_COPY))))
	}
	if size == 0 {
		return p.emptyError(opProtect, address)
	}
	if rangeWraps(address, size) {
		return fail(KERN_INVALID_ARGUMENT, address, errWraps)
	}
	start, end := pageRange(address, size)
	err := p.callingOnNeed(s, func(c systemCalls) error {
		spans, err := p.spansOf(start, end)
		if err != nil {
			return err
		}
		if code, at, err := p.mayProtect(spans, setMaximum, prot); code != KERN_SUCCESS {
			return fail(code, at, err)
		}
		if setMaximum {
			return nil
		}
		return protectSpans(c, spans, func(procmaps.Perms) procmaps.Perms { return prot.perms() })
	})
	return p.callError(opProtect, address, size, err)
}

var (
	errWraps = errors.New("the range wraps round the end of the address space")
	// errNeedsCall means that the task itself must act.
	errNeedsCall = errors.New("the task must make a system call")
)

// gapError is a range that is not mapped as a whole.
type gapError struct{ address uint64 }

func (e *gapError) Error() string { return fmt.Sprintf("nothing is mapped at %#x", e.address) }

// spansOf returns what is mapped from start to end, cut to that. A gap is a
// [*gapError].
func (p *process) spansOf(start, end uint64) (spans []procmaps.Span, err error) {
	next := start
	err = p.maps.Walk(start, end, func(span procmaps.Span) bool {
		if span.Start > next {
			return false
		}
		span.Start, span.End, next = max(span.Start, start), min(span.End, end), span.End
		spans = append(spans, span)
		return true
	})
	if err == nil && next < end {
		err = &gapError{next}
	}
	return spans, err
}

// mayProtect says whether the spans may have a protection.
func (p *process) mayProtect(spans []procmaps.Span, setMaximum bool, prot VMProt) (KernReturn, uint64, error) {
	for _, span := range spans {
		most := p.maxProtection(span)
		switch {
		case setMaximum && prot&VM_PROT_ALL != most:
			return KERN_NOT_SUPPORTED, span.Start, fmt.Errorf("what the memory may ever be can't be limited, and is %s", most)
		case prot&VM_PROT_COPY != 0 && span.Shared:
			return KERN_NOT_SUPPORTED, span.Start, errors.New("a copy of shared memory can't be put in its place")
		case prot&VM_PROT_ALL&^most != 0:
			return KERN_PROTECTION_FAILURE, span.Start, fmt.Errorf("it may be %s at most", most)
		}
	}
	return KERN_SUCCESS, 0, nil
}

// maxProtection returns what the mapping of a span may be: everything, but a
// shared mapping of a file that was not opened for writing may not be written.
// The kernel shows how it was opened as the mode of a link (proc_pid_map_files(5)).
func (p *process) maxProtection(span procmaps.Span) VMProt {
	if !span.Shared {
		return VM_PROT_ALL
	}
	mapping, ok, err := p.maps.Find(span.Start)
	if err != nil || !ok || mapping.Inode == 0 {
		return VM_PROT_ALL
	}
	info, err := os.Lstat(fmt.Sprintf("/proc/%d/map_files/%x-%x", p.pid, mapping.Start, mapping.End))
	if err == nil && info.Mode()&0o200 == 0 {
		return VM_PROT_ALL &^ VM_PROT_WRITE
	}
	return VM_PROT_ALL
}

// spanError is a span that the kernel refuses to protect.
type spanError struct {
	start uint64
	err   error
}

func (e *spanError) Error() string { return e.err.Error() }
func (e *spanError) Unwrap() error { return e.err }

// protectSpans changes the spans that are not yet as wanted, and puts them back
// when one can't be changed.
func protectSpans(c systemCalls, spans []procmaps.Span, want func(procmaps.Perms) procmaps.Perms) error {
	for i, span := range spans {
		if want(span.Perms) == span.Perms {
			continue
		}
		if c == nil {
			return errNeedsCall
		}
		err := c.Mprotect(span.Start, span.End-span.Start, want(span.Perms))
		if err == nil {
			continue
		}
		_, refused := err.(unix.Errno)
		undo := spans[:i+1] // the kernel may have changed the front of this one
		if errors.Is(err, inject.ErrSeccomp) {
			undo = spans[:i] // the call was not made
		}
		c.Insist()
		for _, changed := range undo {
			if undoErr := c.Mprotect(changed.Start, changed.End-changed.Start, changed.Perms); undoErr != nil && undoErr != err {
				err = fmt.Errorf("%w, and what was changed could not be put back: %w", err, undoErr)
				break
			}
		}
		if refused {
			return &spanError{span.Start, err}
		}
		return err
	}
	return nil
}

// callError is the error of what the task was to do itself: nil for nil, and what
// is an [*Error] already.
func (p *process) callError(op string, address, size uint64, err error) error {
	if _, ok := errors.AsType[*Error](err); ok || err == nil {
		return err
	}
	found := fault{address: address}
	if gap, ok := errors.AsType[*gapError](err); ok {
		return p.newError(op, address, size, fault{code: KERN_INVALID_ADDRESS, address: gap.address}, nil)
	}
	if refused, ok := errors.AsType[*spanError](err); ok {
		found.address, found.code = refused.start, protectCode(refused.err)
	} else if _, ok := err.(unix.Errno); ok && op == opDeallocate {
		found.code = protectCode(err)
	} else if errors.Is(err, inject.ErrSeccomp) || errors.Is(err, inject.ErrNoInstruction) || err == unix.ENOSYS {
		found.code = KERN_NOT_SUPPORTED
	}
	return p.newError(op, address, size, found, err)
}

// protectCode is the code for an errno of mprotect(2) and munmap(2).
func protectCode(err error) KernReturn {
	switch errnoOf(err) {
	case unix.EACCES, unix.EPERM: // not that file; sealed
		return KERN_PROTECTION_FAILURE
	case unix.EINVAL, unix.EOVERFLOW:
		return KERN_INVALID_ARGUMENT
	}
	return codeOfErrno(err)
}
