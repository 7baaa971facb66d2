// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// flagsAt returns the flags of the mapping that address lies in, as smaps has them.
func flagsAt(t *testing.T, pid int, address uint64) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(text)) {
		var start, end uint64
		if n, _ := fmt.Sscanf(line, "%x-%x ", &start, &end); n == 2 {
			inside = start <= address && address < end
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && inside {
			return strings.Fields(flags)
		}
	}
	return nil
}

func TestInherit(t *testing.T) {
	eachWordSize(t, func(t *testing.T, target *testtarget.Target, _ string) {
		target.Do("threads 3")
		task := taskFor(t, target.PID)
		base := target.Address("layout rw-:2,gap:1,r--:1,---:1")
		kept := func(page uint64) bool { return slices.Contains(flagsAt(t, target.PID, base+page*pageSize), "dc") }

		// The pages that the range touches, over a hole.
		if err := task.Inherit(base+2*pageSize-1, 2*pageSize, machcompat.VM_INHERIT_NONE); err != nil {
			t.Fatal(err)
		}
		if kept(0) || !kept(1) || !kept(3) || kept(4) {
			t.Errorf("kept from the child are %v, %v, gap, %v, %v", kept(0), kept(1), kept(3), kept(4))
		}
		if err := task.Inherit(base, 4*pageSize, machcompat.VM_INHERIT_COPY); err != nil {
			t.Fatal(err)
		}
		if kept(1) || kept(3) {
			t.Error("what is to be copied is kept from the child")
		}

		// Nothing changes where it can't be all of it.
		mixed := target.Address("map rw- 1 shared")
		wantError(t, task.Inherit(mixed, pageSize, machcompat.VM_INHERIT_COPY), machcompat.KERN_NOT_SUPPORTED)
		if err := task.Inherit(mixed, 1, machcompat.VM_INHERIT_SHARE); err != nil {
			t.Error(err)
		}
		wantError(t, task.Inherit(base, pageSize, machcompat.VM_INHERIT_SHARE), machcompat.KERN_NOT_SUPPORTED)
		wantError(t, task.Inherit(base, pageSize, 3), machcompat.KERN_INVALID_ARGUMENT)
		wantError(t, task.Inherit(base, ^uint64(0), machcompat.VM_INHERIT_NONE), machcompat.KERN_INVALID_ARGUMENT)
		mustLive(t, target)
	})
}

func TestSetBehavior(t *testing.T) {
	eachWordSize(t, func(t *testing.T, target *testtarget.Target, _ string) {
		target.Do("threads 3")
		task := taskFor(t, target.PID)
		base := target.Address("layout rw-:2,r--:1,gap:1")
		before := target.Bytes(base, int(3*pageSize))
		for behavior := int32(machcompat.VM_BEHAVIOR_DEFAULT); behavior <= machcompat.VM_BEHAVIOR_PAGEOUT; behavior++ {
			writes := behavior == machcompat.VM_BEHAVIOR_REUSABLE || behavior == machcompat.VM_BEHAVIOR_ZERO_WIRED_PAGES
			err := task.SetBehavior(base, 3*pageSize, behavior)
			if writes {
				wantError(t, err, machcompat.KERN_PROTECTION_FAILURE)
			} else if err != nil {
				t.Errorf("behavior %d: %v", behavior, err)
			}
			wantError(t, task.SetBehavior(base, 4*pageSize, behavior), machcompat.KERN_INVALID_ADDRESS)
			if behavior != machcompat.VM_BEHAVIOR_FREE {
				if !bytes.Equal(target.Bytes(base, int(3*pageSize)), before) {
					t.Errorf("behavior %d changed bytes", behavior)
				}
				continue
			}
			// What is freed is what it was, or zeros; what is written stays.
			for i, b := range target.Bytes(base, int(3*pageSize)) {
				if b != 0 && b != before[i] {
					t.Fatalf("%#x is %d", base+uint64(i), b)
				}
			}
			if err := task.Write(base, before[:2*pageSize]); err != nil {
				t.Fatal(err)
			}
			target.Do("protect %#x %d rw-", base+2*pageSize, pageSize)
			if err := task.Write(base, before); err != nil {
				t.Fatal(err)
			}
			target.Do("protect %#x %d r--", base+2*pageSize, pageSize)
		}
		if err := task.SetBehavior(base, 2*pageSize, machcompat.VM_BEHAVIOR_SEQUENTIAL); err != nil || !slices.Contains(flagsAt(t, target.PID, base), "sr") {
			t.Errorf("SetBehavior = %v; the flags are %v; want sr", err, flagsAt(t, target.PID, base))
		}
		wantError(t, task.SetBehavior(base, pageSize, -1), machcompat.KERN_INVALID_ARGUMENT)
		wantError(t, task.SetBehavior(base, pageSize, 12), machcompat.KERN_INVALID_ARGUMENT)
		mustLive(t, target)
	})
}

