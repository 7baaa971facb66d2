// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

var pageSize = uintptr(os.Getpagesize())

// nextBase is where the next layout goes, if there is room: far from where the kernel
// and the Go runtime put theirs, so that nothing fills the gaps.
var nextBase = func() uintptr {
	if strconv.IntSize == 32 {
		return 0x30000000
	}
	base := uint64(0x100000000000)
	return uintptr(base)
}()

// room returns the first address of so many bytes that are free, as a page before and
// one behind them are: the Go runtime puts its heap anywhere, and so once in a million
// times right there.
func room(size uintptr) (uintptr, error) {
	const tries, step = 8, 1 << 28
	for range tries {
		err := mapAt(nextBase, size+2*pageSize, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE, -1, 0)
		if err == nil {
			base := nextBase
			nextBase += size + pageSize
			return base + pageSize, unix.MunmapPtr(pointerTo(base), size+2*pageSize)
		}
		if !errors.Is(err, unix.EEXIST) {
			return 0, err
		}
		nextBase += step
	}
	return 0, fmt.Errorf("no room for %#x bytes below %#x", size, nextBase)
}

// layout maps what its argument says and fills it with bytes that tell their
// place.
func layout(arguments []string) (string, error) {
	parts, sizes, total := strings.Split(arguments[0], ","), []uintptr{}, uintptr(0)
	for _, part := range parts {
		_, count, ok := strings.Cut(part, ":")
		pages, err := strconv.Atoi(count)
		if !ok || err != nil {
			return "", fmt.Errorf("no layout %q", part)
		}
		sizes = append(sizes, uintptr(pages)*pageSize)
		total += uintptr(pages) * pageSize
	}
	base, err := room(total)
	if err != nil {
		return "", err
	}
	at := base
	for i, part := range parts {
		prot, size := part[:strings.IndexByte(part, ':')], sizes[i]
		if prot != "gap" {
			if err := mapAt(at, size, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE, -1, 0); err != nil {
				return "", err
			}
			// Mappings that are alike become one, unless one flag differs.
			if i%2 == 1 {
				if err := madvise(at, size, unix.MADV_DONTDUMP); err != nil {
					return "", err
				}
			}
			if size <= 1<<20 {
				fill(at, size)
			}
			if err := setProtection(at, size, prot); err != nil {
				return "", err
			}
		}
		at += size
	}
	return fmt.Sprintf("%#x", base), nil
}

// fill writes the low byte of each byte's offset in its page, mixed with the page.
func fill(at, size uintptr) {
	memory := bytesAt(at, size)
	for i := range memory {
		memory[i] = byte(i) ^ byte(i/int(pageSize)+1)
	}
}

func bytesAt(at, size uintptr) []byte {
	return unsafe.Slice((*byte)(pointerTo(at)), size)
}

// pointerTo turns the address of memory that the Go runtime knows nothing of
// into a pointer.
func pointerTo(at uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&at))
}

func mapAt(at, size uintptr, flags, fd int, offset int64) error {
	got, err := unix.MmapPtr(fd, offset, pointerTo(at), size, unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_FIXED_NOREPLACE)
	if err != nil {
		return fmt.Errorf("mmap %#x+%#x: %w", at, size, err)
	}
	if uintptr(got) != at {
		return fmt.Errorf("mmap %#x: got %p", at, got)
	}
	return nil
}

func protection(text string) (prot int, err error) {
	if len(text) != 3 {
		return 0, fmt.Errorf("no protection %q", text)
	}
	for i, bit := range []int{unix.PROT_READ, unix.PROT_WRITE, unix.PROT_EXEC} {
		if text[i] == "rwx"[i] {
			prot |= bit
		}
	}
	return prot, nil
}

func setProtection(at, size uintptr, text string) error {
	prot, err := protection(text)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_MPROTECT, at, size, uintptr(prot)); errno != 0 {
		return fmt.Errorf("mprotect %#x+%#x %s: %w", at, size, text, errno)
	}
	return nil
}

func madvise(at, size uintptr, advice int) error {
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, at, size, uintptr(advice)); errno != 0 {
		return fmt.Errorf("madvise %#x+%#x: %w", at, size, errno)
	}
	return nil
}

func dump(arguments []string) (string, error) {
	at, size, err := addressAndSize(arguments)
	if err != nil {
		return "", err
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		return "", err
	}
	defer memory.Close()
	data := make([]byte, size)
	if _, err = memory.ReadAt(data, int64(at)); errors.Is(err, unix.EIO) { // proc_mem.force_override may be the reason
		err = readAnyway(data, at)
	}
	return hex.EncodeToString(data), err
}

