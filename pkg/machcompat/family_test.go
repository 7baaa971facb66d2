// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// The calls of the matrix beside vm_write, each with its other argument valid.
// A destination in our own memory is one that a Task of this process writes.
func TestConformanceMatrixOfTheFamily(t *testing.T) {
	all := readConformance(t)
	eachRunOf(t, all.Matrix, func(t *testing.T, cases []conformanceCall, options ...machcompat.Option) {
		target := testtarget.Start(t)
		task := taskFor(t, target.PID, options...)
		base := target.Address("map rw- %d", all.MatrixRegionBytes/all.PageSize)
		other := target.Address("map rw- %d", all.MatrixRegionBytes/all.PageSize)
		counts := map[string]int{}
		for _, c := range cases {
			address, size := machcompat.MachVMAddress(matrixAddress(t, c.Start, base)), uint64(c.Size)
			before := target.Bytes(base, int(4*pageSize))
			var code machcompat.KernReturn
			switch c.Call {
			case "mach_vm_read":
				var data []byte
				data, code = machcompat.MachVMRead(task, address, size)
				if code == machcompat.KERN_SUCCESS && size > 0 && !bytes.Equal(data, target.Bytes(uint64(address), c.Size)) {
					t.Errorf("%s %s+%d read other bytes", c.Call, c.Start, c.Size)
				}
			case "mach_vm_read_overwrite(src)":
				var n uint64
				n, code = machcompat.MachVMReadOverwrite(task, address, make([]byte, size))
				if code == machcompat.KERN_SUCCESS && n != size {
					t.Errorf("%s %s+%d read %d bytes", c.Call, c.Start, c.Size, n)
				}
			case "mach_vm_copy(src)":
				code = machcompat.MachVMCopy(task, address, size, machcompat.MachVMAddress(other))
				if code == machcompat.KERN_SUCCESS && size > 0 && !bytes.Equal(target.Bytes(other, c.Size), target.Bytes(uint64(address), c.Size)) {
					t.Errorf("%s %s+%d copied other bytes", c.Call, c.Start, c.Size)
				}
			case "mach_vm_copy(dst)":
				code = machcompat.MachVMCopy(task, machcompat.MachVMAddress(other), size, address)
				if code == machcompat.KERN_SUCCESS && size > 0 {
					copy(before[uint64(address)-base:], target.Bytes(other, c.Size))
				}
			case "mach_vm_protect(RW,set_max=0)":
				code = machcompat.MachVMProtect(task, address, size, false, machcompat.VM_PROT_READ|machcompat.VM_PROT_WRITE)
			default:
				continue
			}
			counts[c.Call]++
			if code.String() != c.Expect {
				t.Errorf("%s %s+%d = %s; want %s", c.Call, c.Start, c.Size, code.String(), c.Expect)
			}
			if !bytes.Equal(target.Bytes(base, int(4*pageSize)), before) {
				t.Errorf("%s %s+%d: the region does not hold what it must", c.Call, c.Start, c.Size)
			}
		}
		t.Log(counts)
	})
}

// permsAt returns the protection of each of the pages from address on, as the
// kernel shows it.
func permsAt(t *testing.T, task *machcompat.Task, address uint64, pages int) string {
	t.Helper()
	var perms []string
	for i := range pages {
		at := address + uint64(i)*pageSize
		region, err := task.Region(at)
		if err != nil || region.Start > at {
			perms = append(perms, "gap")
			continue
		}
		perms = append(perms, region.Protection.String())
	}
	return strings.Join(perms, ",")
}

