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
)

// wantError returns err as an *Error, which must have the code.
func wantError(t *testing.T, err error, code machcompat.KernReturn) *machcompat.Error {
	t.Helper()
	e, ok := errors.AsType[*machcompat.Error](err)
	if !ok {
		t.Fatalf("the error is %v; want an *Error with %s", err, code.String())
	}
	if e.Code != code || !errors.Is(err, code) {
		t.Fatalf("the error is %v; want %s", err, code.String())
	}
	return e
}

// oddMemory are places where the map does not tell the whole truth, or which are
// not like other memory.
var oddMemory = []struct {
	name    string
	prepare func(*testing.T, *testtarget.Target) (address uint64)
	size    int
	want    machcompat.KernReturn
	reason  string // part of the message
	written uint64 // what arrives before the page that cannot be faulted in
}{
	{"a page beyond the end of a shared file", func(t *testing.T, target *testtarget.Target) uint64 {
		return target.Address("file %s rw- 2 100 shared", filepath.Join(t.TempDir(), "short")) + pageSize
	}, 8, machcompat.KERN_MEMORY_ERROR, "beyond the end of the file", 0},
	{"a page beyond the end of a private file", func(t *testing.T, target *testtarget.Target) uint64 {
		return target.Address("file %s rw- 2 100 private", filepath.Join(t.TempDir(), "short")) + pageSize
	}, 8, machcompat.KERN_MEMORY_ERROR, "beyond the end of the file", 0},
	{"the last page of a file and the one beyond it", func(t *testing.T, target *testtarget.Target) uint64 {
		return target.Address("file %s rw- 2 100 private", filepath.Join(t.TempDir(), "short")) + pageSize - 96
	}, 200, machcompat.KERN_MEMORY_ERROR, "96 of 200 bytes were written", 96},
	{"a guard region", func(t *testing.T, target *testtarget.Target) uint64 {
		address := target.Address("map rw- 3")
		testtarget.Need(t, "guard regions")
		target.Do("guard %#x %d", address+pageSize, pageSize)
		return address + pageSize
	}, 8, machcompat.KERN_MEMORY_ERROR, "guard region", 0},
	{"secret memory", func(t *testing.T, target *testtarget.Target) uint64 {
		testtarget.Need(t, "memfd_secret")
		return target.Address("secret 1")
	}, 8, machcompat.KERN_MEMORY_ERROR, "secret memory", 0},
	{"[vvar]", func(_ *testing.T, target *testtarget.Target) uint64 {
		return target.Address("find [vvar]")
	}, 8, machcompat.KERN_PROTECTION_FAILURE, "[vvar]", 0},
	{"[vdso]", func(_ *testing.T, target *testtarget.Target) uint64 {
		return target.Address("find [vdso]")
	}, 8, machcompat.KERN_PROTECTION_FAILURE, "[vdso]", 0},
	{"[vsyscall]", func(*testing.T, *testtarget.Target) uint64 {
		return 0xffffffffff600000
	}, 8, machcompat.KERN_INVALID_ADDRESS, "nothing is mapped at 0xffffffffff600000", 0},
	{"the null page", func(*testing.T, *testtarget.Target) uint64 { return 0 },
		8, machcompat.KERN_INVALID_ADDRESS, "nothing is mapped at 0x0", 0},
	{"the program's code", func(_ *testing.T, target *testtarget.Target) uint64 {
		return target.Address("map r-x 1")
	}, 8, machcompat.KERN_PROTECTION_FAILURE, "is r-xp anonymous memory", 0},
	{"memory that may be written and run", func(_ *testing.T, target *testtarget.Target) uint64 {
		return target.Address("map rwx 1")
	}, 8, machcompat.KERN_SUCCESS, "", 8},
	{"memory that may only be written", func(_ *testing.T, target *testtarget.Target) uint64 {
		return target.Address("map -w- 1")
	}, 8, machcompat.KERN_SUCCESS, "", 8},
	{"shared memory", func(_ *testing.T, target *testtarget.Target) uint64 {
		return target.Address("map rw- 1 shared")
	}, 8, machcompat.KERN_SUCCESS, "", 8},
	{"a range over the 4 GiB boundary", func(t *testing.T, target *testtarget.Target) uint64 {
		testtarget.Need(t, "64-bit tests")
		at := 1<<32 - pageSize
		if answer := target.Try("mapat %#x rw- 2", at); !strings.HasPrefix(answer, "ok") {
			target.Do("unmap %#x %d", at, 2*pageSize)
			target.Do("mapat %#x rw- 2", at)
		}
		return 1<<32 - 4
	}, 8, machcompat.KERN_SUCCESS, "", 8},
}

