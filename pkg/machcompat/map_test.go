// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

func TestMap(t *testing.T) {
	const (
		fixed, anywhere = machcompat.VM_FLAGS_FIXED, machcompat.VM_FLAGS_ANYWHERE
		rw, all         = machcompat.VM_PROT_DEFAULT, machcompat.VM_PROT_ALL
		wide            = 1<<16 - 1
		shared, private = machcompat.VM_INHERIT_SHARE, machcompat.VM_INHERIT_COPY
	)
	for _, c := range []struct {
		name    string
		offset  uint64 // from the first of three pages, of which the middle one is a hole
		request machcompat.MapRequest
		want    machcompat.KernReturn
		perms   string
	}{
		{"anywhere", 0, machcompat.MapRequest{Size: 1, Flags: anywhere, Protection: rw, MaxProtection: all, Inheritance: private}, machcompat.KERN_SUCCESS, "rw-p"},
		{"aligned", 0, machcompat.MapRequest{Size: 1, Mask: wide, Flags: anywhere, Protection: rw, MaxProtection: all, Inheritance: private}, machcompat.KERN_SUCCESS, "rw-p"},
		{"aligned by odd bits", 0, machcompat.MapRequest{Size: 1, Mask: 0x14007, Flags: anywhere, Protection: rw, MaxProtection: all, Inheritance: private}, machcompat.KERN_SUCCESS, "rw-p"},
		{"no access", 0, machcompat.MapRequest{Size: 1, Flags: anywhere, MaxProtection: all, Inheritance: private}, machcompat.KERN_SUCCESS, "---p"},
		{"code", 0, machcompat.MapRequest{Size: 1, Flags: anywhere, Protection: all, MaxProtection: all, Inheritance: private}, machcompat.KERN_SUCCESS, "rwxp"},
		{"less than is asked for", 0, machcompat.MapRequest{Size: 1, Flags: anywhere, Protection: all, MaxProtection: rw, Inheritance: private}, machcompat.KERN_SUCCESS, "rw-p"},
		{"shared with children", 0, machcompat.MapRequest{Size: 1, Flags: anywhere, Protection: rw, MaxProtection: all, Inheritance: shared}, machcompat.KERN_SUCCESS, "rw-s"},
		{"shared and aligned", 0, machcompat.MapRequest{Size: 1, Mask: wide, Flags: anywhere, Protection: rw, MaxProtection: all, Inheritance: shared}, machcompat.KERN_SUCCESS, "rw-s"},
		{"kept from children", 0, machcompat.MapRequest{Size: 1, Flags: anywhere, Protection: rw, MaxProtection: all, Inheritance: machcompat.VM_INHERIT_NONE}, machcompat.KERN_SUCCESS, "rw-p"},
		{"into a hole", pageSize, machcompat.MapRequest{Size: 1, Flags: fixed, Protection: rw, MaxProtection: all, Inheritance: private}, machcompat.KERN_SUCCESS, "rw-p"},
		{"where something is", 0, machcompat.MapRequest{Size: 1, Flags: fixed, Protection: rw, MaxProtection: all, Inheritance: private}, machcompat.KERN_NO_SPACE, ""},
		{"in place of it", 0, machcompat.MapRequest{Size: 1, Flags: fixed | machcompat.VM_FLAGS_OVERWRITE, Protection: rw, MaxProtection: all, Inheritance: shared}, machcompat.KERN_SUCCESS, "rw-s"},
		{"fixed where a bit is set", pageSize, machcompat.MapRequest{Size: 1, Mask: 1<<40 - 1, Flags: fixed, Protection: rw, MaxProtection: all, Inheritance: private}, machcompat.KERN_NO_SPACE, ""},
		{"no address has so few bits", 0, machcompat.MapRequest{Size: 1, Mask: ^uint64(0), Flags: anywhere, Protection: rw, MaxProtection: all, Inheritance: private}, machcompat.KERN_NO_SPACE, ""},
		{"a hint beyond all", ^uint64(0) - 2*pageSize, machcompat.MapRequest{Size: 3 * pageSize, Flags: anywhere, Protection: rw, MaxProtection: all, Inheritance: private}, machcompat.KERN_NO_SPACE, ""},
		{"nothing", 0, machcompat.MapRequest{Flags: anywhere, Protection: rw, MaxProtection: all, Inheritance: private}, machcompat.KERN_INVALID_ARGUMENT, ""},
		{"another flag", 0, machcompat.MapRequest{Size: 1, Flags: anywhere | 0x20, Protection: rw, MaxProtection: all, Inheritance: private}, machcompat.KERN_INVALID_ARGUMENT, ""},
		{"another protection", 0, machcompat.MapRequest{Size: 1, Flags: anywhere, Protection: 8, MaxProtection: all, Inheritance: private}, machcompat.KERN_INVALID_ARGUMENT, ""},
		{"another highest protection", 0, machcompat.MapRequest{Size: 1, Flags: anywhere, Protection: rw, MaxProtection: machcompat.VM_PROT_COPY, Inheritance: private}, machcompat.KERN_INVALID_ARGUMENT, ""},
		{"another inheritance", 0, machcompat.MapRequest{Size: 1, Flags: anywhere, Protection: rw, MaxProtection: all, Inheritance: 3}, machcompat.KERN_INVALID_ARGUMENT, ""},
		{"a size that wraps", 0, machcompat.MapRequest{Size: ^uint64(0), Flags: anywhere, Protection: rw, MaxProtection: all, Inheritance: private}, machcompat.KERN_INVALID_ARGUMENT, ""},
		{"more than there is room for", 0, machcompat.MapRequest{Size: 1 << 62, Flags: anywhere, Protection: rw, MaxProtection: all, Inheritance: private}, machcompat.KERN_NO_SPACE, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := testtarget.Start(t)
			target.Do("threads 2")
			task := taskFor(t, target.PID)
			base := target.Address("layout rw-:1,gap:1,rw-:1")
			if c.request.Address = c.offset; c.offset < 1<<32 {
				c.request.Address = base + c.offset
			}
			got, err := task.Map(c.request)
			if machcompat.CodeOf(err) != c.want {
				t.Fatalf("Map = %v; want %s", err, c.want.String())
			}
			if err != nil {
				mustHold(t, target, base)
				return
			}
			region, err := task.Region(got)
			if err != nil || region.Start > got || region.Mapping.PermsText() != c.perms {
				t.Errorf("the memory at %#x is %v, %v; want %s", got, region.Mapping, err, c.perms)
			}
			if got&c.request.Mask != 0 || c.request.Flags&anywhere == 0 && got != c.request.Address {
				t.Errorf("the memory is at %#x", got)
			}
			mustLive(t, target)
		})
	}
}

