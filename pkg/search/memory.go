// SPDX-License-Identifier: Apache-2.0

package search

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// Memory is what is searched: a machcompat.Task is one. It must be safe for concurrent
// use.
type Memory interface {
	// ReadAt reads at an address. It returns how many bytes it has read before the
	// first that can't be read.
	io.ReaderAt
	// ReadBatch fills all segments, or returns an error.
	ReadBatch(segments []pwrite.Segment) error
	// Regions yields what is mapped, in address order. It fails once the process is
	// gone.
	Regions() iter.Seq2[procmaps.Mapping, error]
	// PID is the process, 0 if there is none. Its pagemap tells which pages were
	// never touched, and it may be read by process_vm_readv(2) beside ReadAt.
	PID() int
}

// Range is the addresses from Start up to, but without, End.
type Range struct{ Start, End uint64 }

// span is a part of a mapping that is to be searched.
type span struct {
	start, end uint64
	// runEnd is where the run of spans without a gap ends: a match may begin in one
	// span and end in another.
	runEnd uint64
	// fresh says that a page of it that was never touched is all zeros.
	fresh bool
}

// plan returns the spans of memory that are to be searched, in address order, and the
// bytes of those that were chosen but are left alone.
func plan(m Memory, o Options) (spans []span, left uint64, err error) {
	within := merged(o.Within)
	for mapping, err := range m.Regions() {
		if err != nil {
			return nil, 0, err
		}
		if mapping.Perms&(o.Want|procmaps.Read) != o.Want|procmaps.Read || mapping.Perms&o.Without != 0 {
			continue
		}
		if len(spans) > 0 { // the stack may have grown over the one before meanwhile
			mapping.Start = max(mapping.Start, spans[len(spans)-1].end)
		}
		clip := func(r Range) {
			s := span{start: max(mapping.Start, r.Start), end: min(mapping.End, r.End), fresh: isFresh(mapping)}
			switch {
			case s.start >= s.end:
			case isDevice(mapping):
				left += s.end - s.start
			default:
				spans = append(spans, s)
			}
		}
		if len(o.Within) == 0 {
			clip(Range{mapping.Start, mapping.End})
			continue
		}
		i, _ := slices.BinarySearchFunc(within, mapping.Start, func(r Range, address uint64) int { return cmp.Compare(r.End, address+1) })
		for ; i < len(within) && within[i].Start < mapping.End; i++ {
			clip(within[i])
		}
	}
	for i := len(spans) - 1; i >= 0; i-- {
		spans[i].runEnd = spans[i].end
		if i+1 < len(spans) && spans[i+1].start == spans[i].end {
			spans[i].runEnd = spans[i+1].runEnd
		}
	}
	return spans, left, nil
}

// merged returns the ranges in order, without overlaps.
func merged(ranges []Range) (all []Range) {
	for _, r := range slices.SortedFunc(slices.Values(ranges), func(a, b Range) int { return cmp.Compare(a.Start, b.Start) }) {
		if n := len(all); n > 0 && r.Start <= all[n-1].End {
			all[n-1].End = max(all[n-1].End, r.End)
		} else if r.Start < r.End {
			all = append(all, r)
		}
	}
	return all
}

// isDevice reports whether a read may do more than read, or never end: memory of
// devices, and what the kernel shows the process of itself.
func isDevice(m procmaps.Mapping) bool {
	switch {
	case strings.HasPrefix(m.Path, "[v"): // [vvar], [vsyscall] and others, but [vdso] is code
		return m.Path != "[vdso]"
	case strings.HasPrefix(m.Path, "/dev/"):
		return !strings.HasPrefix(m.Path, "/dev/shm/") && !strings.HasPrefix(m.Path, "/dev/zero") && !strings.HasPrefix(m.Path, "/dev/hugepages/")
	}
	return strings.HasPrefix(m.Path, "/sys/") || strings.HasPrefix(m.Path, "/proc/")
}

// isFresh reports whether pages of a mapping are zeros until they are touched: private
// memory without a file, and shared memory. To read a page of that makes it, so that a
// search of a large and sparse one would fill the memory of the machine. What another
// process has put into a page that this one never touched is taken for zeros.
func isFresh(m procmaps.Mapping) bool {
	if m.Shared {
		return m.Dev.Major == 0 && slices.ContainsFunc([]string{"/memfd:", "/dev/shm/", "/dev/zero", "/SYSV"}, func(of string) bool {
			return strings.HasPrefix(m.Path, of)
		})
	}
	return m.Inode == 0 && (m.Path == "" || m.Path == "[heap]" || m.Path == "[stack]" || strings.HasPrefix(m.Path, "[anon:"))
}

var pageSize = uint64(os.Getpagesize())

// pagemap is /proc/PID/pagemap: 64 bits for each page.
type pagemap struct {
	file *os.File
	fd   uintptr
}

// openPagemap returns one that says nothing where there is none.
func openPagemap(pid int) pagemap {
	if pid <= 0 {
		return pagemap{}
	}
	file, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	if err != nil {
		return pagemap{}
	}
	return pagemap{file, file.Fd()}
}

func (p pagemap) close() {
	if p.file != nil {
		p.file.Close()
	}
}

// untouched sets those of pages, which begin with that of an address, that were never
// touched. The buffer, of 8 bytes for each page, and the regions, of one for every two
// pages, are for the answer of the kernel.
func (p pagemap) untouched(pages []bool, buffer []byte, regions []linux.PageRegion, address uint64) {
	clear(pages)
	if p.file == nil || len(pages) == 0 {
		return
	}
	address -= address % pageSize
	if !p.scan(pages, regions, address) {
		p.read(pages, buffer, address)
	}
}

// scan asks by the ioctl, which takes a fifth as long because it does not look at who
// else has a page.
func (p pagemap) scan(pages []bool, regions []linux.PageRegion, address uint64) bool {
	n, err := linux.ScanPagemap(int(p.fd), address, address+uint64(len(pages))*pageSize, linux.PAGE_IS_PRESENT|linux.PAGE_IS_SWAPPED, regions)
	if err != nil {
		return false
	}
	for i := range pages {
		pages[i] = true
	}
	for _, r := range regions[:n] {
		clear(pages[(r.Start-address)/pageSize : (r.End-address)/pageSize])
	}
	return true
}

// read reads the words of the pages.
func (p pagemap) read(pages []bool, buffer []byte, address uint64) {
	const (
		present  = 1 << 63 // of Documentation/admin-guide/mm/pagemap.rst
		swapped  = 1 << 62
		wordSize = 8
	)
	offset := address / pageSize * wordSize
	if int64(offset) < 0 {
		return
	}
	n, _ := p.file.ReadAt(buffer[:len(pages)*wordSize], int64(offset))
	for i := range pages[:n/wordSize] {
		pages[i] = binary.NativeEndian.Uint64(buffer[i*wordSize:])&(present|swapped) == 0
	}
}
