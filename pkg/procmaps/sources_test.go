// SPDX-License-Identifier: Apache-2.0

package procmaps_test

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/procfs"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// oracle is the list of mappings as another program's library reads it, good
// for names and offsets that hold no surprise. It has the gate page too, which
// is no mapping of the process, and the kernel's data as readable.
func oracle(t *testing.T, pid int) (all []procmaps.Mapping) {
	t.Helper()
	proc, err := procfs.NewProc(pid)
	if err != nil {
		t.Fatal(err)
	}
	maps, err := proc.ProcMaps()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range maps {
		if m.Pathname == "[vsyscall]" {
			continue
		}
		var perms procmaps.Perms
		for perm, has := range map[procmaps.Perms]bool{procmaps.Read: m.Perms.Read, procmaps.Write: m.Perms.Write, procmaps.Execute: m.Perms.Execute} {
			if has && !strings.HasPrefix(m.Pathname, "[vvar") {
				perms |= perm
			}
		}
		all = append(all, procmaps.Mapping{
			Start: uint64(m.StartAddr), End: uint64(m.EndAddr), Perms: perms, Shared: m.Perms.Shared,
			Offset: uint64(m.Offset), Inode: m.Inode, Path: m.Pathname,
			Dev: procmaps.Dev{Major: unix.Major(m.Dev), Minor: unix.Minor(m.Dev)},
		})
	}
	return all
}

func TestBothSourcesTellWhatAnotherLibraryReads(t *testing.T) {
	directory := t.TempDir()
	target := testtarget.Start(t)
	target.Do("layout rw-:1,r--:2,gap:1,r-x:1,---:1,rwx:1,-w-:1,--x:1")
	target.Do("map rw- 3 shared")
	target.Do("file %s/private rw- 2 4096 private", directory)
	target.Do("file %s/shared r-- 2 8192 shared", directory)
	target.Do("split 40")
	freeze(t, target.PID)
	want := oracle(t, target.PID)
	if len(want) < 60 {
		t.Fatalf("the oracle reads %d mappings; want 60 and more", len(want))
	}
	eachSource(t, func(t *testing.T, source procmaps.Source) {
		got := mustCollect(t, open(t, target.PID, source).All())
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Fatalf("mapping %d of %d is %v; want that of %d: %v", i, len(got), got[min(i, len(got)-1)], len(want), want[min(i, len(want)-1)])
			}
		}
	})
}

var hugeOffsets = map[int][]uint64{
	32: {1<<44 - 2*uint64(page)},
	64: {1 << 63, math.MaxUint64 - 2*uint64(page) + 1},
}[strconv.IntSize]

// hostileSplit is how many mappings that are alike a hostile target has.
var hostileSplit = testtarget.Sized(500, 5000)

// hostile starts a target whose mappings have all that is hard to read.
func hostile(t *testing.T) *testtarget.Target {
	t.Helper()
	directory := t.TempDir()
	target := testtarget.Start(t)
	target.Do("layout rw-:1,gap:1,r--:1,gap:3,rw-:2,rw-:1")
	for _, name := range []string{"a\nb", "a b", "tab\tand \r", " (deleted)", `back\slash\012`, "[heap]", "[vvar]", "a [vvar]", "\xff\xfe", "trailing  ", "\n"} {
		target.Do("named %x r-- 0", directory+"/"+name)
	}
	gone := directory + "/is\nno more"
	target.Do("named %x rw- 0", gone)
	if err := unix.Unlink(gone); err != nil {
		t.Fatal(err)
	}
	// A device takes any offset, a file none beyond its greatest size, and mmap2
	// of 32 bits none that its count of pages can't hold.
	for _, offset := range hugeOffsets {
		target.Do("named %x r-- %#x", "/dev/zero", offset)
	}
	target.Do("deep %s 4095", directory) // longer than the ioctl's buffer
	target.Do("deep %s 67000", directory)
	target.Do("map rw- 1 shared")
	target.Do("split %d", hostileSplit)
	freeze(t, target.PID)
	return target
}

