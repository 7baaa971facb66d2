// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/vmwrite/vmwrite/internal/poller"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// Where a page is, as [Task.Page] and [Task.Pages] tell it: mach/vm_statistics.h. The
// other bits of that header are of what Linux does not tell.
const (
	VM_PAGE_QUERY_PAGE_PRESENT   = 0x01 // in memory
	VM_PAGE_QUERY_PAGE_DIRTY     = 0x08 // in memory, and in no file
	VM_PAGE_QUERY_PAGE_PAGED_OUT = 0x10 // in the swap space
	VM_PAGE_QUERY_PAGE_COPIED    = 0x20 // of a private mapping of a file, and written since
	VM_PAGE_QUERY_PAGE_EXTERNAL  = 0x80 // a file's, whether in memory or not
)

// Page is what [Task.Page] tells of a page.
type Page struct {
	Disposition int32            // VM_PAGE_QUERY_PAGE_*
	Offset      uint64           // in the file, or in the mapping of no file, of the address
	Mapping     procmaps.Mapping // that the page is of; zero where there is none
}

// Page tells where the page at address is: vm_map_page_query. Where nothing is mapped it
// is nowhere, and that is a success. The error is an [*Error]: KERN_INVALID_ADDRESS for the
// last page of the 64-bit address space, KERN_INVALID_ARGUMENT when the task has ended,
// KERN_FAILURE when /proc/PID/pagemap can't be read.
func (t *Task) Page(address uint64) (page Page, err error) {
	if !t.enter() {
		return Page{}, t.closedError(opPageQuery)
	}
	defer t.leave()
	if rangeWraps(address, 1) {
		return Page{}, t.newError(opPageQuery, address, 1, fault{code: KERN_INVALID_ADDRESS, address: address}, errWraps)
	}
	var disposition [1]int32
	page.Mapping, _, err = t.maps.Find(address)
	if err == nil {
		err = t.pages(address, disposition[:])
	}
	if err != nil {
		return Page{}, t.newError(opPageQuery, address, 1, fault{}, err)
	}
	page.Disposition = disposition[0]
	if page.Mapping.End != 0 {
		page.Offset = page.Mapping.Offset + address - page.Mapping.Start
	}
	return page, nil
}

// Pages tells where the pages from address on are, one after the other:
// mach_vm_page_range_query. The error is that of [Task.Page], and KERN_INVALID_ARGUMENT
// where the pages wrap.
func (t *Task) Pages(address uint64, dispositions []int32) error {
	if !t.enter() {
		return t.closedError(opPageQuery)
	}
	defer t.leave()
	size := uint64(len(dispositions)) * HostPageSize()
	if size == 0 {
		return t.emptyError(opPageQuery, address)
	}
	if rangeWraps(address&^(HostPageSize()-1), size) {
		return t.newError(opPageQuery, address, size, fault{code: KERN_INVALID_ARGUMENT, address: address}, errWraps)
	}
	if err := t.pages(address, dispositions); err != nil {
		return t.newError(opPageQuery, address, size, fault{}, err)
	}
	return nil
}

// pages tells where the pages from that of address on are.
func (p *process) pages(address uint64, dispositions []int32) error {
	clear(dispositions)
	page := HostPageSize()
	start := address &^ (page - 1)
	file, err := p.openPagemap()
	if err != nil {
		return err
	}
	defer file.Close()
	for m, err := range p.maps.Range(start, start+uint64(len(dispositions))*page) {
		if err != nil {
			return err
		}
		first := (max(m.Start, start) - start) / page
		last := min((m.End-start)/page, uint64(len(dispositions)))
		part := dispositions[first:last]
		err := pagemapWords(file, start/page+first, len(part), func(i int, word uint64) { part[i] = dispositionOf(word, m) })
		if err != nil {
			return err
		}
	}
	return p.identity.confirm()
}

// Bits of a word of /proc/PID/pagemap: the kernel's Documentation/admin-guide/mm/pagemap.rst.
const (
	pagePresent   = 1 << 63
	pageSwapped   = 1 << 62
	pageFileOrShm = 1 << 61
)

func dispositionOf(word uint64, m procmaps.Mapping) (disposition int32) {
	inNoFile := word&pageFileOrShm == 0 && word&(pagePresent|pageSwapped) != 0
	switch {
	case word&pagePresent != 0:
		disposition = VM_PAGE_QUERY_PAGE_PRESENT
		if inNoFile {
			disposition |= VM_PAGE_QUERY_PAGE_DIRTY
		}
	case word&pageSwapped != 0:
		disposition = VM_PAGE_QUERY_PAGE_PAGED_OUT
	}
	switch {
	case m.Inode == 0:
	case inNoFile && !m.Shared:
		disposition |= VM_PAGE_QUERY_PAGE_COPIED
	default:
		disposition |= VM_PAGE_QUERY_PAGE_EXTERNAL
	}
	return disposition
}

func (p *process) openPagemap() (*os.File, error) {
	return throughThread(p.pid, func(id int) (*os.File, error) {
		return poller.Open(fmt.Sprintf("/proc/%d/pagemap", id), unix.O_RDONLY)
	})
}

// pagemapWords calls visit with the words of count pages, of which the first has the
// number first. Those of pages that no memory can have are missing.
func pagemapWords(file *os.File, first uint64, count int, visit func(i int, word uint64)) error {
	const word, chunk = 8, 4096
	var buffer [word * chunk]byte
	for done := 0; done < count; {
		n, err := file.ReadAt(buffer[:word*min(chunk, count-done)], int64((first+uint64(done))*word))
		for at := 0; at+word <= n; at += word {
			visit(done, binary.NativeEndian.Uint64(buffer[at:]))
			done++
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
