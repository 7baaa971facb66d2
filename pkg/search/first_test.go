// SPDX-License-Identifier: Apache-2.0

package search

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// put returns size bytes with text at each of the places.
func put(size int, text string, places ...int) []byte {
	b := make([]byte, size)
	for _, place := range places {
		copy(b[place:], text)
	}
	return b
}

func TestFirstFindsEachMatchOnce(t *testing.T) {
	const base = 0x100000
	big := 3*jobSize + 5*page
	needle := "needle!"
	tests := []struct {
		name   string
		memory []part
		want   []uint64
	}{
		{"nothing is mapped", nil, nil},
		{"at the begin and at the end", []part{at(base, put(page, needle, 0, page-7))}, []uint64{base, base + uint64(page) - 7}},
		{"cut off by the end", []part{at(base, put(page, needle, page-6))}, nil},
		{"over the border of two blocks", []part{at(base, put(big, needle, blockSize-3))}, []uint64{base + blockSize - 3}},
		{"over the border of two jobs", []part{at(base, put(big, needle, jobSize-1, 2*jobSize, 3*jobSize-7))},
			[]uint64{base + jobSize - 1, base + 2*jobSize, base + 3*jobSize - 7}},
		{"over the border of two mappings", []part{at(base, put(page, needle[:3], page-3)), at(base+uint64(page), put(page, needle[3:], 0))}, []uint64{base + uint64(page) - 3}},
		{"not over a gap", []part{at(base, put(page, needle[:3], page-3)), at(base+2*uint64(page), put(page, needle[3:], 0))}, nil},
		{"on both sides of a page that can't be read", []part{at(base, put(4*page, needle, page-7, page+9, 2*page-8, 2*page), 1)},
			[]uint64{base + uint64(page) - 7, base + 2*uint64(page)}},
		{"behind a block that can't be read", []part{at(base, put(2*blockSize, needle, 5, blockSize), pages(0, blockSize)...)}, []uint64{base + blockSize}},
		{"where the next block can't be read", []part{at(base, put(2*blockSize, needle, blockSize-7, blockSize), pages(blockSize, 2*blockSize)...)}, []uint64{base + blockSize - 7}},
	}
	for _, test := range tests {
		for _, threads := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/%d", test.name, threads), func(t *testing.T) {
				got := addresses(search(t, &fake{parts: test.memory}, must(Text(needle)), Options{Threads: threads}))
				if !slices.Equal(got, test.want) {
					t.Errorf("found %#x; want %#x", got, test.want)
				}
			})
		}
	}
}

// pages are those between two places of a mapping.
func pages(from, to int) (pages []int) {
	for i := from / page; i < to/page; i++ {
		pages = append(pages, i)
	}
	return pages
}

func TestFirstChoosesMappings(t *testing.T) {
	mapping := func(i int, perms procmaps.Perms, path string) part {
		p := at(uint64(i)<<20, put(page, "x", 0))
		p.mapping.Perms, p.mapping.Path = perms, path
		return p
	}
	const rx, r = procmaps.Read | procmaps.Execute, procmaps.Read
	memory := &fake{parts: []part{
		mapping(1, rw, "/f"), mapping(2, rx, "/f"), mapping(3, r, "/f"), mapping(4, procmaps.Write, "/f"), mapping(5, rw|rx, "/f"),
		mapping(6, rw, "/dev/mem"), mapping(7, rw, "/dev/shm/f"), mapping(8, r, "[vvar]"), mapping(9, rx, "[vdso]"), mapping(10, rw, "/sys/bus/resource0"),
	}}
	tests := []struct {
		name    string
		options Options
		want    []uint64 // in MiB
		skipped int      // pages
	}{
		{"all that can be read, but devices and what is the kernel's", Options{}, []uint64{1, 2, 3, 5, 7, 9}, 3},
		{"those that can be written", Options{Want: procmaps.Write}, []uint64{1, 5, 7}, 2},
		{"code that can't be written", Options{Want: procmaps.Execute, Without: procmaps.Write}, []uint64{2, 9}, 0},
		{"inside ranges, in any order", Options{Within: []Range{{3 << 20, 8 << 20}, {1<<20 + 1, 2<<20 + 1}, {5 << 20, 6 << 20}, {9, 9}}}, []uint64{2, 3, 5, 7}, 1},
		{"the first two", Options{Limit: 2}, []uint64{1, 2}, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := First(context.Background(), memory, must(Text("x")), test.options)
			got := addresses(all(t, s))
			for i := range got {
				got[i] >>= 20
			}
			if !slices.Equal(got, test.want) || s.Stats().Skipped != uint64(test.skipped*page) {
				t.Errorf("found %d, %d bytes skipped; want %d and %d pages", got, s.Stats().Skipped, test.want, test.skipped)
			}
		})
	}
}