func TestWriteToOddMemory(t *testing.T) {
	eachRun(t, func(t *testing.T, options ...machcompat.Option) {
		target := testtarget.Start(t)
		task := taskFor(t, target.PID, options...)
		for _, c := range oddMemory {
			t.Run(c.name, func(t *testing.T) {
				address := c.prepare(t, target)
				data := bytes.Repeat([]byte{0xC3}, c.size)
				err := task.Write(address, data)
				if c.want == machcompat.KERN_SUCCESS {
					if err != nil {
						t.Fatalf("write = %v; want success", err)
					}
					if got := target.Bytes(address, c.size); !bytes.Equal(got, data) {
						t.Errorf("% x is there; want % x", got, data)
					}
					return
				}
				e := wantError(t, err, c.want)
				if e.Written != c.written || e.Fault != address+c.written || e.Partial != (c.written > 0) {
					t.Errorf("written %d, fault at %#x, partial %v; want %d and %#x", e.Written, e.Fault, e.Partial, c.written, address+c.written)
				}
				if !strings.Contains(e.Error(), c.reason) {
					t.Errorf("the message is %q; want %q in it", e, c.reason)
				}
				if c.written > 0 && !bytes.Equal(target.Bytes(address, int(c.written)), data[:c.written]) {
					t.Errorf("the %d bytes that are said to be written are not there", c.written)
				}
			})
		}
	})
}

func TestAtomicWritePutsBackWhatItWrote(t *testing.T) {
	eachRun(t, func(t *testing.T, options ...machcompat.Option) {
		target := testtarget.Start(t)
		task := taskFor(t, target.PID, append(options, machcompat.Atomic())...)
		first := target.Address("layout rw-:2")
		second := target.Address("file %s rw- 2 %d private", filepath.Join(t.TempDir(), "short"), pageSize)
		before := target.Bytes(first, int(2*pageSize))
		err := task.WriteBatch([]machcompat.Segment{
			{Address: first + 100, Data: []byte("one")},
			{Address: second + pageSize - 6, Data: []byte("over the end")},
			{Address: first + pageSize + 900, Data: []byte("three")},
		})
		e := wantError(t, err, machcompat.KERN_MEMORY_ERROR)
		if e.Segment != 1 || e.Partial || e.Written != 0 {
			t.Errorf("segment %d, partial %v, written %d; want segment 1 and nothing written", e.Segment, e.Partial, e.Written)
		}
		if !bytes.Equal(target.Bytes(first, int(2*pageSize)), before) || !bytes.Equal(target.Bytes(second+pageSize-6, 6), make([]byte, 6)) {
			t.Error("the memory is not as it was")
		}
		if err := task.Write(first+100, []byte("whole")); err != nil {
			t.Errorf("an atomic write that can be made = %v", err)
		}
		if got := target.Bytes(first+100, 5); string(got) != "whole" {
			t.Errorf("%q is there; want whole", got)
		}
	})
}

