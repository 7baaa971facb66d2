// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vmwrite/vmwrite/internal/diagnose"
	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// ErrClosed is what calls on a [Task] wrap after Close.
var ErrClosed = errors.New("the task is closed")

// Error is every error of a [Task]. It serves [errors.Is] with its Mach code
// and with its errno:
//
//	errors.Is(err, machcompat.KERN_PROTECTION_FAILURE)
//	errors.Is(err, unix.EFAULT)
type Error struct {
	Op  string // Mach's name of the call, as "vm_write"
	PID int    // the process

	// Segment is the index of the segment that failed, or of the [Change], 0 but
	// for those calls that take several. All
	// segments before it were moved whole and none behind it, unless Written is
	// 0 and the check failed: then nothing was moved at all.
	Segment           int
	Address           uint64   // where that segment begins
	Size              uint64   // its length in bytes
	Written           uint64   // bytes of it that were moved before the first that was not
	WrittenAfterFault []Extent // what was written after that all the same: see [Task.Write]
	Partial           bool     // true when any byte of any segment was written and stays

	Code    KernReturn
	Fault   uint64            // the first address that was not written, or read
	Mapping *procmaps.Mapping // what is mapped at Fault; nil when nothing is
	Backend Backend           // the one that was used; Auto when none was
	Err     error             // the errno, or what else the system said; may be nil
	Hint    string            // which rule of the system refused it, or ""
}

// Error says what was asked, the code, and what is there, on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if isOfMemory(e.Op) {
		fmt.Fprintf(&b, " %#x+%d", e.Address, e.Size)
	} else {
		fmt.Fprintf(&b, " %d", e.PID)
	}
	fmt.Fprintf(&b, ": %s (%d)", e.Code.String(), int32(e.Code))
	if reason := e.Reason(); reason != "" {
		b.WriteString(": " + reason)
	}
	return b.String()
}

// Reason says what is there and why the call failed, without what was asked.
func (e *Error) Reason() string {
	var reasons []string
	switch {
	case e.Code == KERN_INVALID_ADDRESS && e.Mapping == nil:
		reasons = append(reasons, fmt.Sprintf("nothing is mapped at %#x", e.Fault))
	case e.Mapping != nil:
		reasons = append(reasons, fmt.Sprintf("%#x is %s", e.Fault, mappingText(e.Mapping)))
	}
	switch {
	case e.Code == KERN_MEMORY_ERROR:
		reasons = append(reasons, "its page cannot be faulted in: "+missingPageText(e.Mapping))
	case e.Err == nil || ((e.Code == KERN_INVALID_ADDRESS || e.Code == KERN_PROTECTION_FAILURE) && isPageFault(e.Err)):
		// The errno says less than what precedes it.
	default:
		reasons = append(reasons, e.Err.Error())
	}
	if e.Partial {
		reasons = append(reasons, e.partText())
	}
	return strings.Join(reasons, "; ")
}

func (e *Error) partText() string {
	var b strings.Builder
	if e.Segment == 0 {
		fmt.Fprintf(&b, "%d of %d bytes were written", e.Written, e.Size)
	} else {
		fmt.Fprintf(&b, "%d of %d bytes of segment %d were written, and all segments before it", e.Written, e.Size, e.Segment)
	}
	for _, extent := range e.WrittenAfterFault {
		fmt.Fprintf(&b, ", and %d from %#x on", extent.Size, extent.Address)
	}
	return b.String()
}

// missingPageText says why a page may lack that the map allows to access.
func missingPageText(m *procmaps.Mapping) string {
	switch {
	case m != nil && strings.HasPrefix(m.Path, "/secretmem"):
		return "it is secret memory (memfd_secret)"
	case m != nil && strings.HasPrefix(m.Path, "[v"):
		return "it is the kernel's own, for the process alone"
	case m != nil && strings.HasPrefix(m.Path, "/"):
		return "it lies beyond the end of the file, or the file can't be read"
	}
	return "it is a guard region (MADV_GUARD_INSTALL), or there is no memory for it"
}

// mappingText is what a person needs to know of a mapping.
func mappingText(m *procmaps.Mapping) string {
	path := procmaps.Printable(m.Path)
	if path == "" {
		path = "anonymous memory"
	}
	return m.PermsText() + " " + path
}

// Unwrap returns the Mach code and, unless it is nil, Err.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

