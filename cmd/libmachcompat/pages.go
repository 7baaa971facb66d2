// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
)

// pageCounts is how many pages of a region are where. anonymous is those of the
// resident ones that stand in no file: never did, or were written since.
type pageCounts struct{ resident, swapped, anonymous uint32 }

// mostCounted is the largest region whose pages are counted. A larger one is an
// address range that someone has reserved, and its pages take seconds to read.
const mostCounted = 64 << 30

// countPagesOf counts the pages of a region by /proc/PID/pagemap (the kernel's
// Documentation/admin-guide/mm/pagemap.rst), which has a word for each. All counts
// are 0 where it can't be read.
func countPagesOf(pid int, start, size uint64) (counts pageCounts) {
	const (
		entry      = 8
		present    = 1 << 63
		swapped    = 1 << 62
		fileOrShm  = 1 << 61
		chunkPages = 8192
	)
	if size > mostCounted {
		return pageCounts{}
	}
	file, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	if err != nil {
		return pageCounts{}
	}
	defer file.Close()
	page := uint64(os.Getpagesize())
	first, end := start/page, (start+size)/page
	if end > math.MaxInt64/entry {
		return pageCounts{}
	}
	buffer := make([]byte, entry*min(chunkPages, end-first))
	for first < end {
		want := entry * min(chunkPages, end-first)
		n, err := file.ReadAt(buffer[:want], int64(first*entry))
		for words := buffer[:n]; len(words) >= entry; words = words[entry:] {
			switch word := binary.NativeEndian.Uint64(words); {
			case word&present != 0:
				counts.resident++
				if word&fileOrShm == 0 {
					counts.anonymous++
				}
			case word&swapped != 0:
				counts.swapped++
			}
		}
		if err != nil {
			break
		}
		first += want / entry
	}
	return counts
}