func TestBothSourcesReadAHostileTargetAlike(t *testing.T) {
	needSource(t, procmaps.Ioctl)
	target := hostile(t)
	ioctl, text := open(t, target.PID, procmaps.Ioctl), open(t, target.PID, procmaps.Text)
	all := mustCollect(t, ioctl.All())
	expectHostile(t, all)

	t.Run("All yields every mapping in order", func(t *testing.T) {
		same(t, "All", mustCollect(t, text.All()), all)
		for i := 1; i < len(all); i++ {
			if all[i].Start < all[i-1].End {
				t.Errorf("%v begins before the end of %v", all[i], all[i-1])
			}
		}
	})
	t.Run("Walk visits the same without the names", func(t *testing.T) {
		var want []procmaps.Span
		for _, mapping := range all {
			want = append(want, mapping.Span())
		}
		for _, maps := range []*procmaps.Maps{ioctl, text} {
			if got := spans(t, maps, 0, math.MaxUint64); !slices.Equal(got, want) {
				t.Errorf("Walk through %v visits %d spans, not the %d of All", maps.Source(), len(got), len(want))
			}
		}
	})
	// Of the thousands that are alike, a few will do.
	var some []procmaps.Mapping
	for i, mapping := range all {
		if mapping.End-mapping.Start != uint64(page) || mapping.Path != "" || i%(hostileSplit/10) == 0 {
			some = append(some, mapping)
		}
	}
	t.Run("Find at starts, ends, middles and in gaps", func(t *testing.T) {
		for _, mapping := range some {
			middle := mapping.Start + (mapping.End-mapping.Start)/2
			for _, address := range []uint64{mapping.Start - 1, mapping.Start, middle, mapping.End - 1, mapping.End} {
				i := slices.IndexFunc(all, func(m procmaps.Mapping) bool { return m.Contains(address) })
				var want procmaps.Mapping
				if i >= 0 {
					want = all[i]
				}
				for _, maps := range []*procmaps.Maps{ioctl, text} {
					got, found, err := maps.Find(address)
					if err != nil || found != (i >= 0) || got != want {
						t.Errorf("Find(%#x) through %v = %.200v, %v, %v; want %.200v", address, maps.Source(), got, found, err, want)
					}
				}
			}
		}
		for _, address := range []uint64{0, 1 << 63, 0xffffffffff600000, math.MaxUint64 - 1, math.MaxUint64} {
			for _, maps := range []*procmaps.Maps{ioctl, text} {
				if got, found, err := maps.Find(address); err != nil || found || got != (procmaps.Mapping{}) {
					t.Errorf("Find(%#x) through %v = %v, %v, %v; want nothing", address, maps.Source(), got, found, err)
				}
			}
		}
	})
	t.Run("Range and Walk from and to starts, ends and middles", func(t *testing.T) {
		for i, mapping := range some {
			next := some[min(i+1, len(some)-1)]
			for _, start := range []uint64{mapping.Start - 1, mapping.Start, mapping.Start + 1, mapping.End - 1, mapping.End} {
				for _, end := range []uint64{mapping.Start, mapping.Start + 1, mapping.End, mapping.End + 1, next.Start, next.Start + 1} {
					var want []procmaps.Mapping
					var wantSpans []procmaps.Span
					for _, m := range all {
						if start < end && m.Start < end && start < m.End {
							want, wantSpans = append(want, m), append(wantSpans, m.Span())
						}
					}
					for _, maps := range []*procmaps.Maps{ioctl, text} {
						same(t, "Range", mustCollect(t, maps.Range(start, end)), want)
						if got := spans(t, maps, start, end); !slices.Equal(got, wantSpans) {
							t.Errorf("Walk(%#x, %#x) through %v visits %d spans; want %d", start, end, maps.Source(), len(got), len(wantSpans))
						}
					}
				}
			}
		}
	})
}

func same(t *testing.T, what string, got, want []procmaps.Mapping) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s yields %d mappings that are not the %d wanted", what, len(got), len(want))
	}
}

