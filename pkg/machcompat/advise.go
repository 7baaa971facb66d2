// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"errors"
	"fmt"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// What the child of a fork gets of memory, for [Task.Inherit] and [Task.Map]: mach/vm_inherit.h.
const (
	VM_INHERIT_SHARE   = 0 // the same memory
	VM_INHERIT_COPY    = 1 // a copy
	VM_INHERIT_NONE    = 2 // nothing
	VM_INHERIT_DEFAULT = VM_INHERIT_COPY
)

// How memory is expected to be used, for [Task.SetBehavior]: mach/vm_behavior.h.
const (
	VM_BEHAVIOR_DEFAULT          = 0
	VM_BEHAVIOR_RANDOM           = 1
	VM_BEHAVIOR_SEQUENTIAL       = 2
	VM_BEHAVIOR_RSEQNTL          = 3  // from the end to the beginning: the same as VM_BEHAVIOR_DEFAULT here
	VM_BEHAVIOR_WILLNEED         = 4  // soon
	VM_BEHAVIOR_DONTNEED         = 5  // not soon; the bytes stay
	VM_BEHAVIOR_FREE             = 6  // the bytes are not needed
	VM_BEHAVIOR_ZERO_WIRED_PAGES = 7  // what is unmapped is zeroed, as Linux always does
	VM_BEHAVIOR_REUSABLE         = 8  // the bytes are not needed until VM_BEHAVIOR_REUSE
	VM_BEHAVIOR_REUSE            = 9  // the memory is used again
	VM_BEHAVIOR_CAN_REUSE        = 10 // is it fit for VM_BEHAVIOR_REUSABLE?
	VM_BEHAVIOR_PAGEOUT          = 11 // to be moved out of memory now
)

// What [Task.Sync] does: mach/vm_sync.h.
const (
	VM_SYNC_ASYNCHRONOUS  = 0x01 // the kernel writes to the file in its own time
	VM_SYNC_SYNCHRONOUS   = 0x02 // all is written to the file before the call returns
	VM_SYNC_INVALIDATE    = 0x04 // nothing here: memory and file are one
	VM_SYNC_KILLPAGES     = 0x08 // as VM_BEHAVIOR_FREE, up to the first hole
	VM_SYNC_DEACTIVATE    = 0x10 // as VM_BEHAVIOR_DONTNEED
	VM_SYNC_CONTIGUOUS    = 0x20 // a hole is KERN_INVALID_ADDRESS
	VM_SYNC_REUSABLEPAGES = 0x40 // nothing here
)

// Inherit sets what the child of a fork gets of the pages that hold the size bytes at
// address: vm_inherit. What is not mapped there is passed over, and size 0 succeeds, as
// on Mach. The task itself makes the system call madvise(2), as for [Task.Protect].
//
// A child may get nothing of any memory, but on Linux it is the mapping that decides
// between a copy and the memory itself: private memory is copied, and shared memory is
// shared. [Task.Region] does not show what was set.
//
// The error is an [*Error]: KERN_INVALID_ARGUMENT for another value, a range that wraps,
// or a task that has ended; KERN_NOT_SUPPORTED where private memory is to be shared, or
// shared memory copied, and nothing was changed then; KERN_RESOURCE_SHORTAGE where the
// task would have too many mappings, of which those at lower addresses were changed; and
// the codes of Protect for a call that the task can't be made to make.
func (t *Task) Inherit(address, size uint64, inheritance int32) error {
	if !t.enter() {
		return t.closedError(opInherit)
	}
	defer t.leave()
	if size != 0 && (inheritance < VM_INHERIT_SHARE || inheritance > VM_INHERIT_NONE) {
		return t.newError(opInherit, address, size, fault{code: KERN_INVALID_ARGUMENT, address: address}, fmt.Errorf("%d is no inheritance", inheritance))
	}
	advice := unix.MADV_DOFORK
	if inheritance == VM_INHERIT_NONE {
		advice = unix.MADV_DONTFORK
	}
	return t.advise(opInherit, address, size, KERN_INVALID_ARGUMENT, func(mapped []procmaps.Mapping, _ error) ([]procmaps.Span, error) {
		for _, m := range mapped {
			if inheritance != VM_INHERIT_NONE && m.Shared != (inheritance == VM_INHERIT_SHARE) {
				return nil, t.newError(opInherit, address, size, fault{code: KERN_NOT_SUPPORTED, address: m.Start},
					errors.New("the child of a fork gets a copy of private memory, and shared memory itself"))
			}
		}
		return spansOfChosen(mapped, func(procmaps.Mapping) bool { return true }), nil
	}, func(c systemCalls, part procmaps.Span) error {
		return c.Madvise(part.Start, part.End-part.Start, advice)
	})
}

