package machcompat

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// ErrClosed is what calls on a [Task] wrap after Close.
var ErrClosed = errors.New("the task is closed")

// Error is every error of this package. It serves [errors.Is] with its Mach code
// and with its errno:
//
//	errors.Is(err, machcompat.KERN_PROTECTION_FAILURE)
//	errors.Is(err, unix.EFAULT)
type Error struct {
	Op  string // Mach's name of the call, as "vm_write"
	PID int    // the process

	// Segment is the index of the segment that failed, 0 but for a batch. All
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
	Hint    string            // which rule refused it, or ""
}

// Error says what was asked, the code, and what is there, on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Op == opTaskForPID {
		fmt.Fprintf(&b, " %d", e.PID)
	} else {
		fmt.Fprintf(&b, " %#x+%d", e.Address, e.Size)
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