// readAnyway makes memory readable while it reads it.
func readAnyway(data []byte, at uintptr) error {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		var start, end uintptr
		var perms string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &perms); err != nil {
			return err
		}
		start, end = max(start, at&^(pageSize-1)), min(end, (at+uintptr(len(data))+pageSize-1)&^(pageSize-1))
		if start >= end || perms[0] == 'r' {
			continue
		}
		if err := setProtection(start, end-start, "r"+perms[1:3]); err != nil {
			return err
		}
		defer setProtection(start, end-start, perms[:3])
	}
	local := []unix.Iovec{{Base: &data[0]}}
	local[0].SetLen(len(data))
	n, err := unix.ProcessVMReadv(os.Getpid(), local, []unix.RemoteIovec{{Base: at, Len: len(data)}}, 0)
	if err == nil && n < len(data) {
		err = unix.EFAULT
	}
	return err
}

func addressAndSize(arguments []string) (at, size uintptr, err error) {
	if len(arguments) < 2 {
		return 0, 0, fmt.Errorf("want ADDRESS SIZE")
	}
	a, err := strconv.ParseUint(arguments[0], 0, 64)
	if err != nil {
		return 0, 0, err
	}
	s, err := strconv.ParseUint(arguments[1], 0, 64)
	return uintptr(a), uintptr(s), err
}

func mapPages(arguments []string) (string, error) {
	pages, err := strconv.Atoi(arguments[1])
	if err != nil {
		return "", err
	}
	flags := unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE
	if len(arguments) > 2 && arguments[2] == "shared" {
		flags = unix.MAP_SHARED | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE
	}
	return place(uintptr(pages)*pageSize, arguments[0], flags, -1, 0)
}

// place maps size bytes with unmapped pages around them.
func place(size uintptr, prot string, flags, fd int, offset int64) (string, error) {
	at, err := room(size)
	if err != nil {
		return "", err
	}
	if err := mapAt(at, size, flags, fd, offset); err != nil {
		return "", err
	}
	return fmt.Sprintf("%#x", at), setProtection(at, size, prot)
}

func mapAtAddress(arguments []string) (string, error) {
	at, pages, err := addressAndSize([]string{arguments[0], arguments[2]})
	if err != nil {
		return "", err
	}
	if err := mapAt(at, pages*pageSize, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, -1, 0); err != nil {
		return "", err
	}
	return arguments[0], setProtection(at, pages*pageSize, arguments[1])
}

// findMapping reads its own maps with the plainest of means, apart from the code
// under test.
func findMapping(arguments []string) (string, error) {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasSuffix(line, " "+arguments[0]+"\n") {
			start, _, _ := strings.Cut(line, "-")
			return "0x" + start, nil
		}
	}
	return "", fmt.Errorf("no mapping %s", arguments[0])
}

func protect(arguments []string) (string, error) {
	at, size, err := addressAndSize(arguments)
	if err != nil {
		return "", err
	}
	return "", setProtection(at, size, arguments[2])
}

func unmap(arguments []string) (string, error) {
	at, size, err := addressAndSize(arguments)
	if err != nil {
		return "", err
	}
	return "", unix.MunmapPtr(pointerTo(at), size)
}

func guard(arguments []string) (string, error) {
	const guardInstall = 102 // MADV_GUARD_INSTALL of the uapi header asm-generic/mman-common.h
	at, size, err := addressAndSize(arguments)
	if err != nil {
		return "", err
	}
	return "", madvise(at, size, guardInstall)
}

func seal(arguments []string) (string, error) {
	at, size, err := addressAndSize(arguments)
	if err != nil {
		return "", err
	}
	if _, _, errno := unix.Syscall(unix.SYS_MSEAL, at, size, 0); errno != 0 {
		return "", errno
	}
	return "", nil
}

func split(arguments []string) (string, error) {
	count, err := strconv.Atoi(arguments[0])
	if err != nil {
		return "", err
	}
	address, err := place(uintptr(count)*pageSize, "rw-", unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE, -1, 0)
	if err != nil {
		return "", err
	}
	at, err := strconv.ParseUint(address, 0, 64)
	for i := 1; i < count && err == nil; i += 2 {
		err = madvise(uintptr(at)+uintptr(i)*pageSize, pageSize, unix.MADV_DONTDUMP)
	}
	return address, err
}