// SetBehavior tells the kernel how the pages that hold the size bytes at address will be
// used: vm_behavior_set, by madvise(2), which the task itself calls, as for
// [Task.Protect]. Size 0 succeeds. What the kernel has no such advice for, or does not
// take it for, stays as it is, which is a success. No byte is lost but by
// VM_BEHAVIOR_FREE and VM_BEHAVIOR_REUSABLE: where the kernel takes a page that was not
// written since, it is zeros. That is so of private memory of no file; all other memory
// keeps its bytes.
//
// The error is an [*Error], and nothing was changed: KERN_INVALID_ARGUMENT for another
// behavior, a range that wraps, or a task that has ended; KERN_INVALID_ADDRESS where some
// of the range is not mapped; KERN_PROTECTION_FAILURE for VM_BEHAVIOR_REUSABLE and
// VM_BEHAVIOR_ZERO_WIRED_PAGES of memory that may not be written, and for sealed memory;
// and the codes of Protect for a call that the task can't be made to make.
func (t *Task) SetBehavior(address, size uint64, behavior int32) error {
	if !t.enter() {
		return t.closedError(opBehavior)
	}
	defer t.leave()
	fail := func(code KernReturn, at uint64, err error) error {
		return t.newError(opBehavior, address, size, fault{code: code, address: at}, err)
	}
	if behavior < VM_BEHAVIOR_DEFAULT || behavior > VM_BEHAVIOR_PAGEOUT {
		return fail(KERN_INVALID_ARGUMENT, address, fmt.Errorf("%d is no behavior", behavior))
	}
	advice, advised := adviceOf[behavior]
	written := behavior == VM_BEHAVIOR_REUSABLE || behavior == VM_BEHAVIOR_ZERO_WIRED_PAGES
	return t.advise(opBehavior, address, size, KERN_INVALID_ARGUMENT, func(mapped []procmaps.Mapping, hole error) ([]procmaps.Span, error) {
		if hole != nil {
			return nil, hole
		}
		for _, m := range mapped {
			if written && m.Perms&procmaps.Write == 0 {
				return nil, fail(KERN_PROTECTION_FAILURE, m.Start, nil)
			}
		}
		if !advised {
			return nil, nil
		}
		return spansOfChosen(mapped, takes(advice)), nil
	}, func(c systemCalls, part procmaps.Span) error { return hint(c, part, advice) })
}

// adviceOf is what madvise(2) has for a behavior.
var adviceOf = map[int32]int{
	VM_BEHAVIOR_DEFAULT:    unix.MADV_NORMAL,
	VM_BEHAVIOR_RANDOM:     unix.MADV_RANDOM,
	VM_BEHAVIOR_SEQUENTIAL: unix.MADV_SEQUENTIAL,
	VM_BEHAVIOR_RSEQNTL:    unix.MADV_NORMAL,
	VM_BEHAVIOR_WILLNEED:   unix.MADV_WILLNEED,
	VM_BEHAVIOR_DONTNEED:   unix.MADV_COLD, // MADV_DONTNEED drops the bytes
	VM_BEHAVIOR_FREE:       unix.MADV_FREE,
	VM_BEHAVIOR_REUSABLE:   unix.MADV_FREE,
	VM_BEHAVIOR_PAGEOUT:    unix.MADV_PAGEOUT,
}

// takes returns which memory is to get an advice: of what is to be dropped, only what
// nobody else and no file has.
func takes(advice int) func(procmaps.Mapping) bool {
	return func(m procmaps.Mapping) bool { return advice != unix.MADV_FREE || !m.Shared && m.Inode == 0 }
}

// hint gives an advice, which the kernel need not take: one that it does not know, or not
// for that memory, is no error.
func hint(c systemCalls, part procmaps.Span, advice int) error {
	err := c.Madvise(part.Start, part.End-part.Start, advice)
	if err == unix.EINVAL || err == unix.EBADF || err == unix.ENOSYS {
		return nil
	}
	return err
}

