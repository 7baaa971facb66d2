package main

import (
	"errors"
	"fmt"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// confirmUnprotectable makes sure that --unprotect can do what it should: the
// whole range is mapped, and nothing of it is a file that others see.
func (j *job) confirmUnprotectable() error {
	next, end := j.address, j.address+uint64(len(j.data))
	for mapping, err := range j.task.Regions() {
		switch {
		case err != nil:
			return err
		case mapping.End <= next:
			continue
		case mapping.Start > next || next >= end:
		case mapping.Shared && mapping.Inode != 0:
			e := j.failure(next, 0, machcompat.KERN_NOT_SUPPORTED, fmt.Errorf("it is a shared mapping of the file, which --unprotect leaves alone"))
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
		return j.failure(next, 0, machcompat.KERN_INVALID_ADDRESS, nil)
	}
	return nil
}

// writeUnprotected makes the memory writable, writes, and puts the protection
// back.
func (j *job) writeUnprotected(interrupted *interruption) error {
	if err := j.confirmUnprotectable(); err != nil {
		return err
	}
	err := j.make(interrupted, endsWhenForced, func() error {
		return j.task.WithWritable(j.address, uint64(len(j.data)), func() error { return j.writeChunks(interrupted) })
	})
	if errors.Is(err, errGivenUp) && !errors.Is(err, machcompat.KERN_ABORTED) {
		return j.givenUpAt(0, fmt.Errorf("%w, nor whether the protection was put back", err))
	}
	return err
}
