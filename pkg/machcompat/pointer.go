// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"errors"
	"io"
	"os"
	"strconv"

	"github.com/vmwrite/vmwrite/internal/poller"
	"golang.org/x/sys/unix"
)

// Pointer is an address of the target as its own memory holds it: in a T of
// [ReadValue] and [WriteValue] it takes as many bytes as the target's pointers do.
type Pointer uint64

// PointerSize returns the bytes of a pointer in the target: see [PointerSizeOf].
func (t *Task) PointerSize() int {
	if t.PID() == 0 {
		return strconv.IntSize / 8
	}
	return t.sizeOfPointer()
}

func (p *process) sizeOfPointer() int {
	if p.pointerSize.Load() == 0 {
		p.pointerSize.Store(int32(PointerSizeOf(p.pid)))
	}
	return int(p.pointerSize.Load())
}

// PointerSizeOf returns the bytes of a pointer in the process pid, 4 or 8, by the
// file of its program. What can't be told counts as the machine's own. A Windows
// program of 32 bits in a Wine of 64 bits has pointers of 4 bytes that this file
// does not tell of.
func PointerSizeOf(pid int) int {
	// debug/elf would read all of the program's sections, and takes a tenth of a
	// millisecond to start.
	const class32, class64 = 1, 2 // ELFCLASS32, ELFCLASS64 of elf(5)
	var header [5]byte
	file, err := throughThread(pid, func(id int) (*os.File, error) {
		file, err := poller.Open("/proc/"+strconv.Itoa(id)+"/exe", unix.O_RDONLY)
		if errors.Is(err, unix.ENOENT) { // the first thread has ended
			err = unix.ESRCH
		}
		return file, err
	})
	if err == nil {
		_, err = io.ReadFull(file, header[:])
		file.Close()
	}
	switch {
	case err != nil || string(header[:4]) != "\x7fELF":
	case header[4] == class32:
		return 4
	case header[4] == class64:
		return 8
	}
	return strconv.IntSize / 8
}