func TestProtect(t *testing.T) {
	const ro, rw, rx = machcompat.VM_PROT_READ, machcompat.VM_PROT_READ | machcompat.VM_PROT_WRITE, machcompat.VM_PROT_READ | machcompat.VM_PROT_EXECUTE
	cases := []struct {
		name    string
		layout  string
		offset  uint64
		size    uint64
		maximum bool
		prot    machcompat.VMProt
		want    machcompat.KernReturn
		perms   string
	}{
		{"read-only memory becomes writable", "r--:1", 0, pageSize, false, rw, machcompat.KERN_SUCCESS, "rw-"},
		{"writable memory becomes executable", "rw-:1", 0, pageSize, false, rx, machcompat.KERN_SUCCESS, "r-x"},
		{"memory becomes inaccessible", "rw-:1", 0, pageSize, false, machcompat.VM_PROT_NONE, machcompat.KERN_SUCCESS, "---"},
		{"one byte means its page", "r--:3", pageSize + 4, 1, false, rw, machcompat.KERN_SUCCESS, "r--,rw-,r--"},
		{"two bytes over an edge mean two pages", "r--:3", pageSize - 1, 2, false, rw, machcompat.KERN_SUCCESS, "rw-,rw-,r--"},
		{"several mappings", "r--:1,r-x:1,---:1", 0, 3 * pageSize, false, rw, machcompat.KERN_SUCCESS, "rw-,rw-,rw-"},
		{"what holds already", "rw-:2", 0, 2 * pageSize, false, rw, machcompat.KERN_SUCCESS, "rw-,rw-"},
		{"nothing", "r--:1", 0, 0, false, rw, machcompat.KERN_SUCCESS, "r--"},
		{"VM_PROT_COPY of private memory", "r-x:1", 0, pageSize, false, rw | machcompat.VM_PROT_COPY, machcompat.KERN_SUCCESS, "rw-"},
		{"a hole behind: nothing changes", "r--:1,gap:1", 0, 2 * pageSize, false, rw, machcompat.KERN_INVALID_ADDRESS, "r--,gap"},
		{"a hole in the middle: nothing changes", "r--:1,gap:1,r--:1", 0, 3 * pageSize, false, rw, machcompat.KERN_INVALID_ADDRESS, "r--,gap,r--"},
		{"other bits", "r--:1", 0, pageSize, false, 0x20, machcompat.KERN_INVALID_ARGUMENT, "r--"},
		{"a range that wraps", "r--:1", 0, ^uint64(0), false, rw, machcompat.KERN_INVALID_ARGUMENT, "r--"},
		{"a maximum that is none", "r--:1", 0, pageSize, true, rw, machcompat.KERN_NOT_SUPPORTED, "r--"},
		{"the maximum that holds", "r--:1", 0, pageSize, true, machcompat.VM_PROT_ALL, machcompat.KERN_SUCCESS, "r--"},
	}
	eachWordSize(t, func(t *testing.T, target *testtarget.Target, _ string) {
		target.Do("threads 5")
		task := taskFor(t, target.PID)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				base := target.Address("layout %s", c.layout)
				pages := strings.Count(c.perms, ",") + 1
				err := task.Protect(base+c.offset, c.size, c.maximum, c.prot)
				if got := machcompat.CodeOf(err); got != c.want {
					t.Fatalf("Protect = %v; want %s", err, c.want.String())
				}
				if got := permsAt(t, task, base, pages); got != c.perms {
					t.Errorf("the pages are %s; want %s", got, c.perms)
				}
			})
		}
		mustLive(t, target)
	})
}

// mustLive makes sure that a target and its threads still do their work.
func mustLive(t *testing.T, target *testtarget.Target) {
	t.Helper()
	before := target.Do("counts")
	testtarget.WaitFor(t, "the target's threads to count", func() bool { return target.Do("counts") != before })
}

func TestProtectOfFilesAndSealedMemory(t *testing.T) {
	const rw = machcompat.VM_PROT_READ | machcompat.VM_PROT_WRITE
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	path := filepath.Join(t.TempDir(), "file")

	shared := target.Address("readonlyfile %s", path)
	e := wantError(t, task.Protect(shared, pageSize, false, rw), machcompat.KERN_PROTECTION_FAILURE)
	if !strings.Contains(e.Error(), "r-x at most") {
		t.Errorf("the message is %q", e)
	}
	wantError(t, task.Protect(shared, pageSize, false, rw|machcompat.VM_PROT_COPY), machcompat.KERN_NOT_SUPPORTED)
	if region, err := task.Region(shared); err != nil || region.MaxProtection != machcompat.VM_PROT_READ|machcompat.VM_PROT_EXECUTE || region.Inheritance != machcompat.VM_INHERIT_SHARE {
		t.Errorf("the region is %+v, %v", region, err)
	}

	// The second page is sealed: the first must be as it was.
	sealed := target.Address("layout r--:1,rw-:1,r--:1")
	testtarget.Need(t, "mseal")
	target.Do("seal %#x %d", sealed+pageSize, pageSize)
	e = wantError(t, task.Protect(sealed, 3*pageSize, false, machcompat.VM_PROT_NONE), machcompat.KERN_PROTECTION_FAILURE)
	if e.Fault != sealed+pageSize || !errors.Is(e, unix.EPERM) {
		t.Errorf("the error is %v; want EPERM at %#x", e, sealed+pageSize)
	}
	if got := permsAt(t, task, sealed, 3); got != "r--,rw-,r--" {
		t.Errorf("the pages are %s; want them as they were", got)
	}
	wantError(t, task.Deallocate(sealed, 3*pageSize), machcompat.KERN_PROTECTION_FAILURE)
	mustHold(t, target, sealed)
}