// expectHostile makes sure that what is hard to read is there to be read.
func expectHostile(t *testing.T, all []procmaps.Mapping) {
	t.Helper()
	has := func(what string, f func(m procmaps.Mapping) bool) {
		t.Helper()
		if !slices.ContainsFunc(all, f) {
			t.Errorf("no mapping has %s", what)
		}
	}
	for _, suffix := range []string{`/a\012b`, "/a b", "/tab\tand \r", "/ (deleted)", `/back\slash\012`, "/[heap]", "/[vvar]", "/a [vvar]", "/\xff\xfe", "/trailing  ", `/\012`, `/is\012no more (deleted)`} {
		has("a name that ends in "+suffix, func(m procmaps.Mapping) bool { return strings.HasSuffix(m.Path, suffix) })
	}
	for _, offset := range hugeOffsets {
		has("an offset so high", func(m procmaps.Mapping) bool { return m.Offset == offset && m.Path == "/dev/zero" })
	}
	for _, length := range []int{4095, 67000} {
		has("a path of KBs", func(m procmaps.Mapping) bool { return len(m.Path) >= length && len(m.Path) < length+300 })
	}
	has("shared memory", func(m procmaps.Mapping) bool { return m.Shared })
	if len(all) < hostileSplit {
		t.Errorf("%d mappings; want %d and more", len(all), hostileSplit)
	}
	for _, m := range all {
		if isData := strings.HasPrefix(m.Path, "[vvar"); isData && m.Perms != 0 || strings.HasSuffix(m.Path, " [vvar]") && m.Perms != procmaps.Read {
			t.Errorf("%v: want no permission for the kernel's data, and a file's own for one of such a name", m)
		}
	}
	if slices.ContainsFunc(all, func(m procmaps.Mapping) bool { return m.Path == "[vsyscall]" }) {
		t.Error("the gate page is listed; it is no mapping of the process")
	}
}

func TestAWalkThatIsBrokenOffStops(t *testing.T) {
	target := testtarget.Start(t)
	eachSource(t, func(t *testing.T, source procmaps.Source) {
		maps := open(t, target.PID, source)
		yielded, visited := 0, 0
		for range maps.All() {
			yielded++
			break
		}
		err := maps.Walk(0, math.MaxUint64, func(procmaps.Span) bool {
			visited++
			return false
		})
		if yielded != 1 || visited != 1 || err != nil {
			t.Errorf("%d yielded and %d visited, %v; want 1 of each", yielded, visited, err)
		}
	})
}

func TestAnEmptyRangeHoldsNothing(t *testing.T) {
	target := testtarget.Start(t)
	address := target.Address("map rw- 4")
	eachSource(t, func(t *testing.T, source procmaps.Source) {
		maps := open(t, target.PID, source)
		for _, end := range []uint64{address, address - 1, 0} {
			if got := mustCollect(t, maps.Range(address, end)); got != nil {
				t.Errorf("Range(%#x, %#x) = %v; want nothing", address, end, got)
			}
			if got := spans(t, maps, address, end); got != nil {
				t.Errorf("Walk(%#x, %#x) visits %v; want nothing", address, end, got)
			}
		}
	})
}

func TestAutoTakesTheIoctlWhereTheKernelHasIt(t *testing.T) {
	needSource(t, procmaps.Ioctl)
	target := testtarget.Start(t)
	for range 2 { // the second time from memory
		maps, err := procmaps.Open(target.PID)
		if err != nil {
			t.Fatal(err)
		}
		defer maps.Close()
		if maps.Source() != procmaps.Ioctl {
			t.Errorf("Source() = %v; want ioctl", maps.Source())
		}
	}
	for source, want := range map[procmaps.Source]string{procmaps.Auto: "auto", procmaps.Ioctl: "ioctl", procmaps.Text: "text", 9: "Source(9)"} {
		if got := source.String(); got != want {
			t.Errorf("String() = %s; want %s", got, want)
		}
	}
}
