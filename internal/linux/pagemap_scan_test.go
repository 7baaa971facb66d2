// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestPagemapScanHasTheKernelsLayout(t *testing.T) {
	if size := unsafe.Sizeof(pmScanArg{}); size != 96 {
		t.Errorf("struct pm_scan_arg is %d bytes; want 96", size)
	}
	if size := unsafe.Sizeof(PageRegion{}); size != 24 {
		t.Errorf("struct page_region is %d bytes; want 24", size)
	}
	const direction, nr, kind = 3, 16, 'f'
	if want := uint32(direction<<30 | 96<<16 | kind<<8 | nr); uint32(PAGEMAP_SCAN) != want {
		t.Errorf("PAGEMAP_SCAN = %#x; want _IOWR('f', 16, 96 bytes) = %#x", uint32(PAGEMAP_SCAN), want)
	}
}

func TestScanPagemap(t *testing.T) {
	page := os.Getpagesize()
	memory, err := unix.Mmap(-1, 0, 8*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	unix.Madvise(memory, unix.MADV_NOHUGEPAGE) // EINVAL where the kernel has none
	memory[1*page], memory[2*page], memory[5*page] = 1, 1, 1
	base := uint64(AddressOf(memory))
	pagemap, err := os.Open("/proc/self/pagemap")
	if err != nil {
		t.Fatal(err)
	}
	defer pagemap.Close()
	regions := make([]PageRegion, 4)
	n, err := ScanPagemap(int(pagemap.Fd()), base, base+uint64(8*page), PAGE_IS_PRESENT|PAGE_IS_SWAPPED, regions)
	if err == unix.ENOTTY {
		return // before Linux 6.7
	}
	if err != nil || n != 2 {
		t.Fatalf("ScanPagemap = %d, %v; want 2 regions", n, err)
	}
	for i, pages := range [][2]int{{1, 3}, {5, 6}} {
		if r := regions[i]; r.Start != base+uint64(pages[0]*page) || r.End != base+uint64(pages[1]*page) || r.Categories&(PAGE_IS_PRESENT|PAGE_IS_SWAPPED) == 0 {
			t.Errorf("region %d is %#x-%#x, %#x; want pages %d to %d of %#x", i, r.Start, r.End, r.Categories, pages[0], pages[1], base)
		}
	}
}