func mustHold(t *testing.T, target *testtarget.Target, address uint64) {
	t.Helper()
	if got := target.Bytes(address, 1); got[0] != 1 {
		t.Errorf("%#x is there; want 1", got[0])
	}
}

func TestAllocateAndDeallocate(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 3")
	task := taskFor(t, target.PID)
	used := target.Address("layout rw-:1,gap:2,rw-:1")

	got, err := task.Allocate(used+pageSize, pageSize+1, machcompat.VM_FLAGS_FIXED)
	if err != nil || got != used+pageSize {
		t.Fatalf("Allocate into a gap = %#x, %v; want %#x", got, err, used+pageSize)
	}
	if data := target.Bytes(got, int(2*pageSize)); !bytes.Equal(data, make([]byte, 2*pageSize)) {
		t.Error("new memory is not zero")
	}
	if err := task.Write(got, []byte("room")); err != nil {
		t.Error(err)
	}
	_, err = task.Allocate(used, pageSize, machcompat.VM_FLAGS_FIXED)
	wantError(t, err, machcompat.KERN_NO_SPACE)
	mustHold(t, target, used)
	if got, err := task.Allocate(used, pageSize, machcompat.VM_FLAGS_FIXED|machcompat.VM_FLAGS_OVERWRITE); err != nil || got != used || target.Bytes(used, 1)[0] != 0 {
		t.Errorf("Allocate over what is there = %#x, %v", got, err)
	}
	anywhere, err := task.Allocate(0, 3*pageSize, machcompat.VM_FLAGS_ANYWHERE)
	if err != nil || permsAt(t, task, anywhere, 3) != "rw-,rw-,rw-" {
		t.Errorf("Allocate anywhere = %#x, %v", anywhere, err)
	}
	hinted, err := task.Allocate(used+pageSize*20+1, pageSize, machcompat.VM_FLAGS_ANYWHERE)
	if err != nil {
		t.Errorf("Allocate at a hint in the middle of a page = %v", err)
	}
	if _, err := task.Allocate(hinted+pageSize, pageSize, machcompat.VM_FLAGS_FIXED); err != nil {
		t.Errorf("Allocate behind a page = %v; want nothing to be there", err)
	}
	if got, err := task.Allocate(5, 0, machcompat.VM_FLAGS_FIXED); got != 0 || err != nil {
		t.Errorf("Allocate nothing = %#x, %v", got, err)
	}
	_, err = task.Allocate(^uint64(0), pageSize, machcompat.VM_FLAGS_FIXED)
	wantError(t, err, machcompat.KERN_INVALID_ARGUMENT)
	for _, flags := range []int{machcompat.VM_FLAGS_FIXED, machcompat.VM_FLAGS_FIXED | machcompat.VM_FLAGS_OVERWRITE} {
		for _, address := range []uint64{0, 1, pageSize - 1} { // root may map that page
			_, err = task.Allocate(address, 1, flags)
			wantError(t, err, machcompat.KERN_INVALID_ADDRESS)
		}
	}
	_, err = task.Allocate(0, 1<<62, machcompat.VM_FLAGS_ANYWHERE)
	wantError(t, err, machcompat.KERN_NO_SPACE)
	_, err = task.Allocate(0, pageSize, 0x100000)
	wantError(t, err, machcompat.KERN_INVALID_ARGUMENT)

	if err := task.Deallocate(used+10, 3*pageSize); err != nil {
		t.Error(err)
	}
	if got := permsAt(t, task, used, 4); got != "gap,gap,gap,gap" {
		t.Errorf("the pages are %s; want them gone", got)
	}
	if err := task.Deallocate(used, pageSize); err != nil {
		t.Errorf("Deallocate of a gap = %v; want success", err)
	}
	wantError(t, task.Deallocate(used, ^uint64(0)), machcompat.KERN_INVALID_ARGUMENT)
	if err := task.Deallocate(anywhere, 3*pageSize); err != nil {
		t.Error(err)
	}
	mustLive(t, target)
}

