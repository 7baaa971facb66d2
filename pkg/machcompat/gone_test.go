// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"errors"
	"os"
	"testing"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// A process that runs another program between the check and the write: the
// kernel writes by pid and says that all went well.
func TestWholeWriteIntoAnotherAddressSpaceIsNoSuccess(t *testing.T) {
	target := testtarget.Start(t)
	task, err := TaskForPID(target.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer task.Close()
	segments := []pwrite.Segment{{Address: 0x1000, Data: []byte("stray")}}
	if answer := target.Try("execself"); answer != "ready" {
		t.Fatal(answer)
	}
	result := result{place: pwrite.Position{Segment: 1}}
	task.verify(segments, &result, procmaps.Write)
	if result.done() || !result.gone {
		t.Fatalf("the write counts as done: %+v", result)
	}
	err = task.transferError(opWrite, backend{vm: task.vm}, segments, result)
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != KERN_INVALID_ARGUMENT || e.Fault != 0x1000 || !errors.Is(err, unix.ESRCH) {
		t.Errorf("the error is %#v", err)
	}
}

// Code is written through /proc/PID/mem where process_vm_writev would leave the
// old instructions in the cache. The choice is made by the architecture; the path
// that follows from it is the same on each.
func TestCodeIsWrittenThroughMemForTheCache(t *testing.T) {
	defer func(before bool) { processVMLeavesStaleCode = before }(processVMLeavesStaleCode)
	processVMLeavesStaleCode = true
	target := testtarget.Start(t)
	base := target.Address("layout rwx:1,rw-:1")
	for _, c := range []struct {
		name    string
		address uint64
		options []Option
		want    Backend
	}{
		{"code", base, nil, ProcMem},
		{"data", base + HostPageSize(), nil, ProcessVM},
		{"code, where the caller insists", base, []Option{WithBackend(ProcessVM)}, ProcessVM},
	} {
		t.Run(c.name, func(t *testing.T) {
			task, err := TaskForPID(target.PID, append(c.options, WithStopTimeout(testtarget.Patience))...)
			if err != nil {
				t.Fatal(err)
			}
			defer task.Close()
			segments := []pwrite.Segment{{Address: c.address, Data: []byte{0x90}}}
			plan, _ := task.plan(segments, false)
			r := task.attempt(plan, scope{}, segments)
			if wantsFile := c.want == ProcMem; task.needsFile(plan, r) != wantsFile || r.done() == wantsFile {
				t.Errorf("process_vm_writev gives %+v; want %s to be used", r, c.want)
			}
			if err := task.WriteBatch(segments); err != nil {
				t.Error(err)
			}
			if got := target.Bytes(c.address, 1); got[0] != 0x90 {
				t.Errorf("%#x is there; want 0x90", got[0])
			}
		})
	}
}

func TestCodesOfErrnos(t *testing.T) {
	for errno, want := range map[unix.Errno]KernReturn{
		unix.ESRCH: KERN_INVALID_ARGUMENT, unix.ENOMEM: KERN_RESOURCE_SHORTAGE, unix.EHWPOISON: KERN_MEMORY_FAILURE,
		unix.ENOSYS: KERN_NOT_SUPPORTED, unix.EPERM: KERN_FAILURE, unix.EINVAL: KERN_FAILURE,
	} {
		if got := codeOfErrno(&pwrite.TransferError{Err: errno}); got != want {
			t.Errorf("%v gives %s; want %s", errno, got.String(), want.String())
		}
	}
}

// The probe is tried against the truth: a write of ours to a read-only page.
func TestProbeOfTheKernelsProtection(t *testing.T) {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page)
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	_, err = memory.WriteAt([]byte{7}, int64(linux.AddressOf(page)))
	if wrote := err == nil; wrote != memIgnoresProtection() {
		t.Errorf("/proc/self/mem wrote a read-only page: %v, and the probe says %v", wrote, memIgnoresProtection())
	}
}

// A page that can be read and not written stops an atomic write half way. Here
// it is a read-only page that the check was spared.
func TestHalfOfAnAtomicWriteIsPutBack(t *testing.T) {
	target := testtarget.Start(t)
	base := target.Address("layout rw-:1,r--:1")
	before := target.Bytes(base, int(2*HostPageSize()))
	for _, segments := range [][]pwrite.Segment{
		{{Address: base + 10, Data: []byte("first")}, {Address: base + 12, Data: []byte("overlap")}, {Address: base + HostPageSize() - 96, Data: make([]byte, 200)}},
		{{Address: base + 10, Data: []byte("first")}, {Address: base + HostPageSize(), Data: []byte("no")}, {Address: base + 20, Data: []byte("never")}},
	} {
		task, err := TaskForPID(target.PID, Atomic())
		if err != nil {
			t.Fatal(err)
		}
		defer task.Close()
		s, err := task.openOwn(segments)
		if err != nil {
			t.Fatal(err)
		}
		r := task.writeOrRestore(backend{vm: task.vm}, scope{stop: s}, segments)
		s.leave()
		if r.found.code != KERN_PROTECTION_FAILURE || r.found.address != base+HostPageSize() || r.place != (pwrite.Position{}) {
			t.Errorf("the result is %+v; want KERN_PROTECTION_FAILURE at %#x and nothing written", r, base+HostPageSize())
		}
		if string(target.Bytes(base, int(2*HostPageSize()))) != string(before) {
			t.Error("the memory is not as it was")
		}
	}
}
