// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
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
//   - KERN_MEMORY_ERROR: the map allows the write, but the page cannot be faulted
//     in (beyond the end of its file, a guard region, secret memory);
//   - KERN_RESOURCE_SHORTAGE: no memory for a page;
//   - KERN_NOT_SUPPORTED: the kernel or a sandbox allows no backend;
//   - KERN_FAILURE: the permission was taken away; data itself cannot be read,
//     as a mapping of a file that has become shorter ([pwrite.ErrLocalFault],
//     EFAULT); or anything else, with errno.
//
// Several threads write 16 MiB and more, as many as Go runs at a time
// (GOMAXPROCS), up to 8. If the memory changes between the check and the write,
// Written counts the bytes before the first that is missing, and
// WrittenAfterFault names those that arrived behind it.
//
// Of several offences the first in address order decides. After the first two
// nothing was written. Writing nothing succeeds at any address while the task
// lives. Write does not allocate.
func (t *Task) Write(address uint64, data []byte) error {
	segments := [1]pwrite.Segment{{Address: address, Data: data}}
	return t.WriteBatch(segments[:])
}

// WriteBatch writes all segments or none: it checks every one before it writes
// the first, in their order. Segments may overlap; the later one's bytes stay.
// Errors are those of [Task.Write], for the first segment that fails. If the
// memory changes between the check and the write, what was written before the
// failure stays, and the error says which bytes that is, unless the task is
// [Atomic].
func (t *Task) WriteBatch(segments []Segment) error {
	if !t.enter() {
		return t.closedError(opWrite)
	}
	defer t.leave()
	return t.write(scope{}, segments, t.settings.atomic)
}

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
// mappings, without writing. It is no promise: the task may change them at once.
func (t *Task) Check(address, size uint64) error {
	return t.check(opWrite, address, size, procmaps.Write)
}

// write is the path of every write: plan, check, transfer, verify. s is the stop
// that it is made in.
func (p *process) write(s scope, segments []pwrite.Segment, atomic bool) error {
	if isEmpty(segments) {
		return p.emptyError(opWrite, firstAddress(segments))
	}
	plan, r := p.plan(segments, atomic)
	if r.done() {
		r = p.attempt(plan, s, segments)
	}
	if !r.done() && p.needsFile(plan, r) {
		if plan, r = p.planFile(atomic); r.done() {
			r = p.attempt(plan, s, segments)
		}
	}
	if r.done() {
		return nil
	}
	return p.transferError(opWrite, plan.backend, segments, r)
}

// backend is what bytes go through: process_vm_writev, by which the kernel finds the
// process by pid and checks protection, or a file that is bound to the address space
// and ignores protection, so that it needs the target stopped.
type backend struct {
	vm   pwrite.ProcessVM
	file *pwrite.ProcMem // nil for vm
}

func (b backend) byPID() bool { return b.file == nil }

// write calls each by its own type, because what passes through an interface is
// moved to the heap.
func (b backend) write(segments []pwrite.Segment) (pwrite.Position, error) {
	if b.byPID() {
		return b.vm.Write(segments)
	}
	return b.file.Write(segments)
}

func (b backend) read(segments []pwrite.Segment) (pwrite.Position, error) {
	if b.byPID() {
		return b.vm.Read(segments)
	}
	return b.file.Read(segments)
}

func (b backend) name() Backend {
	if b.byPID() {
		return ProcessVM
	}
	return ProcMem
}

// writePlan is how a write is made.
type writePlan struct {
	backend backend
	stop    bool // with the target's threads stopped
	atomic  bool // and what was written is put back if not all can be
	// inPage is set for bytes of one page, in a running task. The kernel checks
	// the protection of the page in the write itself and writes such bytes all or
	// not at all, if it can read ours, so there is nothing else to be checked before.
	inPage bool
}

// plan applies the options.
func (p *process) plan(segments []pwrite.Segment, atomic bool) (writePlan, result) {
	if !p.usesProcessVM(segments) {
		return p.planFile(atomic)
	}
	stop := atomic || p.settings.stop == StopAlways
	return writePlan{
		backend: backend{vm: p.vm}, stop: stop, atomic: atomic,
		inPage: !stop && len(segments) == 1 && inOnePage(segments[0].Address, len(segments[0].Data)) && !processVMLeavesStaleCode,
	}, result{}
}

