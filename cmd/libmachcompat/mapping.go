// SPDX-License-Identifier: Apache-2.0

package main

// #include "bridge.h"
import "C"

import (
	"math"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

//export machcompatMap
func machcompatMap(name C.uint, address *C.uint64_t, size, mask C.uint64_t, flags, object C.uint, prot, most C.int, inheritance C.uint) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	if portName(object) != nullName {
		return C.int(machcompat.KERN_NOT_SUPPORTED)
	}
	at, err := task.Map(machcompat.MapRequest{
		Address: uint64(*address), Size: uint64(size), Mask: uint64(mask),
		// Where the data are in their page is a question of an object.
		Flags:      int(flags &^ (ignoredFlags | machcompat.VM_FLAGS_RETURN_DATA_ADDR)),
		Protection: machcompat.VMProt(prot), MaxProtection: machcompat.VMProt(most), Inheritance: int32(inheritance),
	})
	if err == nil {
		*address = C.uint64_t(at)
	}
	return codeOf(err)
}

//export machcompatRemap
func machcompatRemap(name C.uint, address *C.uint64_t, size, mask C.uint64_t, flags, source C.uint, from C.uint64_t, copied C.int, prot, most *C.int, inheritance C.uint) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	sourceTask, code := taskOf(source)
	if code != 0 {
		return code
	}
	request := machcompat.MapRequest{
		Address: uint64(*address), Size: uint64(size), Mask: uint64(mask),
		Flags: int(flags &^ ignoredFlags), Inheritance: int32(inheritance),
	}
	at, now, ever, err := task.Remap(request, sourceTask, uint64(from), copied != 0)
	if err == nil {
		*address, *prot, *most = C.uint64_t(at), C.int(now), C.int(ever)
	}
	return codeOf(err)
}

//export machcompatInherit
func machcompatInherit(name C.uint, address, size C.uint64_t, inheritance C.uint) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	return codeOf(task.Inherit(uint64(address), uint64(size), int32(inheritance)))
}

//export machcompatBehavior
func machcompatBehavior(name C.uint, address, size C.uint64_t, behavior C.int) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	return codeOf(task.SetBehavior(uint64(address), uint64(size), int32(behavior)))
}

//export machcompatSync
func machcompatSync(name C.uint, address, size C.uint64_t, flags C.uint) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	return codeOf(task.Sync(uint64(address), uint64(size), uint32(flags)))
}

//export machcompatAttribute
func machcompatAttribute(name C.uint, address, size C.uint64_t, attribute C.uint) C.int {
	const cache = 1 // MATTR_CACHE of mach/vm_attributes.h
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	if size != 0 && attribute != cache {
		return C.int(machcompat.KERN_NOT_SUPPORTED)
	}
	return codeOf(task.SyncCode(uint64(address), uint64(size)))
}

//export machcompatPage
func machcompatPage(name C.uint, address C.uint64_t, out *C.struct_machcompat_page) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	page, err := task.Page(uint64(address))
	if err != nil {
		return codeOf(err)
	}
	*out = C.struct_machcompat_page{disposition: C.int32_t(page.Disposition), offset: C.uint64_t(page.Offset)}
	if page.Mapping.End != 0 {
		out.ref_count, out.object = 1, C.uint64_t(objectID(page.Mapping))
	}
	return 0
}

// machcompatPages writes where each page of a range is to an array of this process,
// which has room for *count ints.
//
//export machcompatPages
func machcompatPages(name C.uint, address, size, array C.uint64_t, count *C.uint64_t) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	const entry = 4
	page := machcompat.HostPageSize()
	first, room := uint64(address)&^(page-1), uint64(*count)
	end := uint64(address) + uint64(size) + page - 1
	if room > math.MaxUint64/entry || uint64(array)+room*entry < uint64(array) || uint64(size) > math.MaxUint64-page || end < uint64(address) {
		return C.int(machcompat.KERN_INVALID_ARGUMENT)
	}
	if size == 0 || room == 0 {
		return codeOf(task.Pages(first, nil))
	}
	pages := min((end-first)/page, room)
	us, err := ownTask()
	if err == nil {
		err = us.Check(uint64(array), pages*entry)
	}
	buffer := make([]int32, min(pages, 1<<16))
	for done := uint64(0); err == nil && done < pages; {
		part := buffer[:min(uint64(len(buffer)), pages-done)]
		if err = task.Pages(first+done*page, part); err == nil {
			err = us.Write(uint64(array)+done*entry, bytesOf(part))
		}
		done += uint64(len(part))
	}
	if err == nil {
		*count = C.uint64_t(pages)
	}
	return codeOf(err)
}