// The bytes of what others share, or a file has, are theirs.
func TestFreeKeepsWhatIsShared(t *testing.T) {
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	path := filepath.Join(t.TempDir(), "file")
	for _, base := range []uint64{target.Address("map rw- 2 shared"), target.Address("file %s rw- 2 %d shared", path, 2*pageSize)} {
		if err := task.Write(base, []byte("theirs")); err != nil {
			t.Fatal(err)
		}
		if err := task.SetBehavior(base, 2*pageSize, machcompat.VM_BEHAVIOR_FREE); err != nil {
			t.Error(err)
		}
		if err := task.Sync(base, 2*pageSize, machcompat.VM_SYNC_KILLPAGES); err != nil {
			t.Error(err)
		}
		if got := target.Bytes(base, 6); string(got) != "theirs" {
			t.Errorf("%q is there", got)
		}
	}
}

func TestSync(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 3")
	task := taskFor(t, target.PID)
	path := filepath.Join(t.TempDir(), "file")
	base := target.Address("file %s rw- 2 %d shared", path, 2*pageSize)
	hole := target.Address("layout rw-:1,gap:1,rw-:1")
	if err := task.Write(base, []byte("in the file")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name          string
		address, size uint64
		flags         uint32
		want          machcompat.KernReturn
	}{
		{"now", base, 2 * pageSize, machcompat.VM_SYNC_SYNCHRONOUS, machcompat.KERN_SUCCESS},
		{"in time", base + 5, 1, machcompat.VM_SYNC_ASYNCHRONOUS, machcompat.KERN_SUCCESS},
		{"both", base, pageSize, machcompat.VM_SYNC_ASYNCHRONOUS | machcompat.VM_SYNC_SYNCHRONOUS, machcompat.KERN_INVALID_ARGUMENT},
		{"over a hole", hole, 3 * pageSize, machcompat.VM_SYNC_SYNCHRONOUS, machcompat.KERN_SUCCESS},
		{"over a hole that is not to be", hole, 3 * pageSize, machcompat.VM_SYNC_SYNCHRONOUS | machcompat.VM_SYNC_CONTIGUOUS, machcompat.KERN_INVALID_ADDRESS},
		{"nothing", hole + pageSize, 0, machcompat.VM_SYNC_CONTIGUOUS, machcompat.KERN_SUCCESS},
		{"a range that wraps", base, ^uint64(0), machcompat.VM_SYNC_SYNCHRONOUS, machcompat.KERN_INVALID_ADDRESS},
		{"no longer in use", hole, pageSize, machcompat.VM_SYNC_DEACTIVATE, machcompat.KERN_SUCCESS},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := task.Sync(c.address, c.size, c.flags); machcompat.CodeOf(err) != c.want {
				t.Errorf("Sync = %v; want %s", err, c.want.String())
			}
		})
	}
	if text, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(text, []byte("in the file")) {
		t.Errorf("in the file is %q, %v", text[:11], err)
	}
	mustHold(t, target, hole)
	// Up to the first hole, and not behind it.
	if err := task.Sync(hole, 3*pageSize, machcompat.VM_SYNC_KILLPAGES); err != nil {
		t.Error(err)
	}
	mustHold(t, target, hole+2*pageSize)
	mustLive(t, target)
}

