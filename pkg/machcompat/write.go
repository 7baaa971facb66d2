package machcompat

import (
	"errors"
	"os"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// Segment is one run of bytes at one address: Address and Data.
type Segment = pwrite.Segment

// Extent is a run of bytes of the task: Address and Size.
type Extent = pwrite.Extent

// Write writes data at address as if the task itself had done so: vm_write. It
// returns nil when every byte was written, in the address space that was
// checked, and otherwise an [*Error]:
//
//   - KERN_INVALID_ADDRESS: some of the range is not mapped, or it wraps;
//   - KERN_PROTECTION_FAILURE: some of it is mapped without write permission;
//   - KERN_INVALID_ARGUMENT: the task has ended, or has run another program;
//   - KERN_MEMORY_ERROR: the map allows the write, but the page cannot be faulted in
//     (beyond the end of its file, a guard region, secret memory);
//   - KERN_RESOURCE_SHORTAGE: no memory for a page;
//   - KERN_NOT_SUPPORTED: the kernel or a sandbox allows no backend;
//   - KERN_FAILURE: the permission was taken away, or anything else, with errno.
//
// Several threads write 16 MiB and more, as many as Go runs at a time
// (GOMAXPROCS), up to 8. If the memory changes between the check and the write,
// Written counts the bytes before the first that is missing, and
// WrittenAfterFault names those that arrived after it.
//
// Of several offences the first in address order decides. After the first two
// nothing was written. Writing nothing succeeds at any address while the task
// lives. Write does not allocate.
func (t *Task) Write(address uint64, data []byte) error {
	segments := [1]pwrite.Segment{{Address: address, Data: data}}
	if w := t.chooseWay(); w == (way{backend: ProcessVM}) && inOnePage(address, len(data)) && !processVMLeavesStaleCode {
		if done, err := t.writeInPage(w, segments[:]); done {
			return err
		}
	}
	return t.write(segments[:])
}

// writeInPage is the whole path for bytes of one page, in a running task: the
// address space still lives, write, it lived on. The kernel checks the protection
// of the page in the write itself and writes such bytes all or not at all, so
// there is nothing to be checked before, and whatever else it meets it leaves,
// undone, to the general path.
func (t *Task) writeInPage(w way, segments []pwrite.Segment) (done bool, err error) {
	t.open.RLock()
	defer t.open.RUnlock()
	if t.closed || t.maps.Alive() != nil {
		return false, nil
	}
	address, data := segments[0].Address, segments[0].Data
	if n, err := t.vm.WriteOnce(address, data); err != nil || n < len(data) {
		return false, nil
	}
	if err := t.maps.Alive(); err != nil {
		return true, t.writeError(w, segments, result{err: err, gone: true})
	}
	return true, nil
}

// inOnePage reports whether there are bytes and all lie in one page, so that one
// mapping and one protection decide about them.
func inOnePage(address uint64, size int) bool {
	page := uint64(os.Getpagesize())
	return size > 0 && address&(page-1)+uint64(size) <= page && !rangeWraps(address, uint64(size))
}

// WriteBatch writes all segments or none: it checks every one before it writes
// the first, in their order. Segments may overlap; the later one's bytes stay.
// Errors are those of [Task.Write], for the first segment that fails. If the
// memory changes between the check and the write, what was written before the
// failure stays, and the error says which bytes that is, unless the task is
// [Atomic].
func (t *Task) WriteBatch(segments []Segment) error { return t.write(segments) }

// WriteAt writes p at address off: [io.WriterAt]. It returns how many bytes
// were written, and the error of [Task.Write] when that is not all.
func (t *Task) WriteAt(p []byte, off int64) (int, error) {
	err := t.Write(uint64(off), p)
	if err == nil {
		return len(p), nil
	}
	if machError, ok := errors.AsType[*Error](err); ok {
		return int(machError.Written), err
	}
	return 0, err
}

// Check says what [Task.Write] of size bytes at address would say of the
// mappings, without writing.
func (t *Task) Check(address, size uint64) error {
	return t.check(opWrite, address, size, procmaps.Write)
}

// write is the path of every write.
func (t *Task) write(segments []pwrite.Segment) error {
	t.open.RLock()
	defer t.open.RUnlock()
	if t.closed {
		return t.closedError(opWrite)
	}
	if isEmpty(segments) {
		return t.aliveError(opWrite, firstAddress(segments))
	}
	way := t.wayFor(segments)
	result := t.attempt(way, segments)
	if next, ok := t.otherWay(way, result); ok {
		way = next
		result = t.attempt(way, segments)
	}
	if result.done() {
		return nil
	}
	return t.writeError(way, segments, result)
}

func firstAddress(segments []pwrite.Segment) uint64 {
	if len(segments) == 0 {
		return 0
	}
	return segments[0].Address
}

func isEmpty(segments []pwrite.Segment) bool {
	for i := range segments {
		if len(segments[i].Data) > 0 {
			return false
		}
	}
	return true
}
