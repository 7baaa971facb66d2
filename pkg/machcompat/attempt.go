package machcompat

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"sync/atomic"

	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// way is how a write is made.
type way struct {
	backend Backend // ProcessVM or ProcMem
	stop    bool    // with the target's threads stopped
	// lapsed is set when the stop ended before the write did (see boundStop).
	lapsed *atomic.Bool
}

// chooseWay applies the options.
func (t *Task) chooseWay() way {
	if t.settings.backend == ProcMem || (t.settings.backend == Auto && t.vmRefused.Load()) {
		return t.memWay()
	}
	return way{backend: ProcessVM, stop: t.settings.atomic || t.settings.stop == StopAlways}
}

// wayFor is chooseWay for segments of which a word of this machine may not hold
// every address: a 32-bit program reaches those through /proc/PID/mem alone.
func (t *Task) wayFor(segments []pwrite.Segment) way {
	w := t.chooseWay()
	if bits.UintSize == 64 || w.backend != ProcessVM || t.settings.backend != Auto {
		return w
	}
	for _, s := range segments {
		if s.Address+uint64(len(s.Data)) > math.MaxUint32 {
			return t.memWay()
		}
	}
	return w
}

// memWay is the way through /proc/PID/mem. The target is stopped for it, unless
// the kernel makes that file keep to the protection.
func (t *Task) memWay() way {
	stop := t.settings.atomic || t.settings.stop == StopAlways
	if t.settings.stop == StopAuto && !stop {
		stop = memIgnoresProtection() || procstatus.IsOwnThread(procstatus.TracerOf(t.pid))
	}
	return way{backend: ProcMem, stop: stop}
}

// processVMLeavesStaleCode is true where process_vm_writev does not synchronise
// the instruction cache with what it wrote, and /proc/PID/mem does.
var processVMLeavesStaleCode = runtime.GOARCH != "amd64" && runtime.GOARCH != "386"

// otherWay says whether the write is to be made again in another way, because
// process_vm_writev is refused here, not fit for code, or does not find the task.
func (t *Task) otherWay(w way, r result) (way, bool) {
	switch {
	case r.place != (pwrite.Position{}):
		return w, false
	case r.err == errStaleCode, t.leavesProcessVM(w, r.err):
		return t.memWay(), true
	}
	return w, false
}

// leavesProcessVM reports whether err means that process_vm_writev is of no use
// for this task, so that it goes through /proc/PID/mem from now on.
func (t *Task) leavesProcessVM(w way, err error) bool {
	leaves := t.settings.backend == Auto && w.backend == ProcessVM && (processVMRefused(err) || t.missesThread(err))
	if leaves {
		t.vmRefused.Store(true)
	}
	return leaves
}

// errStaleCode means that code must be written through /proc/PID/mem.
var errStaleCode = errors.New("process_vm_writev leaves stale code in the instruction cache")

// result is how far an attempt to write came.
type result struct {
	found      fault           // what the check found
	place      pwrite.Position // of the first byte that was not written
	afterFault []pwrite.Extent // what was written after it all the same
	err        error           // what ended the attempt before or behind the check
	gone       bool            // all was written, but the address space ended meanwhile
}

func (r result) done() bool { return r.err == nil && r.found.code == KERN_SUCCESS }

// attempt checks and writes in one way.
func (t *Task) attempt(w way, segments []pwrite.Segment) (r result) {
	var memory *pwrite.ProcMem
	if w.backend == ProcMem || t.settings.atomic {
		memory, r.err = t.procMem()
		if errors.Is(r.err, unix.EACCES) && w.backend == ProcessVM {
			r.err = nil // with CAP_SYS_PTRACE alone; what may be written can mostly be read
		}
		if r.err != nil {
			return r
		}
	}
	if w.stop {
		_, release, err := t.stop()
		if err != nil {
			r.err = err
			return r
		}
		if w.backend == ProcessVM {
			w.lapsed, release = t.boundStop(segments, release)
		}
		defer release()
	}
	if r.found, r.err = t.checkSegments(segments, procmaps.Write); !r.done() {
		return r
	}
	if r.found.executable && processVMLeavesStaleCode && w.backend == ProcessVM && t.settings.backend == Auto {
		r.err = errStaleCode
		return r
	}
	if t.settings.atomic {
		return t.writeOrRestore(w, memory, segments)
	}
	r.place, r.err = t.move(w, memory, segments)
	return t.conclude(segments, r, procmaps.Write)
}

