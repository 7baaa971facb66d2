package main

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// chunkSize is how much is written between two looks at Ctrl-C and the clock:
// some ten or twenty milliseconds.
const chunkSize = 64 << 20

// writeChunks writes the data: in one call when it is short or must be atomic,
// else in chunks after one check of the whole, with a progress bar, until a
// signal comes.
func (j *job) writeChunks(interrupted *interruption) error {
	if j.atomic {
		return j.writeChunk(interrupted, endsWhenForced, 0, len(j.data))
	}
	if len(j.data) <= chunkSize {
		return j.writeChunk(interrupted, endsSoon, 0, len(j.data))
	}
	if err := j.task.Check(j.address, uint64(len(j.data))); err != nil {
		return err
	}
	bar := newProgress(j.err, uint64(len(j.data)))
	defer bar.clear()
	for done := 0; done < len(j.data); {
		if interrupted.came() {
			return j.failure(j.address+uint64(done), uint64(done), machcompat.KERN_ABORTED, errInterrupted)
		}
		n := min(chunkSize, len(j.data)-done)
		if err := j.writeChunk(interrupted, endsSoon, done, n); err != nil {
			return err
		}
		done += n
		bar.show(uint64(done))
	}
	return nil
}

// writeChunk writes n bytes behind those that are done.
func (j *job) writeChunk(interrupted *interruption, ends ending, done, n int) error {
	err := j.make(interrupted, ends, func() error {
		part := j.data[done : done+n]
		defer j.source.done(part)
		return j.task.Write(j.address+uint64(done), part)
	})
	if errors.Is(err, errGivenUp) {
		return j.givenUpAt(uint64(done), err)
	}
	return j.ofSource(ofWhole(err, j.address, uint64(len(j.data)), uint64(done)))
}

// ofSource tells our own file that has become shorter from what is wrong with the
// process.
func (j *job) ofSource(err error) error {
	if e, ok := errors.AsType[*machcompat.Error](err); ok && errors.Is(err, pwrite.ErrLocalFault) {
		return j.shrunk(fmt.Sprintf("%d bytes of it are", e.Written))
	}
	return err
}

// givenUpAt is the error for a write that goes on, of which at least done bytes
// are written.
func (j *job) givenUpAt(done uint64, err error) error {
	if done > 0 {
		err = fmt.Errorf("%w, but that it is at least %d bytes of %d", err, done, len(j.data))
	}
	e := j.failure(j.address+done, done, machcompat.KERN_ABORTED, err)
	e.Partial, e.Hint = false, givenUpHint
	return e
}

// ofWhole makes the error of a chunk, behind done bytes, that of the whole write
// or read.
func ofWhole(err error, address, size, done uint64) error {
	if e, ok := errors.AsType[*machcompat.Error](err); ok {
		e.Address, e.Size = address, size
		e.Written += done
		e.Partial = e.Op == "vm_write" && (e.Written > 0 || len(e.WrittenAfterFault) > 0)
	}
	return err
}

// shrunk is the error for a file that has become shorter.
func (j *job) shrunk(arrived string) error {
	return &fileError{fmt.Errorf("%s has become shorter while it was written: %s in process %d", j.file, arrived, j.task.PID())}
}

// lookAtSource runs f, which reads the data itself. Where that is the mapping of
// a file that has become shorter, the fault is an error and not the end of this
// program.
func (j *job) lookAtSource(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		fault := recover()
		if _, ok := fault.(interface{ Addr() uintptr }); ok {
			err = j.shrunk("not all of it may be")
		} else if fault != nil {
			panic(fault)
		}
	}()
	return f()
}