// usesProcessVM reports whether process_vm_writev is to write the segments: not
// one of which a word of this machine can't hold every address.
func (p *process) usesProcessVM(segments []pwrite.Segment) bool {
	if p.settings.backend != Auto || p.vmRefused.Load() {
		return p.settings.backend == ProcessVM
	}
	for i := range segments {
		if segments[i].Address+uint64(len(segments[i].Data)) > math.MaxUint {
			return false
		}
	}
	return true
}

// planFile is plan through /proc/PID/mem. The target is stopped for it, unless
// the kernel makes that file keep to the protection.
func (p *process) planFile(atomic bool) (writePlan, result) {
	file, err := p.procMem()
	stop := atomic || p.settings.stop == StopAlways ||
		(p.settings.stop == StopAuto && (memIgnoresProtection() || procstatus.IsOwnThread(procstatus.TracerOf(p.pid))))
	return writePlan{backend: backend{file: file}, stop: stop, atomic: atomic}, result{err: err}
}

// processVMLeavesStaleCode is true where process_vm_writev does not synchronise
// the instruction cache with what it wrote, and /proc/PID/mem does.
var processVMLeavesStaleCode = runtime.GOARCH != "amd64" && runtime.GOARCH != "386"

// errStaleCode means that code must be written through /proc/PID/mem.
var errStaleCode = errors.New("process_vm_writev leaves stale code in the instruction cache")

// needsFile reports whether the write is to be made again through /proc/PID/mem,
// because process_vm_writev is refused here, not fit for code, or does not find
// the task.
func (p *process) needsFile(plan writePlan, r result) bool {
	return plan.backend.byPID() && r.place == (pwrite.Position{}) && (r.err == errStaleCode || p.leavesProcessVM(r.err))
}

// leavesProcessVM reports whether err means that process_vm_writev is of no use
// for this task, so that it goes through /proc/PID/mem from now on.
func (p *process) leavesProcessVM(err error) bool {
	leaves := p.settings.backend == Auto && (errors.Is(err, pwrite.ErrRefused) ||
		(errors.Is(err, pwrite.ErrNotFound) && p.identity.confirm() == nil)) // its first thread has ended
	if leaves {
		p.vmRefused.Store(true)
	}
	return leaves
}

// memIgnoresProtection reports whether /proc/PID/mem writes to pages that the
// process itself could not write, as every kernel does that was not started
// with proc_mem.force_override=never (or =ptrace, while we do not trace). It is
// tried once, on a read-only page of our own.
var memIgnoresProtection = sync.OnceValue(func() bool {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return true
	}
	defer unix.Munmap(page)
	memory, err := pwrite.OpenProcMem(os.Getpid())
	if err != nil {
		return true
	}
	defer memory.Close()
	_, err = memory.Write([]pwrite.Segment{{Address: uint64(linux.AddressOf(page)), Data: []byte{1}}})
	return err == nil
})

// result is how far an attempt to write or read came.
type result struct {
	found      fault           // what the check found
	place      pwrite.Position // of the first byte that was not moved
	afterFault []pwrite.Extent // what was written behind it all the same
	err        error           // what ended the attempt before or behind the check
	gone       bool            // all was moved, but the address space ended meanwhile
}

func (r result) done() bool { return r.err == nil && r.found.code == KERN_SUCCESS }

// attempt checks, writes and verifies as planned.
func (p *process) attempt(plan writePlan, s scope, segments []pwrite.Segment) (r result) {
	if s.stop == nil && plan.stop {
		if !plan.backend.byPID() {
			if r, made := p.attemptStopped(plan, segments); made {
				return r
			}
		}
		if s.stop, r.err = p.openOwn(segments); r.err != nil {
			return r
		}
		defer s.leave()
	}
	if s.stop != nil {
		if r.err = s.begin(!plan.backend.byPID()); r.err != nil {
			return r
		}
		defer s.done(!plan.backend.byPID())
	} else if r.err = p.identity.confirmRecent(); r.err != nil {
		return r
	}
	if !plan.inPage {
		if r.found, r.err = p.checkSegments(segments, procmaps.Write); !r.done() {
			return r
		}
		if r.found.executable && processVMLeavesStaleCode && plan.backend.byPID() && p.settings.backend == Auto {
			r.err = errStaleCode
			return r
		}
	}
	if plan.atomic {
		return p.writeOrRestore(plan.backend, s, segments)
	}
	if !plan.inPage || !p.writeOnce(&segments[0]) {
		r.place, r.err = plan.backend.write(segments)
	}
	p.verify(segments, &r, procmaps.Write)
	return r
}

