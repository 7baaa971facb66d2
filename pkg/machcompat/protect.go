package machcompat

import (
	"errors"
	"fmt"
	"os"

	"github.com/vmwrite/vmwrite/internal/inject"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

const opProtect = "vm_protect"

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
	t.open.RLock()
	defer t.open.RUnlock()
	if t.closed {
		return t.closedError(opProtect)
	}
	fail := func(code KernReturn, at uint64, err error) error {
		return t.newError(opProtect, address, size, fault{code: code, address: at}, err)
	}
	if prot&^(VM_PROT_ALL|VM_PROT_COPY) != 0 {
		return fail(KERN_INVALID_ARGUMENT, address, fmt.Errorf("%#x are not bits of a protection", int32(prot&^(VM_PROT_ALL|VM_PROT_COPY))))
	}
	if size == 0 {
		return t.aliveError(opProtect, address)
	}
	if rangeWraps(address, size) {
		return fail(KERN_INVALID_ARGUMENT, address, errWraps)
	}
	start, end := pageRange(address, size)
	change := func(c caller) error {
		spans, next, err := t.spansOf(start, end)
		if err != nil {
			return fail(KERN_SUCCESS, 0, err)
		}
		if next < end {
			return fail(KERN_INVALID_ADDRESS, next, nil)
		}
		if code, at, err := t.mayProtect(spans, setMaximum, prot); code != KERN_SUCCESS {
			return fail(code, at, err)
		}
		if setMaximum {
			return nil
		}
		return t.protectSpans(c, spans, prot.perms(), fail)
	}
	if err := change(nil); err != errNeedsCaller {
		return err // what needs no call needs no stop
	}
	err := t.withCaller(change)
	if _, ok := errors.AsType[*Error](err); err == nil || ok {
		return err
	}
	return t.callError(opProtect, address, size, err)
}

var (
	errWraps = errors.New("the range wraps round the end of the address space")
	// errNeedsCaller means that the task itself must act.
	errNeedsCaller = errors.New("the task must make a system call")
)

// spansOf returns what is mapped from start to end, cut to that, and where the
// first gap is.
func (t *Task) spansOf(start, end uint64) (spans []procmaps.Span, next uint64, err error) {
	next = start
	err = t.maps.Walk(start, end, func(span procmaps.Span) bool {
		if span.Start > next {
			return false
		}
		span.Start, span.End, next = max(span.Start, start), min(span.End, end), span.End
		spans = append(spans, span)
		return true
	})
	return spans, next, err
}

// mayProtect says whether the spans may have a protection.
func (t *Task) mayProtect(spans []procmaps.Span, setMaximum bool, prot VMProt) (KernReturn, uint64, error) {
	for _, span := range spans {
		most := t.maxProtection(span.Start, span.Shared)
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

// maxProtection returns what the mapping at address may be: everything, but a
// shared mapping of a file that was not opened for writing may not be written.
// The kernel shows how it was opened as the mode of a link (proc_pid_map_files(5)).
func (t *Task) maxProtection(address uint64, shared bool) VMProt {
	if !shared {
		return VM_PROT_ALL
	}
	mapping, ok, err := t.maps.Find(address)
	if err != nil || !ok || mapping.Inode == 0 {
		return VM_PROT_ALL
	}
	info, err := os.Lstat(fmt.Sprintf("/proc/%d/map_files/%x-%x", t.pid, mapping.Start, mapping.End))
	if err == nil && info.Mode()&0o200 == 0 {
		return VM_PROT_ALL &^ VM_PROT_WRITE
	}
	return VM_PROT_ALL
}

// protectSpans changes the spans that are not yet as wanted, one after the other
// where they differ, and puts them back when one can't be changed.
func (t *Task) protectSpans(c caller, spans []procmaps.Span, want procmaps.Perms, fail func(KernReturn, uint64, error) error) error {
	for i, span := range spans {
		if span.Perms == want {
			continue
		}
		if c == nil {
			return errNeedsCaller
		}
		err := c.Mprotect(span.Start, span.End-span.Start, want)
		if err == nil {
			continue
		}
		if _, ok := err.(unix.Errno); !ok {
			return err // the call was not made
		}
		// The kernel may have changed the front of this one.
		for _, changed := range spans[:i+1] {
			if undoErr := c.Mprotect(changed.Start, changed.End-changed.Start, changed.Perms); undoErr != nil && undoErr != err {
				err = fmt.Errorf("%w, and what was changed could not be put back: %w", err, undoErr)
			}
		}
		return fail(protectCode(err), span.Start, err)
	}
	return nil
}

// protectCode is the code for an errno of mprotect(2).
func protectCode(err error) KernReturn {
	switch errnoOf(err) {
	case unix.EACCES, unix.EPERM: // not that file; sealed
		return KERN_PROTECTION_FAILURE
	case unix.EINVAL, unix.EOVERFLOW:
		return KERN_INVALID_ARGUMENT
	}
	return codeOfErrno(err)
}

// callError is the error of a system call that could not be made in the task.
func (t *Task) callError(op string, address, size uint64, err error) error {
	found := fault{}
	if errors.Is(err, inject.ErrSeccomp) || errors.Is(err, inject.ErrNoInstruction) {
		found = fault{code: KERN_NOT_SUPPORTED, address: address}
	}
	return t.newError(op, address, size, found, err)
}

// WithWritable makes the pages of a range writable for as long as f runs, keeping
// what else they allow, and then gives them back the protection that they had,
// also when f panics. The memory must be private (VM_PROT_COPY). The error is
// that of f, or of [Task.Protect] before or after it; both, joined, when both
// fail.
func (t *Task) WithWritable(address, size uint64, f func() error) (err error) {
	if size == 0 {
		return f()
	}
	if rangeWraps(address, size) {
		return t.Protect(address, size, false, VM_PROT_DEFAULT|VM_PROT_COPY)
	}
	start, end := pageRange(address, size)
	before, err := t.protections(start, end)
	if err != nil {
		return err
	}
	done := 0
	defer func() {
		for _, span := range before[:done] {
			err = errors.Join(err, t.Protect(span.Start, span.End-span.Start, false, VMProt(span.Perms)))
		}
	}()
	for _, span := range before {
		if err := t.Protect(span.Start, span.End-span.Start, false, VMProt(span.Perms)|VM_PROT_WRITE|VM_PROT_COPY); err != nil {
			return err
		}
		done++
	}
	return f()
}

// protections returns what a range is made of, which must have no gap.
func (t *Task) protections(start, end uint64) ([]procmaps.Span, error) {
	t.open.RLock()
	defer t.open.RUnlock()
	if t.closed {
		return nil, t.closedError(opProtect)
	}
	spans, next, err := t.spansOf(start, end)
	if err != nil || next < end {
		found := fault{}
		if err == nil {
			found = fault{code: KERN_INVALID_ADDRESS, address: next}
		}
		return nil, t.newError(opProtect, start, end-start, found, err)
	}
	return spans, nil
}
