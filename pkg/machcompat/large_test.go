//go:build amd64 || arm64

package machcompat_test

import (
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

func TestWriteOfMoreThanOneCallMoves(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 3 GiB")
	}
	const size = 3 << 30
	// Untouched memory of ours reads as zeros and costs nothing.
	data, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(data)
	marks := []int{0, 1<<31 - 4097, 1<<31 - 4096, 1 << 31, size - 1}
	for _, at := range marks {
		data[at] = 0xEE
	}
	for _, backend := range []machcompat.Backend{machcompat.ProcessVM, machcompat.ProcMem} {
		t.Run(backend.String(), func(t *testing.T) {
			target := testtarget.Start(t)
			defer target.End()
			task := taskFor(t, target.PID, machcompat.WithBackend(backend))
			base := target.Address("map rw- %d", size/4096)
			if err := task.Write(base, data); err != nil {
				t.Fatal(err)
			}
			for _, at := range marks {
				if got := target.Bytes(base+uint64(at), 1); got[0] != 0xEE {
					t.Errorf("byte %#x is %#x; want 0xee", at, got[0])
				}
			}
			target.Do("unmap %#x 4096", base+size-4096)
			e := wantError(t, task.Write(base, data), machcompat.KERN_INVALID_ADDRESS)
			if e.Fault != base+size-4096 || e.Partial {
				t.Errorf("fault at %#x, partial %v; want %#x and nothing written", e.Fault, e.Partial, base+size-4096)
			}
		})
	}
}

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
