package machcompat

import (
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// ReadAt reads len(p) bytes at address off: [io.ReaderAt]. It reads only what
// the task itself could read, and returns how many bytes it read before the
// first that it could not, with an [*Error]: KERN_INVALID_ADDRESS for memory
// that is not mapped, KERN_PROTECTION_FAILURE for memory without read
// permission, and the other codes of [Task.Write]. It does not allocate.
func (t *Task) ReadAt(p []byte, off int64) (int, error) {
	t.open.RLock()
	defer t.open.RUnlock()
	if t.closed {
		return 0, t.closedError(opRead)
	}
	segments := [1]pwrite.Segment{{Address: uint64(off), Data: p}}
	if len(p) == 0 {
		return 0, t.aliveError(opRead, uint64(off))
	}
	w := t.wayFor(segments[:])
	r := t.read(w, segments[:])
	if t.leavesProcessVM(w, r.err) {
		w.backend = ProcMem
		r = t.read(w, segments[:])
	}
	if r.done() {
		return len(p), nil
	}
	n := r.place.Offset
	if r.gone {
		n = 0
	}
	if r.found.code == KERN_SUCCESS {
		r.found.address = uint64(off) + uint64(n)
	}
	e := t.newError(opRead, uint64(off), uint64(len(p)), r.found, r.err)
	e.Written, e.Backend = uint64(n), w.backend
	return n, e
}

// read reads one segment, up to the first byte that can't be read.
func (t *Task) read(w way, segments []pwrite.Segment) (r result) {
	if w.backend == ProcessVM {
		r.place, r.err = t.vm.Read(segments)
		return t.conclude(segments, r, procmaps.Read)
	}
	memory, err := t.procMem()
	if err != nil {
		r.err = err
		return r
	}
	// The file reads what the task itself can't: stop at the first such byte.
	address, data := segments[0].Address, segments[0].Data
	found, err := t.checkRange(address, uint64(len(data)), procmaps.Read, nil)
	if err != nil {
		r.err = err
		return r
	}
	readable := len(data)
	if found.code != KERN_SUCCESS {
		readable = int(found.address - address)
	}
	clipped := [1]pwrite.Segment{{Address: address, Data: data[:readable]}}
	r.place, r.err = memory.Read(clipped[:])
	if r.err == nil && readable < len(data) {
		r.place, r.found = pwrite.Position{Offset: readable}, found
		return r
	}
	return t.conclude(clipped[:], r, procmaps.Read)
}
