package machcompat

import (
	"errors"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

const opCopy = "vm_copy"

// copyChunk is how much of a task's memory is held at once.
const copyChunk = 1 << 20

// CheckRead says what [Task.ReadOverwrite] of size bytes at address would say of
// the mappings, without reading.
func (t *Task) CheckRead(address, size uint64) error {
	return t.check(opRead, address, size, procmaps.Read)
}

// ReadOverwrite fills p with the bytes at address, all of them or none:
// vm_read_overwrite. Unlike [Task.ReadAt] it checks the whole range before it
// reads. The error is an [*Error]: KERN_INVALID_ADDRESS for a gap or a range that
// wraps, KERN_PROTECTION_FAILURE for memory without read permission, the first in
// address order; and the other codes of [Task.Write]. Where the memory changes
// meanwhile, p may be filled in part.
func (t *Task) ReadOverwrite(address uint64, p []byte) error {
	if err := t.CheckRead(address, uint64(len(p))); err != nil {
		return err
	}
	_, err := t.ReadAt(p, int64(address))
	return err
}

// Read returns the size bytes at address: vm_read. It returns all of them, or an
// error of [Task.ReadOverwrite]; no memory is taken for a range that can't be
// read.
func (t *Task) Read(address, size uint64) ([]byte, error) {
	if err := t.CheckRead(address, size); err != nil {
		return nil, err
	}
	data := make([]byte, size)
	if _, err := t.ReadAt(data, int64(address)); err != nil {
		return nil, err
	}
	return data, nil
}

// Copy copies size bytes inside the task, from source to destination, which may
// overlap: vm_copy. Both ranges are checked before a byte is written. The error
// is an [*Error] of [Task.ReadOverwrite] for the source, or of [Task.Write] for
// the destination.
func (t *Task) Copy(source, size, destination uint64) error {
	if err := t.check(opCopy, source, size, procmaps.Read); err != nil {
		return err
	}
	if err := t.check(opCopy, destination, size, procmaps.Write); err != nil {
		return err
	}
	buffer := make([]byte, min(size, copyChunk))
	// Like memmove: away from what is still to be read.
	backward := source < destination && destination-source < size
	for done := uint64(0); done < size; {
		n := min(size-done, copyChunk)
		offset := done
		if backward {
			offset = size - done - n
		}
		if _, err := t.ReadAt(buffer[:n], int64(source+offset)); err != nil {
			return ofCopy(err, source, size, done)
		}
		if err := t.Write(destination+offset, buffer[:n]); err != nil {
			return ofCopy(err, destination, size, done)
		}
		done += n
	}
	return nil
}

// ofCopy makes the error of a chunk that of the whole copy.
func ofCopy(err error, address, size, done uint64) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	if e.Op == opRead {
		e.Written = 0
	}
	e.Op, e.Address, e.Size = opCopy, address, size
	e.Written += done
	e.Partial = e.Written > 0
	return e
}

// check looks whether the task lives and a range allows an access.
func (t *Task) check(op string, address, size uint64, want procmaps.Perms) error {
	t.open.RLock()
	defer t.open.RUnlock()
	if t.closed {
		return t.closedError(op)
	}
	if size == 0 {
		return t.aliveError(op, address)
	}
	found, err := t.checkRange(address, size, want, nil)
	if err == nil && found.code == KERN_SUCCESS {
		return nil
	}
	return t.newError(op, address, size, found, err)
}