// writeOnce writes a segment whole, by one call, or nothing and leaves it to others to
// say why, or to look whether the second page of ours can be read.
func (p *process) writeOnce(s *pwrite.Segment) bool {
	if !inOnePage(uint64(linux.AddressOf(s.Data)), len(s.Data)) {
		return false
	}
	n, err := p.vm.WriteOnce(s.Address, s.Data)
	return err == nil && n == len(s.Data)
}

// verify explains what is missing after a transfer, or confirms one that is whole:
// process_vm_writev names its target by pid, so if the process runs another
// program now, that may have received the bytes. (/proc/PID/mem stays with its
// address space, but a write there must not be called a success either when the
// task is no more.)
func (p *process) verify(segments []pwrite.Segment, r *result, want procmaps.Perms) {
	if r.err == nil {
		r.err = p.identity.confirm()
		r.gone = r.err != nil
		return
	}
	if e, ok := errors.AsType[*pwrite.TransferError](r.err); ok {
		r.afterFault = e.WrittenAfterFault
	}
	segment := &segments[r.place.Segment]
	missing, size := segment.Address+uint64(r.place.Offset), uint64(len(segment.Data)-r.place.Offset)
	beyondWord := errors.Is(r.err, unix.EOVERFLOW) // of this program, or of all
	if !isPageFault(r.err) && !beyondWord {
		return
	}
	r.err = errnoOf(r.err)
	found, err := p.checkRange(missing, size, want, nil)
	switch {
	case err != nil:
		r.err = err
	case found.code != KERN_SUCCESS && found.address == missing:
		r.found = found
	case beyondWord:
		return
	default:
		r.found = fault{code: KERN_MEMORY_ERROR, address: missing}
	}
	r.found.segment = r.place.Segment
}

// writeOrRestore writes while the target is stopped, and puts back what was
// written when some of it can't be.
func (p *process) writeOrRestore(b backend, s scope, segments []pwrite.Segment) (r result) {
	buffer, err := allocate(pwrite.Position{Segment: len(segments)}.Moved(segments))
	if err != nil {
		r.err = err
		return r
	}
	before := make([]pwrite.Segment, len(segments))
	for i, segment := range segments {
		before[i] = pwrite.Segment{Address: segment.Address, Data: buffer[:len(segment.Data):len(segment.Data)]}
		buffer = buffer[len(segment.Data):]
	}
	raw, err := p.rawMemory()
	if err == nil {
		r.place, err = raw.read(before)
	}
	if err != nil {
		r.err = err
		p.verify(segments, &r, procmaps.Write)
		r.place = pwrite.Position{}
		return r
	}
	r.place, r.err = b.write(segments)
	p.verify(segments, &r, procmaps.Write)
	if r.done() || r.gone || (r.place == (pwrite.Position{}) && len(r.afterFault) == 0) {
		return r
	}
	if b.byPID() && !s.alone && s.hasExpired() != nil {
		r.err = fmt.Errorf("%w, and what was written stays, because the process could not be kept stopped for so long", r.err)
		return r
	}
	if _, err := b.write(written(before, r)); err != nil {
		r.err = fmt.Errorf("%w, and what was written could not be put back: %w", r.err, err)
		return r
	}
	r.place, r.afterFault = pwrite.Position{}, nil
	return r
}

// rawMemory reads and writes whatever the protection, where the file can be opened
// for that: that of another user can't with CAP_SYS_PTRACE alone.
func (p *process) rawMemory() (backend, error) {
	file, err := p.procMem()
	if errors.Is(err, unix.EACCES) && p.settings.backend != ProcMem {
		err = nil
	}
	return backend{vm: p.vm, file: file}, err
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

// inOnePage reports whether there are bytes and all lie in one page, so that one
// mapping and one protection decide about them.
func inOnePage(address uint64, size int) bool {
	page := uint64(os.Getpagesize())
	return size > 0 && address&(page-1)+uint64(size) <= page && !rangeWraps(address, uint64(size))
}
