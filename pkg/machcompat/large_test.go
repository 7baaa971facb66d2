// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package machcompat_test

import (
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

func TestDataCountOverMach32Bits(t *testing.T) {
	const size = 1<<32 + 1
	data, err := unix.Mmap(-1, 0, size, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(data)
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	base := target.Address("map rw- 1")
	if code := machcompat.VMWrite(task, machcompat.VMAddress(base), data[:1<<32]); code != machcompat.KERN_INVALID_ARGUMENT {
		t.Errorf("VMWrite of 2^32 bytes = %s; want KERN_INVALID_ARGUMENT", code.String())
	}
	if code := machcompat.MachVMWrite(task, machcompat.MachVMAddress(base), data); code != machcompat.KERN_INVALID_ARGUMENT {
		t.Errorf("MachVMWrite of 2^32+1 bytes = %s; want KERN_INVALID_ARGUMENT", code.String())
	}
	// 2^32-1 bytes are counted right: the gap behind the page is what stops them.
	if code := machcompat.VMWrite(task, machcompat.VMAddress(base), data[:1<<32-1]); code != machcompat.KERN_INVALID_ADDRESS {
		t.Errorf("VMWrite of 2^32-1 bytes = %s; want KERN_INVALID_ADDRESS", code.String())
	}
	if code := machcompat.VMWrite(nil, 0, nil); code != machcompat.KERN_INVALID_ARGUMENT {
		t.Errorf("VMWrite(nil) = %s; want KERN_INVALID_ARGUMENT", code.String())
	}
}
