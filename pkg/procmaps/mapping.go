// SPDX-License-Identifier: Apache-2.0

// Package procmaps tells what is mapped where in a process, and with which
// protection.
//
// It reads /proc/PID/maps from one of two sources that give the same answers: by
// the PROCMAP_QUERY ioctl, which answers for one address without reading the
// rest, and by the text. See proc_pid_maps(5) and the uapi header linux/fs.h.
package procmaps

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Perms is the set of accesses that a mapping allows. Its bits are those of
// PROT_READ, PROT_WRITE and PROT_EXEC in mmap(2), which are also Mach's
// VM_PROT_READ, VM_PROT_WRITE and VM_PROT_EXECUTE.
type Perms uint8

// The accesses that a mapping can allow.
const (
	Read    Perms = unix.PROT_READ
	Write   Perms = unix.PROT_WRITE
	Execute Perms = unix.PROT_EXEC
)

// String returns the three characters that /proc/PID/maps prints, as "rw-".
func (p Perms) String() string {
	text := [3]byte{'-', '-', '-'}
	for i, bit := range [3]Perms{Read, Write, Execute} {
		if p&bit != 0 {
			text[i] = "rwx"[i]
		}
	}
	return string(text[:])
}

// Span is the part of a [Mapping] that a check of access needs. It is what the
// kernel tells without looking up a name, and holds no pointer.
type Span struct {
	Start uint64 // address of the first byte
	End   uint64 // address after the last byte; always above Start
	Perms Perms
	// Shared is true for a mapping whose writes other processes, or a file,
	// see: the 's' of /proc/PID/maps.
	Shared bool
}

// Contains reports whether address lies inside the span.
func (s Span) Contains(address uint64) bool { return s.Start <= address && address < s.End }

// Mapping is one line of /proc/PID/maps.
type Mapping struct {
	Start  uint64 // address of the first byte
	End    uint64 // address after the last byte; always above Start
	Perms  Perms  // those of the line, but for [vvar] of a [Maps]
	Shared bool   // 's' in /proc/PID/maps: writes are seen by other processes or a file
	Offset uint64 // byte in the file that Start maps; all 64 bits are used
	Dev    Dev    // device of the file, 0:0 when there is none
	Inode  uint64 // inode of the file, 0 when there is none
	// Path is the name as /proc/PID/maps prints it: a file's path, with a
	// newline in it shown as \012 and " (deleted)" behind it when the file is
	// gone, or a name in brackets such as [heap], or nothing.
	Path string
}

// Dev is a device number, in the halves that /proc/PID/maps prints.
type Dev struct{ Major, Minor uint32 }

// Span returns the part of m that holds no name.
func (m Mapping) Span() Span {
	return Span{Start: m.Start, End: m.End, Perms: m.Perms, Shared: m.Shared}
}

// Contains reports whether address lies inside the mapping.
func (m Mapping) Contains(address uint64) bool { return m.Start <= address && address < m.End }

// IsKernelData reports whether the mapping is data of the kernel, [vvar] or
// [vvar_vclock], that only the code of [vdso] in the process itself can read.
func (m Mapping) IsKernelData() bool { return isKernelData(m.Path, m.Inode) }

// isKernelData tells by the name. A file may have such a one, but it has an inode too,
// and a name that a program gives to memory stands in [anon:...].
func isKernelData[T string | []byte](name T, inode uint64) bool {
	const prefix = "[vvar"
	return inode == 0 && len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix
}

// PermsText returns the four characters that /proc/PID/maps prints, as "rw-p".
func (m Mapping) PermsText() string {
	if m.Shared {
		return m.Perms.String() + "s"
	}
	return m.Perms.String() + "p"
}

// nameColumn is where the kernel starts a name unless the numbers before it
// already reach further.
const nameColumn = 73

// String returns m as its line in /proc/PID/maps, without the newline.
func (m Mapping) String() string {
	head := fmt.Sprintf("%08x-%08x %s %08x %02x:%02x %d ",
		m.Start, m.End, m.PermsText(), m.Offset, m.Dev.Major, m.Dev.Minor, m.Inode)
	if m.Path == "" {
		return head
	}
	if pad := nameColumn - len(head); pad > 0 {
		head += strings.Repeat(" ", pad)
	}
	return head + m.Path
}
