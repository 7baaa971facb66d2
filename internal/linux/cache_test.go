// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSyncCode(t *testing.T) {
	page := os.Getpagesize()
	data, err := unix.Mmap(-1, 0, 3*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(data)
	for i := range data {
		data[i] = byte(i)
	}
	var known error
	switch runtime.GOARCH {
	case "amd64", "386", "arm64":
	default:
		known = unix.ENOSYS
	}
	start := uint64(AddressOf(data))
	for _, part := range [][2]int{{0, 3 * page}, {1, 1}, {page - 1, 2}, {0, 0}} {
		err := SyncCode(start+uint64(part[0]), uint64(part[1]))
		if err != known && part[1] != 0 {
			t.Errorf("SyncCode of %d bytes from %d on = %v; want %v", part[1], part[0], err, known)
		}
	}
	for i := range data {
		if data[i] != byte(i) {
			t.Fatalf("byte %d is %d", i, data[i])
		}
	}
	if runtime.GOARCH != "arm64" {
		return
	}
	if err := Munmap(start+uint64(page), uint64(page)); err != nil {
		t.Fatal(err)
	}
	// An emulated processor may not look at what is mapped; a fault is no end of the program.
	if err := SyncCode(start, 3*uint64(page)); err != unix.EFAULT && err != nil {
		t.Errorf("SyncCode of what is not mapped = %v; want EFAULT", err)
	}
}
