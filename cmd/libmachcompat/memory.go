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
	at, err := readIntoNew(task, uint64(address), uint64(size))
	if err == nil {
		*data = C.uint64_t(at)
	}
	return codeOf(err)
}

//export machcompatReadEntry
func machcompatReadEntry(name C.uint, address, size C.uint64_t, data *C.uint64_t) C.int {
	task, code := taskOf(name)
	if code != 0 {
		return code
	}
	at, err := readIntoNew(task, uint64(address), uint64(size))
	if err == nil {
		*data = C.uint64_t(at)
	}
	return codeOf(err)
}

// errNoRoom is this process's own want of memory.
var errNoRoom = &machcompat.Error{Op: "vm_read", Code: machcompat.KERN_RESOURCE_SHORTAGE, Err: unix.ENOMEM}

// readIntoNew reads size bytes of a task into new memory of this process, at 0 if
// there are none. As on macOS, two pages and more begin where they began in their page,
// and less begins with a page.
func readIntoNew(task *machcompat.Task, address, size uint64) (uint64, error) {
	if size == 0 {
		return 0, task.ReadOverwrite(address, nil)
	}
	page := machcompat.HostPageSize()
	offset := uint64(0)
	if size >= 2*page {
		offset = address & (page - 1)
	}
	if size > math.MaxInt-2*page {
		return 0, errNoRoom
	}
	room := (offset + size + page - 1) &^ (page - 1)
	// Without MAP_NORESERVE a range that isn't there, but large, would be refused
	// for the want of memory.
	const flags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE
	buffer, err := unix.MmapPtr(-1, 0, nil, uintptr(room), unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		return 0, errNoRoom
	}
	start := uint64(uintptr(buffer))
	// Where this task's own memory has a hole, the kernel may have put the buffer
	// into it, and then what is read would be the buffer.
	inHole := task.PID() == ownPID && start < address+size && address < start+room
	if !inHole {
		err = task.ReadOverwrite(address, unsafe.Slice((*byte)(buffer), room)[offset:][:size])
	}
	if err != nil || inHole {
		unix.MunmapPtr(buffer, uintptr(room))
	}
	if inHole {
		if err = task.CheckRead(address, size); err == nil { // another thread has mapped it since
			err = &machcompat.Error{Op: "vm_read", PID: ownPID, Address: address, Size: size, Code: machcompat.KERN_INVALID_ADDRESS}
		}
	}
	return start + offset, err
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

// ignoredFlags are those of vm_allocate, vm_map and vm_remap, from mach/vm_statistics.h, that only say
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

// bytesOf returns the bytes of numbers, as C has them in memory.
func bytesOf(numbers []int32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(numbers))), len(numbers)*4)
}