// move writes the segments through the backend. It calls each by its own type,
// because what passes through an interface is moved to the heap.
func (t *Task) move(w way, memory *pwrite.ProcMem, segments []pwrite.Segment) (pwrite.Position, error) {
	if w.backend == ProcMem {
		return memory.Write(segments)
	}
	return t.vm.Write(segments)
}

// conclude explains what is missing after a write, or confirms one that is
// whole: process_vm_writev names its target by pid, so if the mappings are gone
// the bytes may have reached another program. (/proc/PID/mem stays with its
// address space, but a write there must not be called a success either when the
// task is no more.)
func (t *Task) conclude(segments []pwrite.Segment, r result, want procmaps.Perms) result {
	if r.err == nil {
		if r.err = t.maps.Alive(); r.err != nil {
			r.gone = true
		}
		return r
	}
	if e, ok := errors.AsType[*pwrite.TransferError](r.err); ok {
		r.afterFault = e.WrittenAfterFault
	}
	if isPageFault(r.err) {
		segment := segments[r.place.Segment]
		offset := uint64(r.place.Offset)
		found, err := t.checkRange(segment.Address+offset, uint64(len(segment.Data))-offset, want, nil)
		switch {
		case err != nil:
			r.err = err
		case found.code != KERN_SUCCESS && found.address == segment.Address+offset:
			r.found = found
			r.found.segment = r.place.Segment
			r.err = errnoOf(r.err)
		default:
			r.found = fault{code: KERN_MEMORY_ERROR, address: segment.Address + offset, segment: r.place.Segment}
			r.err = errnoOf(r.err)
		}
	}
	return r
}

// readRaw reads whatever the protection, if memory is not nil, and else what the
// task itself could read.
func (t *Task) readRaw(memory *pwrite.ProcMem, segments []pwrite.Segment) (pwrite.Position, error) {
	if memory == nil {
		return t.vm.Read(segments)
	}
	return memory.Read(segments)
}

// writeOrRestore writes while the target is stopped, and puts back what was
// written when some of it can't be.
func (t *Task) writeOrRestore(w way, memory *pwrite.ProcMem, segments []pwrite.Segment) (r result) {
	before := make([]pwrite.Segment, len(segments))
	for i, segment := range segments {
		before[i] = pwrite.Segment{Address: segment.Address, Data: make([]byte, len(segment.Data))}
	}
	if place, err := t.readRaw(memory, before); err != nil {
		r.place, r.err = place, err
		r = t.conclude(segments, r, procmaps.Write)
		r.place = pwrite.Position{}
		return r
	}
	r.place, r.err = t.move(w, memory, segments)
	r = t.conclude(segments, r, procmaps.Write)
	if r.done() || r.gone || (r.place == (pwrite.Position{}) && len(r.afterFault) == 0) {
		return r
	}
	if w.lapsed != nil && w.lapsed.Load() {
		r.err = fmt.Errorf("%w, and what was written stays, because the process could not be kept stopped for so long", r.err)
		return r
	}
	if _, err := t.move(w, memory, written(before, r)); err != nil {
		r.err = fmt.Errorf("%w, and what was written could not be put back: %w", r.err, err)
		return r
	}
	r.place, r.afterFault = pwrite.Position{}, nil
	return r
}

// written returns the parts of the segments that an attempt has written.
func written(segments []pwrite.Segment, r result) []pwrite.Segment {
	if r.place.Segment == len(segments) {
		return segments
	}
	last := segments[r.place.Segment]
	parts := append(segments[:r.place.Segment:r.place.Segment], pwrite.Segment{Address: last.Address, Data: last.Data[:r.place.Offset]})
	for _, extent := range r.afterFault {
		at := extent.Address - last.Address
		parts = append(parts, pwrite.Segment{Address: extent.Address, Data: last.Data[at : at+extent.Size]})
	}
	return parts
}