func TestStatsCountEachByteOnce(t *testing.T) {
	memory := &fake{parts: []part{at(1<<20, make([]byte, 2*blockSize+page), append(pages(blockSize-page, blockSize+page), 0)...)}}
	s := First(context.Background(), memory, must(Text("needle")), Options{})
	all(t, s)
	want := Stats{Total: uint64(2*blockSize + page), Read: uint64(2*blockSize - 2*page), Skipped: uint64(3 * page)}
	if got := s.Stats(); got != want {
		t.Errorf("Stats = %+v; want %+v", got, want)
	}
}

func TestFirstEnds(t *testing.T) {
	memory := &fake{parts: []part{at(1<<20, bytes.Repeat([]byte("ab"), 4*jobSize))}}
	before := runtime.NumGoroutine()
	canceled, cancel := context.WithCancel(context.Background())
	defer cancel()
	count := 0
	for _, err := range First(canceled, memory, must(Text("ab")), Options{}).All() {
		if count++; count == 10 {
			cancel()
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err != nil {
			count = -1
		}
	}
	if count != -1 {
		t.Error("a search that was cancelled ends without an error")
	}
	for range First(context.Background(), memory, must(Text("ab")), Options{}).All() {
		break
	}
	for _, err := range First(canceled, memory, must(Text("ab")), Options{}).All() {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a search with a context that is done yields %v", err)
		}
	}
	memory.gone.Store(true)
	for _, err := range First(context.Background(), memory, must(Text("ab")), Options{}).All() {
		if err != errGone {
			t.Errorf("a search of a process that is gone yields %v", err)
		}
	}
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left over", runtime.NumGoroutine()-before)
		}
	}
}

func TestGoneMeanwhile(t *testing.T) {
	memory := &fake{parts: []part{at(1<<20, bytes.Repeat([]byte("ab"), 16*jobSize))}}
	var last error
	for _, err := range First(context.Background(), memory, must(Text("ab")), Options{Threads: 1}).All() {
		memory.gone.Store(true) // the worker is behind the first job by now
		last = err
	}
	if last != errGone {
		t.Errorf("the search ends with %v", last)
	}
}

func TestProgress(t *testing.T) {
	memory := &fake{parts: []part{at(1<<20, make([]byte, 3*progressStep+page))}}
	var seen []uint64
	o := Options{Threads: 2, Progress: func(done, total uint64) {
		if total != uint64(3*progressStep+page) {
			t.Errorf("total = %d", total)
		}
		seen = append(seen, done)
	}}
	search(t, memory, must(Text("needle")), o)
	if !slices.IsSorted(seen) || len(seen) < 3 || seen[len(seen)-1] != uint64(3*progressStep+page) {
		t.Errorf("progress is %d", seen)
	}
}

// reference finds what First should, slowly.
func reference(data []byte, address uint64, f *form) (want []found) {
	for i := 0; i+f.size() <= len(data); i++ {
		b := data[i : i+f.size()]
		if at := address + uint64(i); at%f.align == 0 && f.matches(b) {
			want = append(want, found{f.place.of(at, b), at, string(b)})
		}
	}
	return want
}

// few makes memory in which short patterns are frequent.
func few(random *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.IntN(3))
	}
	return b
}

func TestFirstEqualsASlowSearch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	long, short := few(random, jobSize+3*page), few(random, blockSize+3*page)
	for _, what := range []Matcher{
		must(ParsePattern("01 02 00 01 01")), must(ParsePattern("?1 02 ?? 0? 01 00 02 02")), must(ParsePattern("02 $ 01")),
		must(Equal(int32(0x01020001))), must(Equal(uint64(0x0102000101020200))), must(Between(uint16(0x101), 0x102)), must(Equal(uint8(1), 2, 1, 2, 2, 0, 1)),
	} {
		for _, align := range []int{0, 1, 3, 128} {
			data := short
			if align == 0 {
				data = long
			}
			o := Options{Align: align, Threads: 3}
			f := *what.compiled()
			if align > 0 {
				f.align = uint64(align)
			}
			want := reference(data, 1<<20, &f)
			if got := search(t, &fake{parts: []part{at(1<<20, data)}}, what, o); (align < 128 && len(want) == 0) || !slices.Equal(got, want) {
				t.Errorf("%+v, align %d: %d found; want %d", f, align, len(got), len(want))
			}
		}
	}
}

