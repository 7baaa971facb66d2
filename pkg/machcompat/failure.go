package machcompat

import (
	"fmt"

	"github.com/vmwrite/vmwrite/internal/diagnose"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

func (t *Task) closedError(op string) error {
	return &Error{Op: op, PID: t.pid, Code: KERN_INVALID_ARGUMENT, Err: ErrClosed}
}

// aliveError is the answer to a call on nothing.
func (t *Task) aliveError(op string, address uint64) error {
	if err := t.maps.Alive(); err != nil {
		return t.newError(op, address, 0, fault{}, err)
	}
	return nil
}

// writeError makes the error of an attempt that did not write everything.
func (t *Task) writeError(w way, segments []pwrite.Segment, r result) error {
	place := r.place
	if r.gone {
		// Whatever the kernel counted did not reach the address space that was
		// checked, or reached one that is no more.
		place = pwrite.Position{}
	}
	index := r.found.segment
	if r.found.code == KERN_SUCCESS {
		index = min(place.Segment, len(segments)-1)
	}
	segment := &segments[index]
	if r.found.address == 0 {
		r.found.address = segment.Address
		if index == place.Segment {
			r.found.address += uint64(place.Offset)
		}
	}
	e := t.newError(opWrite, segment.Address, uint64(len(segment.Data)), r.found, r.err)
	e.Segment = index
	e.Backend = w.backend
	if !r.gone {
		e.WrittenAfterFault = r.afterFault
	}
	e.Partial = place.Moved(segments) > 0 || len(e.WrittenAfterFault) > 0
	if e.Partial && index == place.Segment {
		e.Written = uint64(place.Offset)
	}
	if r.gone {
		e.Err = fmt.Errorf("the process ended or ran another program during the write, and that program may have received the bytes: %w", r.err)
	}
	return e
}

// newError makes the error of what a check found, or else of err.
func (t *Task) newError(op string, address, size uint64, found fault, err error) *Error {
	e := &Error{Op: op, PID: t.pid, Address: address, Size: size, Code: found.code, Fault: found.address, Err: err}
	if alive := t.maps.Alive(); alive != nil {
		// Nothing else that went wrong matters, or can be believed.
		e.Code, e.Err = codeOfErrno(alive), alive
		return e
	}
	switch found.code {
	case KERN_SUCCESS:
		e.Code = codeOfErrno(err)
		if e.Code == KERN_FAILURE || e.Code == KERN_NOT_SUPPORTED {
			e.explain()
		}
		return e
	case KERN_INVALID_ADDRESS, KERN_PROTECTION_FAILURE:
		if e.Err == nil {
			e.Err = unix.EFAULT // what process_vm_writev answers there
		}
	}
	if mapping, ok, err := t.maps.Find(found.address); err == nil && ok {
		e.Mapping = &mapping
	}
	return e
}

// explain says which rule refused, for a call that failed with KERN_FAILURE. Where
// a sandbox refuses the system call itself, no other process can be had either.
func (e *Error) explain() {
	reason, _ := diagnose.Why(e.PID, e.Err)
	e.Hint = reason.Text
	if reason.Rule == diagnose.BackendRefused || reason.Rule == diagnose.PtraceRefused {
		e.Code = KERN_NOT_SUPPORTED
	}
}
