package main

import (
	"errors"
	"fmt"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// confirmUnprotectable makes sure that --unprotect can do what it should: the
// whole range is mapped, and nothing of it is a file that others see.
func (j *job) confirmUnprotectable(address, size uint64) error {
	fault := func(code machcompat.KernReturn, at uint64, err error) *machcompat.Error {
		return &machcompat.Error{Op: "vm_write", PID: j.task.PID(), Address: address, Size: size, Code: code, Fault: at, Err: err}
	}
	next, end := address, address+size
	for mapping, err := range j.task.Regions() {
		switch {
		case err != nil:
			return err
		case mapping.End <= next:
			continue
		case mapping.Start > next || next >= end:
		case mapping.Shared && mapping.Inode != 0:
			e := fault(machcompat.KERN_NOT_SUPPORTED, next, errors.New("it is a shared mapping of the file, which --unprotect leaves alone"))
			e.Mapping = &mapping
			e.Hint = "writing there would change " + procmaps.Printable(mapping.Path) + " itself, for every process and for good; to have that, write to the file, or change the protection with vmwrite protect and then write"
			return e
		default:
			next = mapping.End
			continue
		}
		break
	}
	if next < end {
		return fault(machcompat.KERN_INVALID_ADDRESS, next, nil)
	}
	return nil
}

// writeUnprotected makes the memory writable, writes, and puts the protection
// back.
func (j *job) writeUnprotected() error {
	if err := j.confirmUnprotectable(j.address, j.size); err != nil {
		return err
	}
	err := j.make(j.interrupted, endsWhenForced, func() error {
		return j.task.WithWritable(j.address, j.size, j.transfer)
	})
	if errors.Is(err, errGivenUp) && !errors.Is(err, machcompat.KERN_ABORTED) {
		return j.givenUpAt(0, fmt.Errorf("%w, nor whether the protection was put back", err))
	}
	return err
}
