package machcompat

import (
	"errors"
	"fmt"
	"os"

	"github.com/vmwrite/vmwrite/internal/linux"
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
	switch {
	case r.gone:
		e.Err = fmt.Errorf("the process ended or ran another program during the write, and that program may have received the bytes: %w", r.err)
	case r.stopErr && e.Code != KERN_INVALID_ARGUMENT:
		t.explainStop(e)
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
		if processVMRefused(err) {
			e.Code = KERN_NOT_SUPPORTED
		}
		if e.Code == KERN_FAILURE || e.Code == KERN_NOT_SUPPORTED {
			e.Hint = hintFor(t.pid, err)
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

// explainStop says why the target could not be stopped, which is another reason
// than that its memory could not be opened.
func (t *Task) explainStop(e *Error) {
	const waiver = "if you have stopped the process yourself, write without the stop (--stop never, machcompat.StopNever)"
	if err := linux.PtraceDetach(unix.Gettid(), 0); err != unix.ESRCH {
		e.Code = KERN_NOT_SUPPORTED
		e.Hint = "a seccomp filter refuses ptrace, so the process can't be stopped; " + waiver
		return
	}
	if linux.ReadyPoller() != nil {
		return
	}
	tracer := tracerOf(t.pid)
	switch {
	case t.pid == os.Getpid():
		e.Hint = "a process can't stop itself; write without the stop, or through process_vm"
	case errors.Is(e.Err, unix.EPERM) && tracer != "":
		e.Hint = "the process is already traced by " + tracer + ", and can have only one tracer; " + waiver
	case !errors.Is(e.Err, unix.EPERM) && e.Hint == "":
		e.Hint = waiver
	}
}