func TestWriteBatch(t *testing.T) {
	eachRun(t, func(t *testing.T, options ...machcompat.Option) {
		target := testtarget.Start(t)
		task := taskFor(t, target.PID, options...)
		base := target.Address("layout rw-:2,r--:1,rw-:1,gap:1,rw-:1")
		second := target.Address("file %s rw- 2 %d private", filepath.Join(t.TempDir(), "short"), pageSize)
		at := func(offset uint64, text string) machcompat.Segment {
			return machcompat.Segment{Address: base + offset, Data: []byte(text)}
		}
		beyond := machcompat.Segment{Address: second + pageSize - 2, Data: []byte("half")}
		cases := []struct {
			name     string
			segments []machcompat.Segment
			want     machcompat.KernReturn
			segment  int
			written  uint64
			partial  bool
		}{
			{"no segments", nil, machcompat.KERN_SUCCESS, 0, 0, false},
			{"only empty segments, anywhere", []machcompat.Segment{{Address: 0}, {Address: ^uint64(0)}}, machcompat.KERN_SUCCESS, 0, 0, false},
			{"several mappings", []machcompat.Segment{at(5*pageSize, "a"), at(0, "b"), at(pageSize-2, "cdef"), at(3*pageSize, "g")}, machcompat.KERN_SUCCESS, 0, 0, false},
			{"overlapping segments: the later one stays", []machcompat.Segment{at(10, "xxxx"), at(11, "yy")}, machcompat.KERN_SUCCESS, 0, 0, false},
			{"one segment is read-only: nothing is written", []machcompat.Segment{at(0, "never"), at(2*pageSize, "ro"), at(4*pageSize, "gap")}, machcompat.KERN_PROTECTION_FAILURE, 1, 0, false},
			{"one segment is in a gap: nothing is written", []machcompat.Segment{at(0, "never"), {Address: 0}, at(4*pageSize, "gap"), at(2*pageSize, "ro")}, machcompat.KERN_INVALID_ADDRESS, 2, 0, false},
			{"one segment wraps", []machcompat.Segment{at(0, "never"), {Address: ^uint64(0), Data: []byte("wrap")}}, machcompat.KERN_INVALID_ADDRESS, 1, 0, false},
			{"a page of one segment cannot be faulted in: the error says which bytes arrived", []machcompat.Segment{at(0, "arrives"), beyond, at(pageSize-96, "never")}, machcompat.KERN_MEMORY_ERROR, 1, 2, true},
		}
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				want := target.Bytes(base, int(2*pageSize))
				err := task.WriteBatch(c.segments)
				for i, s := range c.segments {
					inFront := s.Address >= base && s.Address+uint64(len(s.Data)) <= base+2*pageSize
					if inFront && (c.want == machcompat.KERN_SUCCESS || (c.partial && i < c.segment)) {
						copy(want[s.Address-base:], s.Data)
					}
				}
				if got := target.Bytes(base, int(2*pageSize)); !bytes.Equal(got, want) {
					t.Error("the first two pages do not hold what they must")
				}
				if c.want == machcompat.KERN_SUCCESS {
					if err != nil {
						t.Errorf("the batch = %v; want success", err)
					}
					return
				}
				e := wantError(t, err, c.want)
				if e.Segment != c.segment || e.Written != c.written || e.Partial != c.partial {
					t.Errorf("segment %d, written %d, partial %v; want %d, %d, %v", e.Segment, e.Written, e.Partial, c.segment, c.written, c.partial)
				}
			})
		}
	})
}

func TestBatchOverThousandsOfMappings(t *testing.T) {
	const mappings = 3000
	eachRun(t, func(t *testing.T, options ...machcompat.Option) {
		target := testtarget.Start(t)
		task := taskFor(t, target.PID, options...)
		base := target.Address("split %d", mappings)
		var segments []machcompat.Segment
		for i := range mappings {
			// Out of order, and some across two mappings.
			page := uint64(i*7919%mappings) * pageSize
			segments = append(segments, machcompat.Segment{Address: base + page + pageSize - 2 - uint64(i%2)*8, Data: []byte{byte(i), byte(i >> 8), 1, 2}})
		}
		segments = segments[:mappings-1]
		last := base + (mappings-1)*pageSize
		kept := segments[:0]
		for _, s := range segments {
			if s.Address+4 <= last+pageSize {
				kept = append(kept, s)
			}
		}
		if err := task.WriteBatch(kept); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(kept); i += 97 {
			if got := target.Bytes(kept[i].Address, 4); !bytes.Equal(got, kept[i].Data) {
				t.Errorf("segment %d: % x is there; want % x", i, got, kept[i].Data)
			}
		}
	})
}