// CodeOf returns the code that err stands for: KERN_SUCCESS for nil, that of an
// [*Error], KERN_FAILURE for any other error.
func CodeOf(err error) KernReturn {
	if err == nil {
		return KERN_SUCCESS
	}
	if machError, ok := errors.AsType[*Error](err); ok {
		return machError.Code
	}
	return KERN_FAILURE
}

func (t *Task) closedError(op string) error {
	return &Error{Op: op, PID: t.PID(), Code: KERN_INVALID_ARGUMENT, Err: ErrClosed}
}

// emptyError is the answer to a call on nothing, which fails only if the task has
// ended.
func (p *process) emptyError(op string, address uint64) error {
	if err := p.identity.confirm(); err != nil {
		return p.newError(op, address, 0, fault{}, err)
	}
	return nil
}

// transferError makes the error of a write or read that did not move everything.
func (p *process) transferError(op string, b backend, segments []pwrite.Segment, r result) error {
	place := r.place
	if r.gone {
		// The count is meaningless: the address space is gone.
		place, r.afterFault = pwrite.Position{}, nil
	}
	index := r.found.segment
	if r.found.code == KERN_SUCCESS {
		index = min(place.Segment, len(segments)-1)
	}
	segment := &segments[index]
	if r.found.code == KERN_SUCCESS {
		r.found.address = segment.Address
		if index == place.Segment {
			r.found.address += uint64(place.Offset)
		}
	}
	e := p.newError(op, segment.Address, uint64(len(segment.Data)), r.found, r.err)
	e.Segment, e.Backend, e.WrittenAfterFault = index, b.name(), r.afterFault
	if index == place.Segment {
		e.Written = uint64(place.Offset)
	}
	e.Partial = op == opWrite && (place.Moved(segments) > 0 || len(e.WrittenAfterFault) > 0)
	if r.gone && op == opWrite {
		e.Err = fmt.Errorf("the process ended or ran another program during the write, and that program may have received the bytes: %w", r.err)
	}
	return e
}

// newError makes the error of what a check found, or else of err.
func (p *process) newError(op string, address, size uint64, found fault, err error) *Error {
	e := &Error{Op: op, PID: p.pid, Address: address, Size: size, Code: found.code, Fault: found.address, Err: err}
	if err == ErrClosed {
		e.Code = KERN_INVALID_ARGUMENT
		return e
	}
	if gone := p.identity.confirm(); errors.Is(gone, unix.ESRCH) {
		// Nothing else that went wrong matters, or can be believed.
		e.Code, e.Err = KERN_INVALID_ARGUMENT, gone
		return e
	}
	switch found.code {
	case KERN_SUCCESS:
		e.Code = codeOfErrno(err)
		if e.Code != KERN_FAILURE && e.Code != KERN_NOT_SUPPORTED {
			return e
		}
		if reason, ok := diagnose.Why(p.pid, err); ok {
			e.Hint = reason.Text
			if reason.Rule == diagnose.PtraceRefused {
				e.Code = KERN_NOT_SUPPORTED
			}
		}
		return e
	case KERN_NOT_SUPPORTED:
		if reason, ok := diagnose.Why(p.pid, err); ok {
			e.Hint = reason.Text
		}
	case KERN_INVALID_ADDRESS, KERN_PROTECTION_FAILURE:
		if e.Err == nil {
			e.Err = unix.EFAULT // what process_vm_writev answers there
		}
	}
	if mapping, ok, err := p.maps.Find(found.address); err == nil && ok {
		e.Mapping = &mapping
	}
	return e
}

// codeOfErrno returns the code of an error for which the mappings have no say.
func codeOfErrno(err error) KernReturn {
	_, isStop := errors.AsType[*ptrace.StopError](err) // that of threads that do not stop in time
	switch {
	case errors.Is(err, errExpired), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !isStop:
		return KERN_ABORTED
	case errors.Is(err, pwrite.ErrRefused):
		return KERN_NOT_SUPPORTED
	}
	switch errnoOf(err) {
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

// both joins two errors where there are two.
func both(first, second error) error {
	if first == nil || second == nil {
		return cmp.Or(first, second)
	}
	return errors.Join(first, second)
}

// errnoOf returns the errno that err wraps, or err itself.
func errnoOf(err error) error {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno
	}
	return err
}

// isPageFault reports whether err says that a page of the target could not be
// faulted in: EFAULT from process_vm_writev, EIO from /proc/PID/mem.
func isPageFault(err error) bool {
	return (errors.Is(err, unix.EFAULT) || errors.Is(err, unix.EIO)) && !errors.Is(err, pwrite.ErrLocalFault)
}
