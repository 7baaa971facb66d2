package machcompat_test

import (
	"runtime"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// A 64-bit writer and a 32-bit target, and where these tests run as a 32-bit
// program the other way round.
func TestTargetOfAnotherWordSize(t *testing.T) {
	other, ok := map[string]string{"amd64": "386", "386": "amd64"}[runtime.GOARCH]
	if !ok {
		t.Skipf("%s has no 32-bit programs here", runtime.GOARCH)
	}
	target := testtarget.StartBinary(t, testtarget.Build(t, other))
	for _, reader := range []procmaps.Reader{procmaps.Auto, procmaps.Text} {
		for _, c := range []struct {
			layout string
			offset uint64
			want   machcompat.KernReturn
		}{
			{"rw-:2", 4090, machcompat.KERN_SUCCESS},
			{"rw-:1,r--:1", 4090, machcompat.KERN_PROTECTION_FAILURE},
			{"rw-:1,gap:1", 4090, machcompat.KERN_INVALID_ADDRESS},
			{"---:1", 0, machcompat.KERN_PROTECTION_FAILURE},
		} {
			for _, options := range [][]machcompat.Option{nil, {machcompat.Atomic()}, {machcompat.WithBackend(machcompat.ProcMem)}} {
				task := taskFor(t, target.PID, append(options, machcompat.WithMapReader(reader))...)
				at := target.Address("layout %s", c.layout) + c.offset
				data := []byte("0123456789ab")
				if code := machcompat.CodeOf(task.Write(at, data)); code != c.want {
					t.Errorf("%s target: write of 12 bytes at %s+%d = %s; want %s", other, c.layout, c.offset, code.String(), c.want.String())
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
		task := taskFor(t, target.PID, machcompat.WithMapReader(reader))
		if code := machcompat.CodeOf(task.Write(1<<32-2, []byte("wrap"))); code != machcompat.KERN_INVALID_ADDRESS && other == "386" {
			t.Errorf("write over the end of 32 bits = %s; want KERN_INVALID_ADDRESS", code.String())
		}
	}
}

// An address that the task's word can't hold is not cut to one that it can.
func TestAddressesBeyondTheWordOfA32BitTask(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "386" {
		t.Skipf("%s has no 32-bit programs here", runtime.GOARCH)
	}
	target := testtarget.StartBinary(t, testtarget.Build(t, "386"))
	task := taskFor(t, target.PID)
	base := target.Address("layout rw-:1")
	before := target.Bytes(base, 4096)
	beyond := base + 1<<32
	for _, flags := range []int{machcompat.VM_FLAGS_FIXED, machcompat.VM_FLAGS_FIXED | machcompat.VM_FLAGS_OVERWRITE} {
		_, err := task.Allocate(beyond, 4096, flags)
		wantError(t, err, machcompat.KERN_INVALID_ADDRESS)
	}
	_, err := task.Allocate(0, 1<<32+4096, machcompat.VM_FLAGS_ANYWHERE)
	wantError(t, err, machcompat.KERN_NO_SPACE)
	wantError(t, task.Deallocate(beyond, 4096), machcompat.KERN_INVALID_ARGUMENT)
	wantError(t, task.Protect(beyond, 4096, false, machcompat.VM_PROT_NONE), machcompat.KERN_INVALID_ADDRESS)
	if after := target.Bytes(base, 4096); string(after) != string(before) {
		t.Error("the page that the cut address means was changed")
	}
	if got := permsAt(t, task, base, 1); got != "rw-" {
		t.Errorf("the page that the cut address means is %s; want rw-", got)
	}
}
