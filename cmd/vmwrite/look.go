// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// confirmExpected refuses unless each place holds what is expected.
func (j *job) confirmExpected() error {
	var other []machcompat.Mismatch
	for i, c := range j.changes {
		found := make([]byte, len(c.Old))
		if len(found) == 0 {
			continue
		}
		if _, err := j.read(found, c.Address); err != nil {
			return j.ofLine(i, err)
		}
		if !bytes.Equal(found, c.Old) {
			other = append(other, machcompat.Mismatch{Change: i, Address: c.Address, Found: found})
		}
	}
	if len(other) == 0 {
		return nil
	}
	return j.unexpected(other)
}

// unexpected is the error for places that hold other bytes than expected.
func (j *job) unexpected(other []machcompat.Mismatch) error {
	e := &expectationError{}
	for _, m := range other {
		e.places = append(e.places, mismatch{hexAddress(m.Address), hex.EncodeToString(j.changes[m.Change].Old), hex.EncodeToString(m.Found)})
	}
	return j.ofLine(other[0].Change, j.failure(other[0].Address, 0, machcompat.KERN_FAILURE, e))
}

// expectationError is that other bytes are there than expected.
type expectationError struct{ places []mismatch }

func (e *expectationError) Error() string {
	first := e.places[0]
	text := fmt.Sprintf("found %s at %s where %s is expected", spaced(first.Found), first.Address, spaced(first.Expected))
	if more := len(e.places) - 1; more > 0 {
		text += fmt.Sprintf(", and other bytes at %s too", counted(more, "more place"))
	}
	return text + "; nothing was written"
}

func (e *expectationError) Unwrap() error { return machcompat.ErrMismatch }

// shownBytes is how many bytes of a longer run a message shows.
const shownBytes = 16

// spaced sets digits in pairs.
func spaced(digits string) string {
	data, _ := hex.DecodeString(digits[:min(len(digits), 2*shownBytes)])
	text := fmt.Sprintf("% x", data)
	if len(digits) > 2*shownBytes {
		text += " ..."
	}
	return text
}

// describe tells what is there before the write.
func (j *job) describe() error {
	var mappings []procmaps.Mapping
	for mapping, err := range j.task.Regions() {
		if err != nil {
			break
		}
		mappings = append(mappings, mapping)
	}
	for _, c := range j.changes {
		size, first := uint64(len(c.New)), c.New[:min(len(c.New), shownBytes)]
		if j.input != nil {
			var err error
			if first, err = j.input.peek(); err != nil {
				return err
			}
			size = j.size
		}
		if err := j.describePlace(c.Address, size, first, mappings); err != nil {
			return err
		}
	}
	j.notef("backend: %s", j.task.Backend())
	return nil
}

func (j *job) describePlace(address, size uint64, first []byte, mappings []procmaps.Mapping) error {
	for _, mapping := range mappings {
		if mapping.Start < address+size && address < mapping.End {
			j.notef("there: %s", printableMapping(mapping))
		}
	}
	before := make([]byte, len(first))
	if _, err := j.read(before, address); err == nil {
		j.notef("before: % x", before)
	} else if errors.Is(err, errInterrupted) {
		return err
	}
	j.notef("new:    % x", first)
	return nil
}

// readBack compares what is there now with what was written.
func (j *job) readBack(address uint64, written []byte) error {
	found := make([]byte, min(len(written), partSize))
	for ; len(written) > 0; address, written = address+uint64(len(found)), written[len(found):] {
		found = found[:min(len(found), len(written))]
		if _, err := j.task.ReadAt(found, int64(address)); err != nil {
			return j.failure(address, j.size, machcompat.KERN_FAILURE, fmt.Errorf("everything was written, but can't be read back: %w", err))
		}
		for i := 0; !bytes.Equal(found, written[:len(found)]); i++ {
			if found[i] != written[i] {
				at := address + uint64(i)
				return j.failure(at, j.size, machcompat.KERN_FAILURE,
					fmt.Errorf("everything was written, but %#x holds %02x now and not %02x: the process, or another writer, changed it", at, found[i], written[i]))
			}
		}
	}
	return nil
}

// confirmUnprotectable makes sure that --unprotect can do what it should: the
// whole range is mapped, and nothing of it is a file that others see.
func (j *job) confirmUnprotectable(address, size uint64) error {
	fault := func(code machcompat.KernReturn, at uint64, err error) *machcompat.Error {
		return &machcompat.Error{Op: "vm_write", PID: j.pid, Address: address, Size: size, Code: code, Fault: at, Err: err}
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
			e.Hint = sharedFileHint(&mapping)
			return e
		default:
			next = mapping.End
			continue
		}
		break
	}
	if next < end || end < address {
		return fault(machcompat.KERN_INVALID_ADDRESS, next, nil)
	}
	return nil
}
