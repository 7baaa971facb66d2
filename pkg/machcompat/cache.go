// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"errors"
	"os"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// SyncCode makes the bytes at address what the task's threads execute there:
// vm_machine_attribute with MATTR_CACHE. The processors of x86 do that themselves. Others
// need it for code that was written while it was not executable; what [Task.Write] writes
// to executable memory is executed in any case.
//
// In this process that is done by instructions for the cache. In another it is the
// kernel that does it, when a tracer writes: all threads are stopped, and the pages of
// private executable memory that are in no file are written by the bytes that they hold.
//
// The error is an [*Error]: KERN_INVALID_ADDRESS for a range that wraps; KERN_FAILURE where
// some of it is not mapped, as on Mach; KERN_NOT_SUPPORTED for executable memory that another
// process shares, on other processors than those of x86, and where the kernel refuses such a
// write; KERN_INVALID_ARGUMENT when the task has ended. Size 0 succeeds.
func (t *Task) SyncCode(address, size uint64) error {
	if !t.enter() {
		return t.closedError(opAttribute)
	}
	defer t.leave()
	fail := func(code KernReturn, at uint64, err error) error {
		return t.newError(opAttribute, address, size, fault{code: code, address: at}, err)
	}
	if size == 0 {
		return t.emptyError(opAttribute, address)
	}
	if rangeWraps(address, size) {
		return fail(KERN_INVALID_ADDRESS, address, errWraps)
	}
	start, end := pageRange(address, size)
	mapped, hole, err := t.mappingsOf(start, end)
	if err == nil {
		err = t.identity.confirm()
	}
	if gap, ok := errors.AsType[*gapError](hole); ok && err == nil {
		return fail(KERN_FAILURE, gap.address, hole)
	}
	if err == nil {
		switch {
		case t.pid == os.Getpid():
			err = syncOwnCode(mapped)
		case processVMLeavesStaleCode:
			err = t.syncCode(start, end)
		}
	}
	return t.callError(opAttribute, address, size, err)
}

func syncOwnCode(mapped []procmaps.Mapping) error {
	for _, m := range mapped {
		if m.Perms&procmaps.Read == 0 {
			continue
		}
		if err := linux.SyncCode(m.Start, m.End-m.Start); err != nil {
			return err
		}
	}
	return nil
}

// syncCode does so in another process. Pages of a file were not written, or else they
// would be in no file.
func (p *process) syncCode(start, end uint64) error {
	s := scope{}
	var err error
	if s.stop, err = p.openOwn(nil); err != nil {
		return err
	}
	defer s.leave()
	if err := s.begin(true); err != nil {
		return err
	}
	defer s.done(true)
	raw, err := p.rawMemory()
	if err != nil {
		return err
	}
	if raw.file == nil {
		return pwrite.ErrRefused
	}
	mapped, _, err := p.mappingsOf(start, end)
	if err != nil {
		return err
	}
	page := HostPageSize()
	bytes := make([]byte, page)
	for _, m := range mapped {
		if m.Perms&procmaps.Execute == 0 {
			continue
		}
		if m.Shared {
			return p.newError(opAttribute, m.Start, m.End-m.Start, fault{code: KERN_NOT_SUPPORTED, address: m.Start}, errors.New("others may be writing to shared memory"))
		}
		dispositions := make([]int32, (m.End-m.Start)/page)
		if err := p.pages(m.Start, dispositions); err != nil {
			return err
		}
		for i, disposition := range dispositions {
			if disposition&VM_PAGE_QUERY_PAGE_DIRTY == 0 {
				continue
			}
			same := []pwrite.Segment{{Address: m.Start + uint64(i)*page, Data: bytes}}
			if _, err := raw.read(same); err != nil {
				return err
			}
			if _, err := raw.file.Write(same); err != nil {
				return p.newError(opAttribute, m.Start, m.End-m.Start, fault{code: KERN_NOT_SUPPORTED, address: same[0].Address}, err)
			}
		}
	}
	return nil
}
