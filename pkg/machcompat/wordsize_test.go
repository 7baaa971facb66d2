// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"cmp"
	"runtime"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// eachWordSize runs f as a subtest for a target with words of each size.
func eachWordSize(t *testing.T, f func(t *testing.T, target *testtarget.Target, goarch string)) {
	for _, goarch := range []string{"", "386", "amd64"} {
		if goarch == runtime.GOARCH {
			continue // as the first
		}
		t.Run(cmp.Or(goarch, "own"), func(t *testing.T) {
			if goarch != "" {
				testtarget.Need(t, goarch)
			}
			f(t, testtarget.StartBinary(t, testtarget.Build(t, goarch)), goarch)
		})
	}
}

// A 64-bit writer and a 32-bit target, and where these tests run as a 32-bit
// program the other way round.
func TestTargetOfAnotherWordSize(t *testing.T) {
	eachWordSize(t, func(t *testing.T, target *testtarget.Target, goarch string) {
		for _, source := range []procmaps.Source{procmaps.Auto, procmaps.Text} {
			for _, c := range []struct {
				layout string
				offset uint64
				want   machcompat.KernReturn
			}{
				{"rw-:2", pageSize - 6, machcompat.KERN_SUCCESS},
				{"rw-:1,r--:1", pageSize - 6, machcompat.KERN_PROTECTION_FAILURE},
				{"rw-:1,gap:1", pageSize - 6, machcompat.KERN_INVALID_ADDRESS},
				{"---:1", 0, machcompat.KERN_PROTECTION_FAILURE},
			} {
				for _, options := range [][]machcompat.Option{nil, {machcompat.WithStop(machcompat.StopAlways)}, {machcompat.Atomic()}, {machcompat.WithBackend(machcompat.ProcMem)}} {
					task := taskFor(t, target.PID, append(options, machcompat.WithMapSource(source))...)
					at := target.Address("layout %s", c.layout) + c.offset
					data := []byte("0123456789ab")
					if code := machcompat.CodeOf(task.Write(at, data)); code != c.want {
						t.Errorf("write of 12 bytes at %s+%d = %s; want %s", c.layout, c.offset, code.String(), c.want.String())
					}
					if goarch == "386" {
						for _, beyond := range []uint64{1<<32 - 2, 1<<32 - 1, 1 << 32, at | 1<<32, 1 << 40} {
							if code := machcompat.CodeOf(task.Write(beyond, []byte("wrap"))); code != machcompat.KERN_INVALID_ADDRESS {
								t.Errorf("write at %#x = %s; want KERN_INVALID_ADDRESS", beyond, code.String())
							}
						}
					}
					if c.want == machcompat.KERN_SUCCESS {
						if got := target.Bytes(at, len(data)); string(got) != string(data) {
							t.Errorf("%q is there; want %q", got, data)
						}
						read := make([]byte, len(data))
						if n, err := task.ReadAt(read, int64(at)); n != len(data) || err != nil || string(read) != string(data) {
							t.Errorf("ReadAt = %d, %v, %q", n, err, read)
						}
					}
				}
			}
		}
		if isTraced(t, target.PID) {
			t.Error("the target is still traced")
		}
	})
}

// An address that the task's word can't hold is not cut to one that it can.
func TestAddressesBeyondTheWordOfA32BitTask(t *testing.T) {
	testtarget.Need(t, "386")
	target := testtarget.StartBinary(t, testtarget.Build(t, "386"))
	task := taskFor(t, target.PID)
	base := target.Address("layout rw-:1")
	before := target.Bytes(base, int(pageSize))
	beyond := base + 1<<32
	for _, flags := range []int{machcompat.VM_FLAGS_FIXED, machcompat.VM_FLAGS_FIXED | machcompat.VM_FLAGS_OVERWRITE} {
		_, err := task.Allocate(beyond, pageSize, flags)
		wantError(t, err, machcompat.KERN_INVALID_ADDRESS)
	}
	_, err := task.Allocate(0, 1<<32+pageSize, machcompat.VM_FLAGS_ANYWHERE)
	wantError(t, err, machcompat.KERN_NO_SPACE)
	_, err = task.Allocate(1<<32-pageSize, pageSize, machcompat.VM_FLAGS_FIXED) // which the word holds, but the kernel keeps
	wantError(t, err, machcompat.KERN_INVALID_ADDRESS)
	wantError(t, task.Deallocate(beyond, pageSize), machcompat.KERN_INVALID_ARGUMENT)
	wantError(t, task.Protect(beyond, pageSize, false, machcompat.VM_PROT_NONE), machcompat.KERN_INVALID_ADDRESS)
	if after := target.Bytes(base, int(pageSize)); string(after) != string(before) {
		t.Error("the page that the cut address means was changed")
	}
	if got := permsAt(t, task, base, 1); got != "rw-" {
		t.Errorf("the page that the cut address means is %s; want rw-", got)
	}
}
