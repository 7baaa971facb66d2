// SPDX-License-Identifier: Apache-2.0

package address_test

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// chain is a real process with pointers that lead from one page to another.
type chain struct {
	target        *testtarget.Target
	task          *machcompat.Task
	path          string // of the program
	pointerSize   int
	first, second uint64 // pages: first+0x10 -> second, second+8 -> first+0x100
}

// eachWordSize runs f as a subtest for a process with pointers of each size.
func eachWordSize(t *testing.T, f func(t *testing.T, c chain)) {
	for _, goarch := range []string{"", "386", "amd64"} {
		if goarch == runtime.GOARCH {
			continue // as the first
		}
		t.Run(cmp.Or(goarch, "own"), func(t *testing.T) {
			c := chain{pointerSize: strconv.IntSize / 8}
			if goarch != "" {
				testtarget.Need(t, goarch)
				c.pointerSize = map[string]int{"386": 4, "amd64": 8}[goarch]
			}
			c.path = testtarget.Build(t, goarch)
			c.target = testtarget.StartBinary(t, c.path)
			task, err := machcompat.TaskForPID(c.target.PID)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { task.Close() })
			c.task = task
			c.first, c.second = c.target.Address("map rw- 1"), c.target.Address("map rw- 1")
			c.set(t, c.first+0x10, c.second)
			c.set(t, c.second+8, c.first+0x100)
			f(t, c)
		})
	}
}

// set writes a pointer, and behind one of 4 bytes what is no part of it.
func (c chain) set(t *testing.T, at, value uint64) {
	t.Helper()
	data := binary.NativeEndian.AppendUint64(nil, value)
	if c.pointerSize == 4 {
		data = binary.NativeEndian.AppendUint32(nil, uint32(value))
		data = append(data, 0xaa, 0xaa, 0xaa, 0xaa)
	}
	if err := c.task.Write(at, data); err != nil {
		t.Fatal(err)
	}
}

func parse(t *testing.T, format string, args ...any) *address.Expr {
	t.Helper()
	e, err := address.Parse(fmt.Sprintf(format, args...))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestResolveInAProcess(t *testing.T) {
	eachWordSize(t, func(t *testing.T, c chain) {
		program := c.target.Address("find %s", c.path)
		places := map[string]uint64{"@exe": program, "@vdso": c.target.Address("find [vdso]"), `"` + c.path + `"`: program}
		for m, err := range c.task.Regions() {
			if err != nil {
				t.Fatal(err)
			}
			if m.Path == "[stack]" {
				places["@stack"] = m.End
			}
			if m.Path == "[heap]" && places["@heap"] == 0 {
				places["@heap"] = m.Start
			}
		}
		r := address.NewResolver(c.task)
		for place, want := range places {
			if found, err := r.Resolve(parse(t, "%s", place)); err != nil || found.Address != want || found.PointerSize != c.pointerSize {
				t.Errorf("%s = %#x with pointers of %d bytes, %v; want %#x, %d", place, found.Address, found.PointerSize, err, want, c.pointerSize)
			}
		}
		for _, e := range []*address.Expr{
			parse(t, "%#x+0x10,8,4", c.first),
			parse(t, "[[%#x+0x10]+8]+4", c.first),
			parse(t, "@exe+%#x->8->4", c.first+0x10-program),
		} {
			found, err := r.Resolve(e)
			if err != nil || found.Address != c.first+0x104 || len(found.Links) != 2 || found.Links[0].Value != c.second {
				t.Errorf("%v = %+v, %v; want %#x", e, found, err, c.first+0x104)
			}
		}
		if m, offset, ok := r.Locate(program + 1); !ok || m.Path != c.path || offset != 1 {
			t.Errorf("Locate = %+v, %d, %v; want %s+0x1", m, offset, ok, c.path)
		}
	})
}

func TestBrokenChainInAProcess(t *testing.T) {
	page := os.Getpagesize()
	eachWordSize(t, func(t *testing.T, c chain) {
		r := address.NewResolver(c.task)
		e := parse(t, "%#x+0x10,8,4", c.first)
		for _, step := range []struct {
			name   string
			change func()
			want   machcompat.KernReturn
			at     uint64
			perms  string // of what is mapped there
		}{
			{"protected", func() { c.target.Do("protect %#x %d ---", c.second, page) }, machcompat.KERN_PROTECTION_FAILURE, c.second + 8, "---p"},
			{"unmapped", func() { c.target.Do("unmap %#x %d", c.second, page) }, machcompat.KERN_INVALID_ADDRESS, c.second + 8, ""},
			{"null", func() { c.set(t, c.first+0x10, 0) }, machcompat.KERN_INVALID_ADDRESS, 8, ""},
		} {
			step.change()
			_, err := r.Resolve(e)
			broken, ok := errors.AsType[*address.ChainError](err)
			if !ok || !errors.Is(err, step.want) || broken.Link != 1 || broken.Address != step.at || len(broken.Read) != 1 {
				t.Errorf("%s: %+v; want %s at pointer 2, %#x", step.name, err, step.want.String(), step.at)
				continue
			}
			if perms := permsOf(broken.Mapping); perms != step.perms {
				t.Errorf("%s: what is mapped there is %q; want %q", step.name, perms, step.perms)
			}
		}
		c.target.End()
		if _, err := r.Resolve(e); !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
			t.Errorf("the process has ended: %v", err)
		}
	})
}

func permsOf(m *procmaps.Mapping) string {
	if m == nil {
		return ""
	}
	return m.PermsText()
}

// A chain of three pointers, as often as a value is held.
func BenchmarkResolve(b *testing.B) {
	target := testtarget.Start(b)
	task, err := machcompat.TaskForPID(target.PID)
	if err != nil {
		b.Fatal(err)
	}
	defer task.Close()
	page := target.Address("map rw- 1") // of zeros
	e, err := address.Parse(fmt.Sprintf("@exe*0+%#x,%#x,%#x,4", page, page, page))
	if err != nil {
		b.Fatal(err)
	}
	r := address.NewResolver(task)
	var found address.Resolution
	b.ReportAllocs()
	for b.Loop() {
		if err := r.ResolveInto(&found, e); err != nil || len(found.Links) != 3 {
			b.Fatal(err)
		}
	}
}

// What an address is called does not depend on whether all modules are known.
func TestLocateByWhatIsAroundAnAddress(t *testing.T) {
	task := machcompatTask(t, os.Getpid())
	all := address.NewResolver(task)
	if _, err := all.Modules(); err != nil {
		t.Fatal(err)
	}
	named := 0
	for m, err := range task.Regions() {
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []uint64{m.Start, m.End - 1} {
			want, wantOffset, wantOK := all.Locate(at)
			got, offset, ok := address.NewResolver(task).Locate(at)
			if ok != wantOK || ok && (got.Name != want.Name || offset != wantOffset) {
				t.Errorf("%#x is %+v+%#x, %v; of all modules it is %+v+%#x, %v", at, got, offset, ok, want, wantOffset, wantOK)
			}
			if ok {
				named++
			}
		}
	}
	if named == 0 {
		t.Error("no address lies in a module")
	}
}

func machcompatTask(t *testing.T, pid int) *machcompat.Task {
	t.Helper()
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { task.Close() })
	return task
}