// The room that is taken to find an aligned address is given back.
func TestMapGivesRoomBack(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	const alignment, maps = 1 << 32, 20
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	mappedPages := func() (pages uint64) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", target.PID))
		if _, scanErr := fmt.Sscan(string(text), &pages); err != nil || scanErr != nil {
			t.Fatal(err, scanErr)
		}
		return pages
	}
	before := mappedPages()
	for range maps {
		got, err := task.Map(machcompat.MapRequest{Size: pageSize, Mask: alignment - 1, Flags: machcompat.VM_FLAGS_ANYWHERE, MaxProtection: machcompat.VM_PROT_ALL, Inheritance: machcompat.VM_INHERIT_COPY})
		if err != nil || got%alignment != 0 {
			t.Fatalf("Map = %#x, %v", got, err)
		}
	}
	if grown := mappedPages() - before; grown > alignment/pageSize { // the target maps memory for itself too
		t.Errorf("%d pages are mapped more", grown)
	}
}

func TestRemap(t *testing.T) {
	target := testtarget.Start(t)
	own, task := taskFor(t, os.Getpid()), taskFor(t, target.PID)
	base := target.Address("layout rw-:2,r--:1,---:1,gap:1")
	before := target.Bytes(base, int(3*pageSize))
	anywhere := machcompat.MapRequest{Size: 3 * pageSize, Flags: machcompat.VM_FLAGS_ANYWHERE, Inheritance: machcompat.VM_INHERIT_COPY}

	at, now, most, err := own.Remap(anywhere, task, base, true)
	if err != nil || now != machcompat.VM_PROT_READ || most != machcompat.VM_PROT_ALL {
		t.Fatalf("Remap = %#x, %v, %v, %v", at, now, most, err)
	}
	if got, err := own.Read(at, 3*pageSize); err != nil || !bytes.Equal(got, before) {
		t.Errorf("the copy does not hold what it must, %v", err)
	}
	if got := permsAt(t, own, at, 3); got != "rw-,rw-,r--" {
		t.Errorf("the pages are %s", got)
	}
	if err := own.Write(at, []byte{^before[0]}); err != nil || target.Bytes(base, 1)[0] != before[0] {
		t.Errorf("the copy is the target's memory, %v", err)
	}

	// It comes into its place when it is whole.
	source := addressOf(mapped(t, 4))
	over := machcompat.MapRequest{Address: source + pageSize, Size: 2 * pageSize, Flags: machcompat.VM_FLAGS_OVERWRITE, Inheritance: machcompat.VM_INHERIT_COPY}
	want, err := own.Read(source, 2*pageSize)
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, err = own.Remap(over, task, base+2*pageSize, true)
	wantError(t, err, machcompat.KERN_PROTECTION_FAILURE)
	if got, err := own.Read(source, 2*pageSize); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what was to be replaced is changed, %v", err)
	}
	if err := own.Write(source, []byte("mark")); err != nil {
		t.Fatal(err)
	}
	if got, _, _, err := own.Remap(over, own, source, true); err != nil || got != source+pageSize {
		t.Errorf("Remap over its source = %#x, %v", got, err)
	}
	if got, err := own.Read(source+pageSize, 4); err != nil || string(got) != "mark" {
		t.Errorf("%q, %v", got, err)
	}

	data, err := unix.Mmap(-1, 0, int(2*pageSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(data)
	once := uint64(linux.AddressOf(data))
	again := machcompat.MapRequest{Size: 2 * pageSize, Flags: machcompat.VM_FLAGS_ANYWHERE, Inheritance: machcompat.VM_INHERIT_NONE}
	at, _, _, err = own.Remap(again, own, once, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Write(at+pageSize, []byte("same")); err != nil || string(data[pageSize:][:4]) != "same" {
		t.Errorf("it is other memory, %v", err)
	}
	for _, c := range []struct {
		name           string
		target, source *machcompat.Task
		address        uint64
		copied         bool
		want           machcompat.KernReturn
	}{
		{"private memory", own, own, source, false, machcompat.KERN_NOT_SUPPORTED},
		{"another process's memory itself", own, task, base, false, machcompat.KERN_NOT_SUPPORTED},
		{"into another process", task, own, source, true, machcompat.KERN_NOT_SUPPORTED},
		{"a hole", own, task, base + 4*pageSize, true, machcompat.KERN_INVALID_ADDRESS},
		{"what can't be read", own, task, base + pageSize, true, machcompat.KERN_PROTECTION_FAILURE},
		{"a range that wraps", own, task, ^uint64(0) - pageSize, true, machcompat.KERN_INVALID_ARGUMENT},
	} {
		if _, _, _, err := c.target.Remap(anywhere, c.source, c.address, c.copied); machcompat.CodeOf(err) != c.want {
			t.Errorf("%s: %v; want %s", c.name, err, c.want.String())
		}
	}
}
