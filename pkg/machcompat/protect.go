package machcompat

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/vmwrite/vmwrite/internal/inject"
	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// systemCalls are those that only the task itself can make: mprotect(2), mmap(2)
// of new private memory, munmap(2).
type systemCalls interface {
	Mprotect(start, length uint64, prot procmaps.Perms) error
	Mmap(start, length uint64, flags int) (uint64, error)
	Munmap(start, length uint64) error
}

// ownCalls makes them in this process.
type ownCalls struct{}

func (ownCalls) Mprotect(start, length uint64, prot procmaps.Perms) error {
	return linux.Mprotect(start, length, int(prot))
}

func (ownCalls) Mmap(start, length uint64, flags int) (uint64, error) {
	return linux.Mmap(start, length, unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
}

func (ownCalls) Munmap(start, length uint64) error { return linux.Munmap(start, length) }

// calling has the task make system calls, in the stop s or, if there is none, in
// one of their own. A task that is this process needs no stop.
func (p *process) calling(s scope, f func(systemCalls) error) error {
	if p.pid == os.Getpid() {
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
	defer s.done()
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
	change := func(c systemCalls) error {
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
	}
	err := change(nil)
	switch err {
	case errNeedsCall:
		err = p.calling(s, change)
	case nil: // what needs no call needs no stop
		err = p.identity.confirm()
	}
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
		if _, ok := err.(unix.Errno); !ok {
			return err // the call was not made
		}
		// The kernel may have changed the front of this one.
		for _, changed := range spans[:i+1] {
			if undoErr := c.Mprotect(changed.Start, changed.End-changed.Start, changed.Perms); undoErr != nil && undoErr != err {
				err = fmt.Errorf("%w, and what was changed could not be put back: %w", err, undoErr)
			}
		}
		return &spanError{span.Start, err}
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
	} else if errors.Is(err, inject.ErrSeccomp) || errors.Is(err, inject.ErrNoInstruction) || errors.Is(err, unix.ENOSYS) {
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
// address that no memory can have; and the codes of Protect for a call that the
// task can't be made to make.
func (t *Task) Allocate(address, size uint64, flags int) (uint64, error) {
	if !t.enter() {
		return 0, t.closedError(opAllocate)
	}
	defer t.leave()
	return t.allocate(scope{}, address, size, flags)
}

func (p *process) allocate(s scope, address, size uint64, flags int) (uint64, error) {
	fail := func(code KernReturn, err error) error {
		return p.newError(opAllocate, address, size, fault{code: code, address: address}, err)
	}
	if flags&^(VM_FLAGS_ANYWHERE|VM_FLAGS_OVERWRITE) != 0 {
		return 0, fail(KERN_INVALID_ARGUMENT, fmt.Errorf("%#x are not flags of vm_allocate", flags))
	}
	if size == 0 {
		return 0, p.emptyError(opAllocate, address)
	}
	anywhere := flags&VM_FLAGS_ANYWHERE != 0
	if anywhere && rangeWraps(address, size) {
		address = 0
	}
	if rangeWraps(address, size) {
		return 0, fail(KERN_INVALID_ARGUMENT, errWraps)
	}
	start, end := pageRange(address, size)
	mmapFlags := unix.MAP_FIXED_NOREPLACE
	if anywhere {
		mmapFlags = 0
	} else if flags&VM_FLAGS_OVERWRITE != 0 {
		mmapFlags = unix.MAP_FIXED
	}
	var got uint64
	err := p.calling(s, func(c systemCalls) (err error) {
		got, err = c.Mmap(start, end-start, mmapFlags)
		if err == nil && !anywhere && got != start {
			// Before Linux 4.17 a fixed address was a hint.
			err = errors.Join(unix.EEXIST, c.Munmap(got, end-start))
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
		const highest = 1 << 47 // of a process that does not ask for more
		if !anywhere && end > highest-HostPageSize() {
			return 0, fail(KERN_INVALID_ADDRESS, nil)
		}
		return 0, fail(KERN_NO_SPACE, err)
	case unix.EPERM, unix.EINVAL:
		if _, ok := err.(unix.Errno); ok { // below vm.mmap_min_addr
			return 0, fail(KERN_INVALID_ADDRESS, err)
		}
	}
	return 0, p.callError(opAllocate, address, size, err)
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

// WithWritable stops the task, makes the pages of a range writable for as long as
// f runs, keeping what else they allow, and then gives them back the protection
// that they had, also when f panics. The memory must be private (VM_PROT_COPY).
// Calls of t in f share the stop. Where ranges overlap, of calls inside f or
// elsewhere, a page stays writable until the last of them has returned.
//
// A task that is stopped for longer than [WithStopTimeout] says, 10 s, goes on
// while f still runs, and is stopped again afterwards.
//
// The error is that of f, or of [Task.Protect] before or after it; both, joined,
// when both fail.
func (t *Task) WithWritable(address, size uint64, f func() error) (err error) {
	if size == 0 {
		return f()
	}
	if !t.enter() {
		return t.closedError(opProtect)
	}
	defer t.leave()
	if rangeWraps(address, size) {
		return t.newError(opProtect, address, size, fault{code: KERN_INVALID_ARGUMENT, address: address}, errWraps)
	}
	start, end := pageRange(address, size)
	if t.isWritable(start, end) {
		return f()
	}
	var s scope
	if t.pid != os.Getpid() {
		if s.stop, err = t.openShared(context.Background(), true); err != nil {
			return t.newError(opProtect, address, size, fault{}, err)
		}
		defer s.leave()
	}
	if err := t.makeWritable(s, start, end); err != nil {
		return t.callError(opProtect, address, size, err)
	}
	defer func() {
		if s.stop != nil && s.hasExpired() != nil {
			s.stop = nil
		}
		err = errors.Join(err, t.callError(opProtect, address, size, t.restorePages(s, start, end)))
	}()
	return f()
}

// unprotect makes a range writable, in a stop, until restore is called. What can't be
// is left to the write to say.
func (p *process) unprotect(s scope, address, size uint64) (restore func() error, err error) {
	if rangeWraps(address, size) {
		return func() error { return nil }, nil
	}
	start, end := pageRange(address, size)
	if p.isWritable(start, end) {
		return func() error { return nil }, nil
	}
	if err := p.makeWritable(s, start, end); err != nil {
		return nil, p.callError(opProtect, address, size, err)
	}
	return func() error { return p.callError(opProtect, address, size, p.restorePages(s, start, end)) }, nil
}

// isWritable reports whether a range is writable without our doing.
func (p *process) isWritable(start, end uint64) bool {
	found, err := p.checkRange(start, end-start, procmaps.Write, nil)
	p.stops.Lock()
	defer p.stops.Unlock()
	return err == nil && found.code == KERN_SUCCESS && len(p.stops.writable) == 0
}

// writablePage is a page that was made writable.
type writablePage struct {
	perms procmaps.Perms // what it was
	users int
}

// makeWritable makes the pages from start to end writable until restorePages is
// called as often.
func (p *process) makeWritable(s scope, start, end uint64) error {
	return p.calling(s, func(c systemCalls) error {
		spans, err := p.spansOf(start, end)
		if err != nil {
			return err
		}
		if code, at, err := p.mayProtect(spans, false, VM_PROT_WRITE|VM_PROT_COPY); code != KERN_SUCCESS {
			return p.newError(opProtect, start, end-start, fault{code: code, address: at}, err)
		}
		if err := protectSpans(c, spans, func(perms procmaps.Perms) procmaps.Perms { return perms | procmaps.Write }); err != nil {
			return err
		}
		p.stops.Lock()
		defer p.stops.Unlock()
		for _, span := range spans {
			for page := span.Start; page < span.End; page += HostPageSize() {
				if known := p.stops.writable[page]; known != nil {
					known.users++
				} else if span.Perms&procmaps.Write == 0 {
					p.stops.writable[page] = &writablePage{span.Perms, 1}
				}
			}
		}
		return nil
	})
}

// restorePages gives the pages from start to end their protection back, but those
// that others want writable and those that the process has changed meanwhile.
func (p *process) restorePages(s scope, start, end uint64) error {
	return p.calling(s, func(c systemCalls) (err error) {
		for _, span := range p.forgetWritable(start, end) {
			var changed []procmaps.Span
			walkErr := p.maps.Walk(span.Start, span.End, func(now procmaps.Span) bool {
				if now.Perms == span.Perms|procmaps.Write {
					changed = append(changed, procmaps.Span{Start: max(now.Start, span.Start), End: min(now.End, span.End)})
				}
				return true
			})
			err = errors.Join(err, walkErr)
			for _, part := range changed {
				err = errors.Join(err, c.Mprotect(part.Start, part.End-part.Start, span.Perms))
			}
		}
		return err
	})
}

// forgetWritable returns the pages from start to end that nobody wants writable any
// more, joined, with the protection that they had.
func (p *process) forgetWritable(start, end uint64) (spans []procmaps.Span) {
	p.stops.Lock()
	defer p.stops.Unlock()
	for page := start; page < end; page += HostPageSize() {
		known := p.stops.writable[page]
		if known == nil {
			continue
		}
		if known.users--; known.users > 0 {
			continue
		}
		delete(p.stops.writable, page)
		if last := len(spans) - 1; last >= 0 && spans[last].End == page && spans[last].Perms == known.perms {
			spans[last].End += HostPageSize()
		} else {
			spans = append(spans, procmaps.Span{Start: page, End: page + HostPageSize(), Perms: known.perms})
		}
	}
	return spans
}
