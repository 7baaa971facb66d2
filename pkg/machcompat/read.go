// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"errors"
	"math"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// ReadAt reads len(p) bytes at address off: [io.ReaderAt]. It reads only what
// the task itself could read, and returns how many bytes it read before the
// first that it could not, with an [*Error]: KERN_INVALID_ADDRESS for memory
// that is not mapped, KERN_PROTECTION_FAILURE for memory without read
// permission, and the other codes of [Task.Write]. It does not allocate.
func (t *Task) ReadAt(p []byte, off int64) (int, error) {
	segments := [1]pwrite.Segment{{Address: uint64(off), Data: p}}
	err := t.ReadBatch(segments[:])
	if err == nil {
		return len(p), nil
	}
	if machError, ok := errors.AsType[*Error](err); ok {
		return int(machError.Written), err
	}
	return 0, err
}

// ReadBatch fills the segments with the bytes at their addresses, in their order,
// up to the first byte that can't be read; then the error is that of
// [Task.ReadAt], for that byte's segment. It does not allocate.
func (t *Task) ReadBatch(segments []Segment) error {
	if !t.enter() {
		return t.closedError(opRead)
	}
	defer t.leave()
	return t.readBatch(scope{}, segments)
}

// readBatch is the path of every read, in the stop s if there is one.
func (p *process) readBatch(s scope, segments []pwrite.Segment) error {
	if isEmpty(segments) {
		return p.emptyError(opRead, firstAddress(segments))
	}
	var r result
	b := backend{vm: p.vm}
	if s.stop != nil {
		if r.err = s.begin(false); r.err != nil {
			return p.transferError(opRead, b, segments, r)
		}
		defer s.done(false)
	}
	switch {
	case !p.usesProcessVM(segments):
		b.file, r.err = p.procMem()
	case s.stop != nil:
		// The file never waits for a page that the stopped process must supply.
		b, r.err = p.rawMemory()
	}
	if r.err == nil && b.byPID() {
		r.place, r.err = p.vm.Read(segments)
		if !p.leavesProcessVM(r.err) {
			p.verify(segments, &r, procmaps.Read)
		} else {
			b.file, r.err = p.procMem()
		}
	}
	if r.err == nil && !b.byPID() {
		r = p.readFile(b, segments)
	}
	if r.done() {
		return nil
	}
	return p.transferError(opRead, b, segments, r)
}

// readFile reads through /proc/PID/mem. The file reads what the task itself can't:
// stop at the first such byte.
func (p *process) readFile(b backend, segments []pwrite.Segment) (r result) {
	found, err := p.checkSegments(segments, procmaps.Read)
	if err != nil {
		return result{err: err}
	}
	whole := segments
	if found.code != KERN_SUCCESS {
		whole = segments[:found.segment]
	}
	r.place, r.err = b.file.Read(whole)
	p.verify(whole, &r, procmaps.Read)
	if !r.done() || found.code == KERN_SUCCESS {
		return r
	}
	front := [1]pwrite.Segment{segments[found.segment]}
	front[0].Data = front[0].Data[:found.address-front[0].Address]
	r.place, r.err = b.file.Read(front[:])
	p.verify(front[:], &r, procmaps.Read)
	if r.done() {
		r.place, r.found = pwrite.Position{Offset: len(front[0].Data)}, found
	}
	r.place.Segment, r.found.segment = found.segment, found.segment
	return r
}

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
// read, and KERN_RESOURCE_SHORTAGE is the code for one that this program has no
// memory for.
func (t *Task) Read(address, size uint64) ([]byte, error) {
	if err := t.CheckRead(address, size); err != nil {
		return nil, err
	}
	data, err := allocate(size)
	if err != nil {
		return nil, t.newError(opRead, address, size, fault{}, err)
	}
	if _, err := t.ReadAt(data, int64(address)); err != nil {
		return nil, err
	}
	return data, nil
}

// allocate makes size bytes, or returns ENOMEM: Go ends a program that asks for
// more than there is.
func allocate(size uint64) ([]byte, error) {
	const certain = 64 << 20 // which a program that runs has
	if size > math.MaxInt {
		return nil, unix.ENOMEM
	}
	if size > certain {
		var info unix.Sysinfo_t
		if err := unix.Sysinfo(&info); err == nil && size > (uint64(info.Totalram)+uint64(info.Totalswap))*uint64(info.Unit) {
			return nil, unix.ENOMEM
		}
		// A limit of this process, or of the kernel's overcommitment.
		trial, err := unix.MmapPtr(-1, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return nil, unix.ENOMEM
		}
		unix.MunmapPtr(trial, uintptr(size))
	}
	return make([]byte, size), nil
}

// Copy copies size bytes inside the task, from source to destination, which may
// overlap: vm_copy. Both ranges are checked before a byte is written. The error
// is an [*Error] of [Task.ReadOverwrite] for the source, or of [Task.Write] for
// the destination; Written counts the bytes of the destination from its first on.
// An [Atomic] task is stopped for all of it.
//
// All bytes are read before the first is written if the task is Atomic, or if the
// destination overlaps the source from above; that takes so much memory, or fails
// with KERN_RESOURCE_SHORTAGE. Else they are copied a MiB at a time.
func (t *Task) Copy(source, size, destination uint64) error {
	if !t.enter() {
		return t.closedError(opCopy)
	}
	defer t.leave()
	if err := t.checkAccess(opCopy, source, size, procmaps.Read); err != nil {
		return err
	}
	if err := t.checkAccess(opCopy, destination, size, procmaps.Write); err != nil || size == 0 {
		return err
	}
	const megabyte = 1 << 20
	chunk := min(size, megabyte)
	overlapsFromBelow := source < destination && destination-source < size
	stop := t.settings.atomic || t.settings.stop == StopAlways
	if stop || overlapsFromBelow {
		chunk = size
	}
	buffer, err := allocate(chunk)
	if err != nil {
		return t.newError(opCopy, destination, size, fault{}, err)
	}
	var s scope
	if stop {
		if s.stop, err = t.openOwn([]pwrite.Segment{{Data: buffer}}); err != nil {
			return t.newError(opCopy, destination, size, fault{}, err)
		}
		defer s.leave()
	}
	for done := uint64(0); done < size; {
		part := buffer[:min(chunk, size-done)]
		if err := t.readBatch(s, []pwrite.Segment{{Address: source + done, Data: part}}); err != nil {
			return ofCopy(err, source, size, done)
		}
		if err := t.write(s, []pwrite.Segment{{Address: destination + done, Data: part}}, t.settings.atomic); err != nil {
			return ofCopy(err, destination, size, done)
		}
		done += uint64(len(part))
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
	e.Partial = e.Written > 0 || len(e.WrittenAfterFault) > 0
	return e
}
