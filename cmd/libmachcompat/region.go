// SPDX-License-Identifier: Apache-2.0

package main

// #include "bridge.h"
import "C"

import (
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// From mach/vm_region.h and mach/vm_statistics.h.
const (
	shareCOW     = 1
	sharePrivate = 2
	shareEmpty   = 3
	shareShared  = 4

	tagMalloc = 1
	tagStack  = 30
)

//export machcompatRegion
func machcompatRegion(name C.uint, address C.uint64_t, countPages C.int, out *C.struct_machcompat_region) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	region, err := task.Region(uint64(address))
	if err != nil {
		return codeOf(err)
	}
	var pages pageCounts
	if countPages != 0 {
		pages = countPagesOf(task.PID(), region.Start, region.Size)
		// Only of a task that lives on was it this process whose pages were counted.
		if err := task.Check(0, 0); err != nil {
			return codeOf(err)
		}
	}
	fillRegion(out, region, pages, countPages != 0)
	return 0
}

func fillRegion(out *C.struct_machcompat_region, region machcompat.Region, pages pageCounts, counted bool) {
	file := region.Mapping.Inode != 0
	*out = C.struct_machcompat_region{
		start:          C.uint64_t(region.Start),
		size:           C.uint64_t(region.Size),
		offset:         C.uint64_t(region.Offset),
		object:         C.uint64_t(objectID(region.Mapping)),
		protection:     C.int32_t(region.Protection),
		max_protection: C.int32_t(region.MaxProtection),
		behavior:       C.int32_t(region.Behavior),
		inheritance:    C.uint32_t(region.Inheritance),
		wired:          C.uint32_t(region.UserWiredCount),
		resident:       C.uint32_t(pages.resident),
		swapped:        C.uint32_t(pages.swapped),
		dirtied:        C.uint32_t(pages.anonymous),
	}
	if region.Shared {
		out.shared = 1
	}
	if region.Reserved {
		out.reserved = 1
	}
	switch region.Mapping.Path {
	case "[heap]":
		out.user_tag = tagMalloc
	case "[stack]":
		out.user_tag = tagStack
	}
	switch {
	case region.Shared:
		out.share_mode = shareShared
	case file:
		out.share_mode = shareCOW
		out.copied = C.uint32_t(pages.anonymous)
	case counted && pages.resident == 0 && pages.swapped == 0:
		out.share_mode = shareEmpty
	default:
		out.share_mode = sharePrivate
	}
	if file {
		out.external_pager = 1
	}
}

// objectID returns a number that regions of one file share, and that those of
// different files, or of none, share only by chance.
func objectID(m procmaps.Mapping) uint64 {
	id := m.Inode ^ uint64(m.Dev.Major)<<52 ^ uint64(m.Dev.Minor)<<32
	if m.Inode == 0 {
		id = m.Start
	}
	// The finalizer of SplitMix64, so that the lower half alone tells them apart too.
	id = (id ^ id>>30) * 0xbf58476d1ce4e5b9
	id = (id ^ id>>27) * 0x94d049bb133111eb
	return id ^ id>>31
}
