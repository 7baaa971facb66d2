// SPDX-License-Identifier: Apache-2.0

package main

// #include <stdint.h>
import "C"

import (
	"math"
	"unsafe"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// memoryAt returns memory of this process that is not Go's, at an address that C
// gave and that was found to be good: Go stops the program when a false address
// stands where it keeps pointers.
func memoryAt(address uint64, size uint64) []byte {
	if size == 0 {
		return nil
	}
	word := uintptr(address)
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&word)), size)
}

//export machcompatRead
func machcompatRead(name C.uint, address, size C.uint64_t, data *C.uint64_t) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	if uint64(size) > min(math.MaxUint32, math.MaxInt) {
		return C.int(machcompat.KERN_INVALID_ARGUMENT)
	}
	if size == 0 {
		return codeOf(task.ReadOverwrite(uint64(address), nil))
	}
	// Without MAP_NORESERVE a range that isn't there, but large, would be refused
	// for the want of memory.
	const flags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE
	buffer, err := unix.MmapPtr(-1, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		return C.int(machcompat.KERN_RESOURCE_SHORTAGE)
	}
	if err := task.ReadOverwrite(uint64(address), unsafe.Slice((*byte)(buffer), uint64(size))); err != nil {
		unix.MunmapPtr(buffer, uintptr(size))
		return codeOf(err)
	}
	*data = C.uint64_t(uintptr(buffer))
	return 0
}

//export machcompatReadOverwrite
func machcompatReadOverwrite(name C.uint, address, size, data C.uint64_t) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	if size == 0 {
		return codeOf(task.ReadOverwrite(uint64(address), nil))
	}
	us, err := ownTask()
	if err != nil {
		return codeOf(err)
	}
	if err := us.Check(uint64(data), uint64(size)); err != nil {
		// What is wrong with the source comes first.
		if sourceErr := task.CheckRead(uint64(address), uint64(size)); sourceErr != nil {
			return codeOf(sourceErr)
		}
		return codeOf(err)
	}
	return codeOf(task.ReadOverwrite(uint64(address), memoryAt(uint64(data), uint64(size))))
}

//export machcompatWrite
func machcompatWrite(name C.uint, address, data C.uint64_t, size C.uint) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	if size > 0 && !ownReadable(uint64(data), uint64(size)) {
		return C.int(machcompat.MACH_SEND_INVALID_MEMORY)
	}
	return codeOf(task.Write(uint64(address), memoryAt(uint64(data), uint64(size))))
}

//export machcompatCopy
func machcompatCopy(name C.uint, source, size, destination C.uint64_t) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	return codeOf(task.Copy(uint64(source), uint64(size), uint64(destination)))
}

//export machcompatProtect
func machcompatProtect(name C.uint, address, size C.uint64_t, setMaximum, prot C.int) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	return codeOf(task.Protect(uint64(address), uint64(size), setMaximum != 0, machcompat.VMProt(prot)))
}

// ignoredFlags are those of vm_allocate, from mach/vm_statistics.h, that only say
// what the memory is for or how to treat it: a tag in the highest byte, and
// PURGABLE, 4GB_CHUNK, RANDOM_ADDR and NO_CACHE.
const ignoredFlags = 0xFF000000 | 0x02 | 0x04 | 0x08 | 0x10

//export machcompatAllocate
func machcompatAllocate(name C.uint, address *C.uint64_t, size C.uint64_t, flags C.uint) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	got, err := task.Allocate(uint64(*address), uint64(size), int(flags&^ignoredFlags))
	if err == nil {
		*address = C.uint64_t(got)
	}
	return codeOf(err)
}

//export machcompatDeallocate
func machcompatDeallocate(name C.uint, address, size C.uint64_t) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	return codeOf(task.Deallocate(uint64(address), uint64(size)))
}
