// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// write writes, until a signal comes.
func (j *job) write(undo *undoFile) error {
	switch {
	case j.compares() && j.stop != "never":
		return j.compareAndWrite(undo)
	case j.compares(): // whoever stopped the process is responsible for it
		if err := j.confirmExpected(); err != nil {
			return err
		}
		if err := undo.record(j.task.ReadBatch, j.changes); err != nil {
			return j.ofItsLine(err)
		}
	}
	if j.unprotect {
		return j.writeUnprotected()
	}
	return j.transfer()
}

// compareAndWrite compares, records and writes in one stop of the process.
func (j *job) compareAndWrite(undo *undoFile) error {
	if j.unprotect {
		for i, c := range j.changes {
			if err := j.confirmUnprotectable(c.Address, uint64(len(c.New))); err != nil {
				return j.ofLine(i, err)
			}
		}
	}
	err := j.make(j.interrupted, endsWhenForced, func() error {
		written := false
		err := j.task.Stopped(context.Background(), func(s *machcompat.Stopped) error {
			if err := j.locateStopped(); err != nil {
				return err
			}
			if err := undo.record(s.ReadBatch, j.changes); err != nil {
				return j.ofItsLine(err)
			}
			err := s.CompareAndWrite(j.changes)
			if mismatch, ok := errors.AsType[*machcompat.MismatchError](err); ok {
				return j.unexpected(mismatch.Mismatches)
			}
			written = err == nil
			return j.ofItsLine(err)
		})
		if !written {
			return err
		}
		return j.readAllBack()
	})
	if errors.Is(err, errGivenUp) {
		return j.givenUpAt(0, err)
	}
	return err
}

// writeUnprotected makes the memory writable, writes, and puts the protection
// back.
func (j *job) writeUnprotected() error {
	if err := j.confirmUnprotectable(j.address, j.size); err != nil {
		return err
	}
	err := j.make(j.interrupted, endsWhenForced, func() error {
		written := false
		err := j.task.WithWritable(j.address, j.size, func() error {
			err := j.transfer()
			written = err == nil
			return err
		})
		if e, ok := errors.AsType[*machcompat.Error](err); ok && written {
			e.Written, e.Partial = e.Size, true
		}
		return err
	})
	if errors.Is(err, errGivenUp) && !errors.Is(err, machcompat.KERN_ABORTED) {
		return j.givenUpAt(0, fmt.Errorf("%w, nor whether the protection was put back", err))
	}
	return err
}

// transfer writes without comparing: all at once if it must be whole, else in parts
// with a progress bar, until a signal comes.
func (j *job) transfer() error {
	var written atomic.Uint64
	ends, call := endsSoon, func() error { return j.writeParts(&written) }
	if j.atomic || j.isBatch() {
		ends, call = endsWhenForced, j.writeAtOnce
	}
	err := j.make(j.interrupted, ends, call)
	if errors.Is(err, errGivenUp) {
		return j.givenUpAt(written.Load(), err)
	}
	return err
}

// writeAtOnce writes all or, of an atomic task, nothing.
func (j *job) writeAtOnce() error {
	var segments []machcompat.Segment
	for _, c := range j.changes {
		segments = append(segments, machcompat.Segment{Address: c.Address, Data: c.New})
	}
	if err := j.task.WriteBatch(segments); err != nil {
		return j.ofItsLine(err)
	}
	return j.readAllBack()
}

// readAllBack reads back what is held in memory, if --verify asks for it.
func (j *job) readAllBack() error {
	for i, c := range j.changes {
		if !j.verify {
			break
		}
		if err := j.readBack(c.Address, c.New); err != nil {
			return j.ofLine(i, err)
		}
	}
	return nil
}

// writeParts writes one part after the other, after a check of the whole.
func (j *job) writeParts(written *atomic.Uint64) error {
	several, bar := j.size > partSize, &progress{}
	if several {
		if err := j.task.Check(j.address, j.size); err != nil {
			return err
		}
		bar = newProgress(j.err, j.size)
		defer bar.clear()
	}
	var found error // by --verify
	for part, err := range j.parts {
		done := written.Load()
		switch {
		case err != nil:
			return j.failure(j.address+done, done, machcompat.KERN_FAILURE, err)
		case several && j.interrupted.came():
			return j.failure(j.address+done, done, machcompat.KERN_ABORTED, errInterrupted)
		}
		if err := j.task.Write(j.address+done, part); err != nil {
			return ofWhole(err, j.address, j.size, done)
		}
		if j.verify && found == nil {
			found = j.readBack(j.address+done, part)
		}
		bar.show(written.Add(uint64(len(part))))
	}
	return found
}

// heldPart is how much of what is held in memory is written between two looks at
// Ctrl-C and the clock: some ten or twenty milliseconds.
const heldPart = 64 << 20

// parts calls yield with each part of what is written to one place.
func (j *job) parts(yield func(part []byte, err error) bool) {
	if j.input != nil {
		j.input.parts(yield)
		return
	}
	for data := j.changes[0].New; ; {
		part := data[:min(len(data), heldPart)]
		if data = data[len(part):]; !yield(part, nil) || len(data) == 0 {
			return
		}
	}
}