// Sync writes what is shared with files, in the pages that hold the size bytes at
// address, to those files, or drops what is not needed: vm_msync, with VM_SYNC_* as
// flags. What is not mapped there is passed over, unless VM_SYNC_CONTIGUOUS is one of
// them, and then nothing is done. Size 0 succeeds. With VM_SYNC_SYNCHRONOUS the task
// itself calls msync(2), as for [Task.Protect], and is stopped until the file is written.
//
// The error is an [*Error]: KERN_INVALID_ARGUMENT for VM_SYNC_SYNCHRONOUS with
// VM_SYNC_ASYNCHRONOUS, or a task that has ended; KERN_INVALID_ADDRESS for a range that
// wraps, or a hole; KERN_FAILURE where the file can't be written, with errno; and the
// codes of Protect for a call that the task can't be made to make.
func (t *Task) Sync(address, size uint64, flags uint32) error {
	if !t.enter() {
		return t.closedError(opSync)
	}
	defer t.leave()
	const both = VM_SYNC_SYNCHRONOUS | VM_SYNC_ASYNCHRONOUS
	if size != 0 && flags&both == both {
		return t.newError(opSync, address, size, fault{code: KERN_INVALID_ARGUMENT, address: address}, errors.New("both synchronous and asynchronous"))
	}
	var call func(systemCalls, procmaps.Span) error
	var chosen func(procmaps.Mapping) bool
	switch {
	case flags&VM_SYNC_KILLPAGES != 0:
		call = func(c systemCalls, part procmaps.Span) error { return hint(c, part, unix.MADV_FREE) }
		chosen = takes(unix.MADV_FREE)
	case flags&VM_SYNC_DEACTIVATE != 0:
		call = func(c systemCalls, part procmaps.Span) error { return hint(c, part, unix.MADV_COLD) }
		chosen = takes(unix.MADV_COLD)
	default: // msync(2) without MS_SYNC does nothing
		call = func(c systemCalls, part procmaps.Span) error {
			return c.Msync(part.Start, part.End-part.Start, unix.MS_SYNC)
		}
		chosen = func(m procmaps.Mapping) bool {
			return flags&VM_SYNC_SYNCHRONOUS != 0 && m.Shared && m.Inode != 0
		}
	}
	return t.advise(opSync, address, size, KERN_INVALID_ADDRESS, func(mapped []procmaps.Mapping, hole error) ([]procmaps.Span, error) {
		if hole != nil && flags&VM_SYNC_CONTIGUOUS != 0 {
			return nil, hole
		}
		if gap, ok := errors.AsType[*gapError](hole); ok && flags&VM_SYNC_KILLPAGES != 0 {
			for i, m := range mapped {
				if m.Start > gap.address {
					mapped = mapped[:i]
					break
				}
			}
		}
		return spansOfChosen(mapped, chosen), nil
	}, call)
}

// advise has the task make a call on the parts that choose picks of what is mapped in the
// size bytes at address, widened to pages; choose also gets the first hole, nil if there
// is none. wraps is the code for a range that wraps.
func (t *Task) advise(op string, address, size uint64, wraps KernReturn, choose func(mapped []procmaps.Mapping, hole error) ([]procmaps.Span, error), call func(systemCalls, procmaps.Span) error) error {
	if size == 0 {
		return t.emptyError(op, address)
	}
	if rangeWraps(address, size) {
		return t.newError(op, address, size, fault{code: wraps, address: address}, errWraps)
	}
	start, end := pageRange(address, size)
	err := t.callingOnNeed(scope{}, func(c systemCalls) error {
		mapped, hole, err := t.mappingsOf(start, end)
		if err != nil {
			return err
		}
		parts, err := choose(mapped, hole)
		if err != nil {
			return err
		}
		for _, part := range parts {
			if c == nil {
				return errNeedsCall
			}
			err := call(c, part)
			if err == unix.EAGAIN { // madvise(2)'s want of memory
				err = unix.ENOMEM
			}
			if _, refused := err.(unix.Errno); refused {
				return &spanError{part.Start, err}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return t.callError(op, address, size, err)
}

// mappingsOf returns what is mapped from start to end, cut to that, and the first hole, a
// [*gapError], or nil.
func (p *process) mappingsOf(start, end uint64) (mapped []procmaps.Mapping, hole, err error) {
	next := start
	for m, err := range p.maps.Range(start, end) {
		if err != nil {
			return nil, nil, err
		}
		if m.Start > next && hole == nil {
			hole = &gapError{next}
		}
		m.Start, m.End, next = max(m.Start, next), min(m.End, end), m.End
		if m.Start < m.End {
			mapped = append(mapped, m)
		}
	}
	if next < end && hole == nil {
		hole = &gapError{next}
	}
	return mapped, hole, nil
}

// spansOfChosen returns the chosen mappings, of which those side by side are one span.
func spansOfChosen(mapped []procmaps.Mapping, chosen func(procmaps.Mapping) bool) (spans []procmaps.Span) {
	for _, m := range mapped {
		last := len(spans) - 1
		switch {
		case !chosen(m):
		case last >= 0 && spans[last].End == m.Start:
			spans[last].End = m.End
		default:
			spans = append(spans, m.Span())
		}
	}
	return spans
}