// Where the addresses end depends on the processor, the kernel and the program, and is
// found here by mapping memory of our own.
func TestAllocateAtTheLastAddresses(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	page := machcompat.HostPageSize()
	mapped := func(address uint64) bool {
		got, _, errno := unix.Syscall6(unix.SYS_MMAP, uintptr(address), uintptr(page), unix.PROT_NONE,
			unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED_NOREPLACE, ^uintptr(0), 0)
		if errno == 0 {
			unix.Syscall(unix.SYS_MUNMAP, got, uintptr(page), 0)
		}
		return errno == 0 || errno == unix.EEXIST
	}
	end := uint64(1) << 40
	for mapped(end) {
		end *= 2
	}
	for !mapped(end - page) { // amd64 keeps a page
		end -= page
	}
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	for _, c := range []struct {
		name    string
		address uint64
		limited bool // to the memory that the target has
		want    machcompat.KernReturn
	}{
		{"the last page", end - page, false, machcompat.KERN_SUCCESS},
		{"the page behind it", end, false, machcompat.KERN_INVALID_ADDRESS},
		{"an address in the kernel's half", 1<<63 + page, false, machcompat.KERN_INVALID_ADDRESS},
		{"an address with a tag", 1<<60 + page, false, machcompat.KERN_INVALID_ADDRESS},
		{"no memory, a little below", end - 16*page, true, machcompat.KERN_NO_SPACE},
		{"no memory beyond the last page", end, true, machcompat.KERN_INVALID_ADDRESS},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.limited {
				var before unix.Rlimit
				if err := unix.Prlimit(target.PID, unix.RLIMIT_AS, nil, &before); err != nil {
					t.Fatal(err)
				}
				if err := unix.Prlimit(target.PID, unix.RLIMIT_AS, &unix.Rlimit{Cur: 1, Max: before.Max}, nil); err != nil {
					t.Fatal(err)
				}
				defer unix.Prlimit(target.PID, unix.RLIMIT_AS, &before, nil)
			}
			_, err := task.Allocate(c.address, page, machcompat.VM_FLAGS_FIXED)
			if machcompat.CodeOf(err) != c.want {
				t.Errorf("Allocate at %#x = %v; want %s", c.address, err, c.want.String())
			}
			if err == nil {
				if err := task.Deallocate(c.address, page); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestCopyOfOverlappingRanges(t *testing.T) {
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	const size = 5 << 20
	base := target.Address("map rw- %d", 2*size/pageSize)
	data := make([]byte, 2*size)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	for _, c := range []struct{ from, to uint64 }{{0, 1}, {1, 0}, {0, 1 << 20}, {1<<20 + 5, 17}, {0, size}} {
		if err := task.Write(base, data); err != nil {
			t.Fatal(err)
		}
		if err := task.Copy(base+c.from, size, base+c.to); err != nil {
			t.Fatal(err)
		}
		want := bytes.Clone(data)
		copy(want[c.to:], data[c.from:c.from+size])
		got := make([]byte, len(want))
		if _, err := task.ReadAt(got, int64(base)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("copy from +%d to +%d is not that of memmove (%v)", c.from, c.to, err)
		}
	}
	layout := target.Address("layout -w-:1,r--:1,rw-:1")
	for _, c := range []struct {
		from, to uint64
		want     machcompat.KernReturn
	}{{layout, layout + 2*pageSize, machcompat.KERN_PROTECTION_FAILURE}, {layout + pageSize, layout, machcompat.KERN_SUCCESS}, {layout + 2*pageSize, layout + pageSize, machcompat.KERN_PROTECTION_FAILURE}} {
		if err := task.Copy(c.from, 100, c.to); machcompat.CodeOf(err) != c.want {
			t.Errorf("copy = %v; want %s", err, c.want.String())
		}
	}
}

func TestKernelDataCannotBeAccessed(t *testing.T) {
	for _, source := range []procmaps.Source{procmaps.Auto, procmaps.Text} {
		t.Run(source.String(), func(t *testing.T) {
			target := testtarget.Start(t)
			address := target.Address("find [vvar]")
			task := taskFor(t, target.PID, machcompat.WithMapSource(source))
			if region, err := task.Region(address); err != nil || region.Protection != machcompat.VM_PROT_NONE || region.MaxProtection != machcompat.VM_PROT_NONE {
				t.Errorf("Region = %+v, %v; want no protection", region, err)
			}
			for mapping, err := range task.Regions() {
				if mapping.Contains(address) && mapping.Perms != 0 || err != nil {
					t.Errorf("Regions yields %v, %v; want no permission", mapping, err)
				}
			}
			data := make([]byte, 8)
			_, readErr := task.Read(address, 8)
			_, atErr := task.ReadAt(data, int64(address))
			for call, err := range map[string]error{
				"CheckRead": task.CheckRead(address, 8), "Read": readErr, "ReadAt": atErr, "Check": task.Check(address, 8),
				"Copy": task.Copy(address, 8, target.Address("map rw- 1")), "Write": task.Write(address, data),
			} {
				if code := machcompat.CodeOf(err); code != machcompat.KERN_PROTECTION_FAILURE {
					t.Errorf("%s = %v; want KERN_PROTECTION_FAILURE", call, err)
				}
			}
		})
	}
}

func TestRegionPastTheLastOne(t *testing.T) {
	task := taskFor(t, testtarget.Start(t).PID)
	address, size := machcompat.MachVMAddress(1<<63), uint64(77)
	if _, code := machcompat.MachVMRegion(task, &address, &size); code != machcompat.KERN_INVALID_ADDRESS || address != 1<<63 || size != 77 {
		t.Errorf("MachVMRegion = %s, address %#x, size %d", code.String(), address, size)
	}
	address = 0
	region, code := machcompat.MachVMRegion(task, &address, &size)
	if code != machcompat.KERN_SUCCESS || address == 0 || size != region.Size {
		t.Errorf("MachVMRegion(0) = %s, address %#x, size %d", code.String(), address, size)
	}
}

func TestSuspendCounts(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 2")
	base := target.Address("layout rw-:1,r--:1")
	for _, options := range [][]machcompat.Option{nil, {machcompat.Atomic()}, {machcompat.WithBackend(machcompat.ProcMem)}} {
		task := taskFor(t, target.PID, options...)
		wantError(t, task.Resume(), machcompat.KERN_FAILURE)
		for range 2 {
			if err := task.Suspend(); err != nil {
				t.Fatal(err)
			}
		}
		if n := task.SuspendCount(); n != 2 {
			t.Errorf("SuspendCount() = %d; want 2", n)
		}
		// What needs the stop shares it.
		if err := task.Write(base, []byte("held")); err != nil {
			t.Error(err)
		}
		if err := task.Protect(base+pageSize, 1, false, machcompat.VM_PROT_DEFAULT); err != nil {
			t.Error(err)
		}
		other := taskFor(t, target.PID, machcompat.WithStop(machcompat.StopAlways), machcompat.WithStopTimeout(1))
		wantError(t, other.Write(base, []byte("else")), machcompat.KERN_FAILURE)
		if err := task.Resume(); err != nil {
			t.Fatal(err)
		}
		if !isTraced(t, target.PID) {
			t.Error("the task runs though one Suspend is left")
		}
		if err := task.Resume(); err != nil {
			t.Fatal(err)
		}
		if isTraced(t, target.PID) {
			t.Error("the task is traced though no Suspend is left")
		}
		if err := task.Protect(base+pageSize, 1, false, machcompat.VM_PROT_READ); err != nil {
			t.Error(err)
		}
		mustLive(t, target)
		if err := task.Suspend(); err != nil {
			t.Fatal(err)
		}
		task.Close()
		mustLive(t, target)
	}
}

func TestWithWritable(t *testing.T) {
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	base := target.Address("layout r-x:1,r--:1,rw-:1,gap:1")
	err := task.WithWritable(base+pageSize-96, pageSize+900, func() error { return task.Write(base+pageSize-96, bytes.Repeat([]byte{0xCC}, int(pageSize+900))) })
	if err != nil || permsAt(t, task, base, 3) != "r-x,r--,rw-" || target.Bytes(base+pageSize-96, 1)[0] != 0xCC {
		t.Errorf("WithWritable = %v, the pages are %s", err, permsAt(t, task, base, 3))
	}
	failed := errors.New("failed")
	if err := task.WithWritable(base, 1, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("WithWritable = %v; want the error of its function", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = task.WithWritable(base, 1, func() error { panic("in between") })
	}()
	if got := permsAt(t, task, base, 3); got != "r-x,r--,rw-" {
		t.Errorf("after a panic the pages are %s; want them as they were", got)
	}
	wantError(t, task.WithWritable(base, 4*pageSize, func() error { t.Error("it ran"); return nil }), machcompat.KERN_INVALID_ADDRESS)
}