func TestUntouchedPages(t *testing.T) {
	memory, err := unix.Mmap(-1, 0, 9*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	unix.Madvise(memory, unix.MADV_NOHUGEPAGE) // EINVAL where the kernel has none
	want := []bool{false, true, false, true, false, true, true, false, false}
	for i, untouched := range want {
		if !untouched {
			memory[i*page] = 1
		}
	}
	pagemap := openPagemap(os.Getpid())
	defer pagemap.close()
	address := uint64(linux.AddressOf(memory))
	got, buffer, regions := make([]bool, len(want)), make([]byte, 8*len(want)), make([]linux.PageRegion, len(want)/2+1)
	if pagemap.scan(got, regions, address) && !slices.Equal(got, want) {
		t.Errorf("the ioctl says %t; want %t", got, want)
	}
	clear(got)
	if pagemap.read(got, buffer, address); !slices.Equal(got, want) {
		t.Errorf("the file says %t; want %t", got, want)
	}
	if pagemap.untouched(got, buffer, regions, address+5); !slices.Equal(got, want) {
		t.Errorf("untouched = %t; want %t", got, want)
	}
	for _, p := range []int{0, -1, 1 << 30} {
		pagemap := openPagemap(p)
		if pagemap.untouched(got, buffer, regions, address); slices.Contains(got, true) {
			t.Errorf("of process %d it says %t", p, got)
		}
		pagemap.close()
	}
}

func TestFirstInAProcess(t *testing.T) {
	target := testtarget.Start(t)
	testtarget.Need(t, "own children")
	const size = 64 << 20
	untouched := target.Address("map rw- %d", size/page)
	other := target.Address("map rw- 3")
	task, err := machcompat.TaskForPID(target.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer task.Close()
	value := uint64(0x6b9e1d4cf2a83507)
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], value)
	places := []uint64{untouched + 5*uint64(page) - 8, untouched + size - 8, other + uint64(page)}
	for _, place := range places {
		if err := task.Write(place, b[:]); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(places)
	o := Options{Want: procmaps.Write, Within: []Range{{untouched, untouched + size}, {other, other + 3*uint64(page)}}}
	s := First(context.Background(), task, must(Equal(value)), o)
	var got []uint64
	for m, err := range s.All() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Address)
		testtarget.WantFree(t, target.PID)
	}
	if !slices.Equal(got, places) {
		t.Errorf("found %#x; want %#x", got, places)
	}
	total := uint64(size + 3*page)
	if got := s.Stats(); got.Untouched < total/2 || got.Read == 0 || got.Read+got.Untouched != total || got.Total != total {
		t.Errorf("Stats = %+v", got)
	}
	t.Run("zeros are found in memory that was never touched", func(t *testing.T) {
		o := o
		o.Align = page
		got := search(t, task, must(Equal(uint64(0))), o)
		if want := int(total)/page - 1; len(got) != want { // one page begins with the value
			t.Errorf("%d pages begin with zeros; want %d", len(got), want)
		}
	})
	t.Run("it ends", func(t *testing.T) {
		target.Kill()
		for _, err := range First(context.Background(), task, must(Equal(value)), o).All() {
			if !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
				t.Errorf("a search of a process that is gone yields %v", err)
			}
		}
	})
}

// What another program has at the same addresses is no match.
func TestFirstWhileTheProcessRunsAnotherProgram(t *testing.T) {
	target := testtarget.Start(t)
	testtarget.Need(t, "own children")
	const size = 4 * progressStep
	base := target.Address("map rw- %d", size/page)
	task := must(machcompat.TaskForPID(target.PID))
	defer task.Close()
	for at := uint64(0); at < size; at += jobSize {
		if err := task.Write(base+at, bytes.Repeat([]byte{7}, jobSize)); err != nil {
			t.Fatal(err)
		}
	}
	replaced := false
	o := Options{Align: page, Within: []Range{{base, base + size}}, Progress: func(_, _ uint64) {
		if !replaced { // the workers wait
			replaced = true
			target.Try("execself")
		}
	}}
	var last error
	count := 0
	for _, err := range First(context.Background(), task, must(Equal(uint8(7))), o).All() {
		count++
		last = err
	}
	if !errors.Is(last, machcompat.KERN_INVALID_ARGUMENT) || count > 2*progressStep/page {
		t.Errorf("the search ends after %d matches with %v", count, last)
	}
}

func TestFewMatchesAreHeld(t *testing.T) {
	const jobs = 12
	memory := &fake{parts: []part{at(1<<20, make([]byte, jobs*jobSize))}}
	s := First(context.Background(), memory, must(Equal(uint8(0))), Options{Threads: 2})
	for range s.All() {
		testtarget.WaitFor(t, "the workers to wait for the consumer", func() bool {
			s.mutex.Lock()
			defer s.mutex.Unlock()
			idle := s.held > maxHeld
			for i := s.head; i < s.next; i++ {
				idle = idle && s.slots[i%len(s.slots)].done
			}
			return idle
		})
		if most := maxHeld/(8*jobSize) + 3; s.next > most {
			t.Errorf("%d of %d jobs are done before the first match is looked at; want at most %d", s.next, jobs, most)
		}
		break
	}
}