// What a filter of seccomp would act on is not done.
func TestSyncUnderAFilter(t *testing.T) {
	testtarget.Need(t, "root")
	target := testtarget.Start(t)
	base := target.Address("file %s rw- 1 %d shared", filepath.Join(t.TempDir(), "file"), pageSize)
	target.Do("seccomp kill msync")
	task := taskFor(t, target.PID)
	wantError(t, task.Sync(base, pageSize, machcompat.VM_SYNC_SYNCHRONOUS), machcompat.KERN_NOT_SUPPORTED)
	if err := task.Sync(base, pageSize, machcompat.VM_SYNC_ASYNCHRONOUS); err != nil {
		t.Errorf("Sync that needs no call = %v", err)
	}
	target.Bytes(base, 1)
}

func TestPages(t *testing.T) {
	const anonymous = machcompat.VM_PAGE_QUERY_PAGE_PRESENT | machcompat.VM_PAGE_QUERY_PAGE_DIRTY
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	base := target.Address("layout rw-:1,gap:1,r--:1")
	file := target.Address("file %s rw- 3 %d private", filepath.Join(t.TempDir(), "file"), 3*pageSize)
	if err := task.Write(file+pageSize, []byte{1}); err != nil {
		t.Fatal(err)
	}
	got := make([]int32, 4)
	if err := task.Pages(base+5, got); err != nil || !slices.Equal(got, []int32{anonymous, 0, anonymous, 0}) {
		t.Errorf("Pages = %#x, %v", got, err)
	}
	page, err := task.Page(file + pageSize + 7)
	if want := int32(anonymous | machcompat.VM_PAGE_QUERY_PAGE_COPIED); err != nil || page.Disposition != want || page.Offset != pageSize+7 {
		t.Errorf("Page of what was written = %+v, %v; want %#x", page, err, want)
	}
	page, err = task.Page(file + 2*pageSize)
	if err != nil || page.Disposition&^machcompat.VM_PAGE_QUERY_PAGE_PRESENT != machcompat.VM_PAGE_QUERY_PAGE_EXTERNAL {
		t.Errorf("Page of a file = %+v, %v", page, err)
	}
	for _, address := range []uint64{0, base + pageSize, 1 << 60} {
		if page, err := task.Page(address); err != nil || page != (machcompat.Page{}) {
			t.Errorf("Page at %#x = %+v, %v; want nothing", address, page, err)
		}
	}
	_, err = task.Page(^uint64(0))
	wantError(t, err, machcompat.KERN_INVALID_ADDRESS)
	wantError(t, task.Pages(^uint64(0)-pageSize, make([]int32, 2)), machcompat.KERN_INVALID_ARGUMENT)
	if err := task.Pages(5, nil); err != nil {
		t.Error(err)
	}
	target.Kill()
	_, err = task.Page(base)
	wantError(t, err, machcompat.KERN_INVALID_ARGUMENT)
}

func TestSyncCodeChangesNothing(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 3")
	task := taskFor(t, target.PID)
	base := target.Address("layout rwx:2,r-x:2,rw-:1,---:1,gap:1")
	before := target.Bytes(base, int(6*pageSize))
	if err := task.SyncCode(base+1, 6*pageSize-2); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(target.Bytes(base, int(6*pageSize)), before) {
		t.Error("bytes were changed")
	}
	if got := permsAt(t, task, base, 6); got != "rwx,rwx,r-x,r-x,rw-,---" {
		t.Errorf("the pages are %s", got)
	}
	e := wantError(t, task.SyncCode(base, 7*pageSize), machcompat.KERN_FAILURE)
	if e.Fault != base+6*pageSize {
		t.Errorf("the hole is at %#x; want %#x", e.Fault, base+6*pageSize)
	}
	wantError(t, task.SyncCode(base, ^uint64(0)), machcompat.KERN_INVALID_ADDRESS)
	own := taskFor(t, os.Getpid())
	if err := own.SyncCode(addressOf(mapped(t, 2)), 2*pageSize); err != nil {
		t.Error(err)
	}
	mustLive(t, target)
}

// mapped maps pages of this process that are written.
func mapped(t *testing.T, pages int) []byte {
	t.Helper()
	data, err := unix.Mmap(-1, 0, pages*int(pageSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(data) })
	for i := range data {
		data[i] = byte(i)
	}
	return data
}
