// SPDX-License-Identifier: Apache-2.0

package search

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// kept returns the candidates as they are in the file.
func kept(t testing.TB, c *Candidates) (matches []found) {
	t.Helper()
	for m, err := range c.All() {
		if err != nil {
			t.Fatal(err)
		}
		matches = append(matches, found{m.Address, m.At, string(m.Bytes)})
	}
	if uint64(len(matches)) != c.Count() {
		t.Errorf("%d candidates; Count = %d", len(matches), c.Count())
	}
	return matches
}

func save(t testing.TB, m Memory, what Matcher, o Options) *Candidates {
	t.Helper()
	c, stats, err := Save(context.Background(), filepath.Join(t.TempDir(), "candidates"), "run 1", m, what, o)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Matches != c.Count() {
		t.Errorf("%d matches and %d candidates", stats.Matches, c.Count())
	}
	return c
}

func next(t testing.TB, c *Candidates, m Memory, how Compare) NextStats {
	t.Helper()
	stats, err := c.Next(context.Background(), m, how, c.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

func TestSaveKeepsWhatFirstFinds(t *testing.T) {
	data := mixture(jobSize + blockSize)
	memory := &fake{parts: []part{at(1<<20, data), at(64<<20, make([]byte, 2*jobSize)), at(1<<40, data[:page])}}
	near := []Range{{1<<20 + 5, 1<<20 + maxRun + 2*uint64(page)}, {3<<20 - 3*uint64(page), 3<<20 + uint64(page)}, {1 << 40, 1 << 41}}
	for name, what := range map[string]Matcher{
		"an unknown i32":   must(Unknown(I32)),
		"an unknown f64":   must(Unknown(F64)),
		"zeros":            must(Equal(int16(0))),
		"a pattern with |": must(ParsePattern("00 | 00 00 00 00")),
		"a pattern with $": must(ParsePattern("7f $ 00")),
		"an array":         must(ParseValue(U32, "0 ? 0..100")),
	} {
		for _, align := range []int{0, 1, 16} {
			o := Options{Align: align, Within: near}
			want := search(t, memory, what, o)
			c := save(t, memory, what, o)
			if got := kept(t, c); len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%s, align %d: %d candidates; want %d", name, align, len(got), len(want))
			}
			loaded, err := Load(c.path, "run 1")
			if err != nil || *loaded != *c {
				t.Errorf("Load = %+v, %v; want %+v", loaded, err, c)
			}
		}
	}
	t.Run("memory that is all zeros takes no room", func(t *testing.T) {
		c := save(t, memory, must(Unknown(U8)), Options{Within: []Range{{64 << 20, 64<<20 + 2*jobSize}}})
		if info := must(os.Stat(c.path)); c.Count() != 2*jobSize || info.Size() > 4096 || info.Mode() != 0o600 {
			t.Errorf("%d candidates in %d bytes, %v", c.Count(), info.Size(), info.Mode())
		}
	})
}

func TestNext(t *testing.T) {
	i32 := func(n ...int32) (all [][]byte) {
		for _, n := range n {
			all = append(all, encoded(n))
		}
		return all
	}
	u8 := func(n ...byte) (all [][]byte) {
		for _, n := range n {
			all = append(all, []byte{n})
		}
		return all
	}
	f32 := func(n ...float64) (all [][]byte) {
		for _, n := range n {
			all = append(all, encoded(float32(n)))
		}
		return all
	}
	value := func(t Type, text string) *Value { return must(ParseValue(t, text)) }
	nan, inf := math.NaN(), math.Inf(1)
	tests := []struct {
		name    string
		t       Type
		how     Compare
		was, is [][]byte
		want    []int // of them
	}{
		{"equal", I32, Compare{Op: OpEqual, Value: value(I32, "7")}, i32(7, 7, 1, 1), i32(7, 8, 7, 1), []int{0, 2}},
		{"in a range", I32, Compare{Op: OpEqual, Value: value(I32, "-1..7")}, i32(7, 7, 1, 1), i32(7, 8, -1, 1), []int{0, 2, 3}},
		{"changed", I32, Compare{Op: OpChanged}, i32(7, 7, 1, 1), i32(7, 8, 7, 1), []int{1, 2}},
		{"unchanged", I32, Compare{Op: OpUnchanged}, i32(7, 7, 1, 1), i32(7, 8, 7, 1), []int{0, 3}},
		{"increased", I32, Compare{Op: OpIncreased}, i32(7, 7, 1, -1, 5), i32(7, 8, 7, 1, -5), []int{1, 2, 3}},
		{"decreased", I32, Compare{Op: OpDecreased}, i32(7, 7, 1, -1, 5), i32(7, 8, 7, 1, -5), []int{4}},
		{"increased by 5", I32, Compare{Op: OpIncreased, By: value(I32, "5")}, i32(1, 1, 6, -2), i32(6, 7, 1, 3), []int{0, 3}},
		{"decreased by 5", I32, Compare{Op: OpDecreased, By: value(I32, "5")}, i32(1, 1, 6, 3), i32(6, 7, 1, -2), []int{2, 3}},
		{"changed by 5", I32, Compare{Op: OpChanged, By: value(I32, "5")}, i32(1, 1, 6, 3), i32(6, 7, 1, -2), []int{0, 2, 3}},
		{"increased by a range", I32, Compare{Op: OpIncreased, By: value(I32, "1..5")}, i32(0, 0, 0, 0), i32(0, 1, 5, 6), []int{1, 2}},
		{"a wrap is no increase", I32, Compare{Op: OpIncreased}, i32(math.MaxInt32, 0), i32(math.MinInt32, math.MaxInt32), []int{1}},
		{"a wrap is no increase by 5", U8, Compare{Op: OpIncreased, By: value(U8, "5")}, u8(255, 250, 0), u8(4, 255, 5), []int{1, 2}},
		{"a wrap is a decrease by the rest", U8, Compare{Op: OpDecreased, By: value(U8, "251")}, u8(255, 250), u8(4, 255), []int{0}},
		{"an increase by more than the type has", I8, Compare{Op: OpIncreased, By: value(I8, "-56")}, u8(0x9c), u8(100), nil},
		{"and by any amount", I8, Compare{Op: OpIncreased}, u8(0x9c), u8(100), []int{0}},
		{"large u64", U64, Compare{Op: OpIncreased}, [][]byte{encoded(uint64(1)), encoded(uint64(math.MaxUint64))}, [][]byte{encoded(uint64(math.MaxUint64)), encoded(uint64(1))}, []int{0}},
		{"floats increased", F32, Compare{Op: OpIncreased}, f32(1, -1, 1, 0, nan, 1), f32(1.5, -0.5, 0.5, inf, 1, nan), []int{0, 1, 3}},
		{"floats decreased", F32, Compare{Op: OpDecreased}, f32(1, -1, 1, 0, nan, 1), f32(1.5, -0.5, 0.5, -inf, 1, nan), []int{2, 3}},
		{"floats increased by what rounds", F32, Compare{Op: OpIncreased, By: value(F32, "0.1")}, f32(1, 1, 1), f32(1.1, 1.14, 1.2), []int{0, 1}},
		{"floats changed by what rounds", F32, Compare{Op: OpChanged, By: value(F32, "10+-1")}, f32(1, 1, 1), f32(12, -10, 13), []int{0, 1}},
		{"floats equal within a tolerance", F32, Compare{Op: OpEqual, Value: value(F32, "0.1")}, f32(1, 1, 1), f32(0.1, 0.14, nan), []int{0, 1}},
		{"NaN is unchanged", F32, Compare{Op: OpUnchanged}, f32(nan, nan, 1), f32(nan, 1, nan), []int{0}},
		{"NaN is changed", F32, Compare{Op: OpChanged}, f32(nan, nan, 1), f32(nan, 1, nan), []int{1, 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			memory := &fake{parts: []part{at(uint64(page), slices.Concat(test.was...))}}
			c := save(t, memory, must(Unknown(test.t)), Options{})
			memory.parts[0].data = slices.Concat(test.is...)
			stats := next(t, c, memory, test.how)
			var want []found
			for _, i := range test.want {
				address := uint64(page + i*test.t.Size())
				want = append(want, found{address, address, string(test.is[i])})
			}
			if got := kept(t, c); stats.After > 0 && !slices.Equal(got, want) {
				t.Errorf("%v are left; want %v", got, want)
			}
			if stats != (NextStats{Before: uint64(len(test.was)), After: uint64(len(want))}) {
				t.Errorf("%+v", stats)
			}
		})
	}
}

func TestNextOfPatterns(t *testing.T) {
	memory := &fake{parts: []part{at(uint64(page), []byte("\xe8\x10\x00\x00\x00..\xe8\x20\x00\x00\x00"))}}
	c := save(t, memory, must(ParsePattern("e8 $")), Options{})
	copy(memory.parts[0].data[1:], "\x30")
	next(t, c, memory, Compare{Op: OpChanged})
	if got, want := kept(t, c), []found{{uint64(page) + 0x35, uint64(page), "\xe8\x30\x00\x00\x00"}}; !slices.Equal(got, want) {
		t.Errorf("%v are left; want %v", got, want)
	}
	if stats := next(t, c, memory, Compare{Op: OpEqual, Value: must(ParsePattern("e8 31 00 00 00"))}); stats.After != 0 {
		t.Errorf("%d are left", stats.After)
	}
}

func TestNextIsRefused(t *testing.T) {
	memory := &fake{parts: []part{at(uint64(page), make([]byte, 64))}}
	number, array, text := save(t, memory, must(Equal(int32(0))), Options{}), save(t, memory, must(Equal(int32(0), 0)), Options{}), save(t, memory, must(Text("\x00")), Options{})
	one, byte1 := must(Equal(int32(1))), must(Equal(uint8(1)))
	tests := []struct {
		name string
		c    *Candidates
		how  Compare
	}{
		{"no comparison", number, Compare{}},
		{"no value", number, Compare{Op: OpEqual}},
		{"a value of another type", number, Compare{Op: OpEqual, Value: must(Equal(uint32(1)))}},
		{"an array for a number", number, Compare{Op: OpEqual, Value: must(Equal(int32(1), 2))}},
		{"by a number of another type", number, Compare{Op: OpIncreased, By: byte1}},
		{"by an array", number, Compare{Op: OpIncreased, By: must(Equal(int32(1), 2))}},
		{"an increased array", array, Compare{Op: OpIncreased}},
		{"an array by a number", array, Compare{Op: OpChanged, By: one}},
		{"a decreased text", text, Compare{Op: OpDecreased}},
	}
	for _, test := range tests {
		before := test.c.Count()
		if _, err := test.c.Next(context.Background(), memory, test.how, test.c.path, nil); err == nil || test.c.Count() != before {
			t.Errorf("%s: %v, %d candidates of %d", test.name, err, test.c.Count(), before)
		}
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := number.Next(canceled, memory, Compare{Op: OpChanged}, number.path, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a Next that is cancelled returns %v", err)
	}
	memory.gone.Store(true)
	if _, err := number.Next(context.Background(), memory, Compare{Op: OpChanged}, number.path, nil); err != errGone || len(kept(t, number)) != 16 {
		t.Errorf("a Next of a process that is gone returns %v", err)
	}
}

func TestNextWritesToAnotherFile(t *testing.T) {
	data := make([]byte, page)
	memory := &fake{parts: []part{at(1<<20, data)}}
	c := save(t, memory, must(Unknown(I32)), Options{})
	first, second := c.path, filepath.Join(t.TempDir(), "second")
	before := kept(t, c)
	data[8] = 1
	stats, err := c.Next(context.Background(), memory, Compare{Op: OpChanged}, second, nil)
	if err != nil || stats.After != 1 || !slices.Equal(addresses(kept(t, c)), []uint64{1<<20 + 8}) {
		t.Errorf("%+v, %v: the candidates are %#x", stats, err, addresses(kept(t, c)))
	}
	if old, err := Load(first, c.identity); err != nil || !slices.Equal(kept(t, old), before) {
		t.Errorf("the first file has changed: %v", err)
	}
	if stats, err = c.Next(context.Background(), memory, Compare{Op: OpChanged}, second, nil); err != nil || stats.After != 0 || c.Count() != 1 || len(kept(t, c)) != 1 {
		t.Errorf("where nothing is left: %+v, %v, %d candidates", stats, err, c.Count())
	}
}

func TestNextDropsWhatCannotBeRead(t *testing.T) {
	data := make([]byte, 40*page)
	memory := &fake{parts: []part{at(1<<20, data), at(2<<20, data)}}
	for _, align := range []int{4, 3, page} {
		c := save(t, memory, must(Equal(uint32(0))), Options{Align: align})
		want := slices.DeleteFunc(kept(t, c), func(m found) bool {
			in := int(m.At - 1<<20)
			return m.At >= 2<<20 || in/page == 7 || (in+3)/page == 7 || in/page >= 30 || (in+3)/page >= 30
		})
		shrunk := &fake{parts: []part{at(1<<20, data, append(pages(30*page, 40*page), 7)...)}}
		stats := next(t, c, shrunk, Compare{Op: OpUnchanged})
		if got := kept(t, c); !slices.Equal(got, want) || stats.Dropped != stats.Before-stats.After {
			t.Errorf("align %d: %d are left, %+v; want %d", align, len(got), stats, len(want))
		}
	}
}

// To read a page of shared memory makes it, so what was never touched is not read.
func TestSearchDoesNotFillSharedMemory(t *testing.T) {
	testtarget.Need(t, "own children")
	target := testtarget.Start(t)
	const pages = 4096
	base := target.Address("map rw- %d shared", pages)
	task := must(machcompat.TaskForPID(target.PID))
	defer task.Close()
	if err := task.Write(base+uint64(7*page), encoded(int32(123456789))); err != nil {
		t.Fatal(err)
	}
	s := First(context.Background(), task, must(Equal(int32(123456789))), Options{Within: []Range{{base, base + uint64(pages*page)}}})
	found := 0
	for m, err := range s.All() {
		if err != nil || m.Address != base+uint64(7*page) {
			t.Errorf("found %#x, %v", m.Address, err)
		}
		found++
	}
	if stats := s.Stats(); found != 1 || stats.Untouched == 0 || stats.Read > uint64(pages*page)/2 {
		t.Errorf("%d places, %+v", found, stats)
	}
}

func TestNextInAProcess(t *testing.T) {
	target := testtarget.Start(t)
	testtarget.Need(t, "own children")
	base := target.Address("map rw- 512")
	task := must(machcompat.TaskForPID(target.PID))
	defer task.Close()
	write := func(at int, n int32) {
		if err := task.Write(base+uint64(at), encoded(n)); err != nil {
			t.Fatal(err)
		}
	}
	within := Options{Within: []Range{{base, base + 512*uint64(page)}}}
	places := []int{0, 4, 5*page - 4, 511 * page, 512*page - 4}
	for range First(context.Background(), task, must(Unknown(I32)), within).All() {
		t.Fatal("memory that was never touched is found")
	}
	for _, at := range places {
		write(at, 0)
	}
	c := save(t, task, must(Unknown(I32)), within)
	for i, at := range places {
		write(at, int32(100+i))
	}
	next(t, c, task, Compare{Op: OpIncreased})
	if c.Count() != uint64(len(places)) {
		t.Fatalf("%d candidates; want %d", c.Count(), len(places))
	}
	write(places[2], 90)
	write(places[3], 97)
	next(t, c, task, Compare{Op: OpDecreased, By: must(ParseValue(I32, "6..10"))})
	if got := addresses(kept(t, c)); !slices.Equal(got, []uint64{base + uint64(places[3])}) && !slices.Equal(got, []uint64{base + uint64(places[2]), base + uint64(places[3])}) {
		t.Errorf("%#x are left", got)
	}
	before := kept(t, c)
	target.Kill()
	if _, err := c.Next(context.Background(), task, Compare{Op: OpUnchanged}, c.path, nil); !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) || !slices.Equal(kept(t, c), before) {
		t.Errorf("Next of a process that is gone = %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	memory := &fake{parts: []part{at(uint64(page), mixture(page)), at(uint64(3*page), make([]byte, page))}}
	c := save(t, memory, must(Unknown(I32)), Options{Align: 8})
	whole := must(os.ReadFile(c.path))
	try := func(b []byte) error {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, "run 1")
		if err != nil {
			return err
		}
		for _, err := range c.All() {
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := try(whole); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(c.path, "run 2"); !errors.Is(err, ErrOtherProcess) {
		t.Errorf("the candidates of another run give %v", err)
	}
	if _, err := Load(c.path+"x", ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there gives %v", err)
	}
	body := fixed + len("run 1")
	edit := func(at int, b ...byte) []byte {
		edited := bytes.Clone(whole)
		copy(edited[at:], b)
		return edited
	}
	tests := []struct {
		name    string
		file    []byte
		message string
	}{
		{"nothing", nil, "cut off"},
		{"half of the header", whole[:fixed/2], "cut off"},
		{"half of the identity", whole[:body-1], "cut off"},
		{"no run", whole[:body], "cut off"},
		{"half of a run", whole[:body+14], "cut off"},
		{"all but a byte", whole[:len(whole)-1], "cut off"},
		{"a byte more", append(bytes.Clone(whole), 0), "behind the last"},
		{"another file", edit(0, 'V'), "no file of candidates"},
		{"fewer candidates", edit(16, binary.LittleEndian.AppendUint64(nil, c.Count()-1)...), "behind the last"},
		{"no step", edit(28, 0, 0, 0, 0), "no sense"},
		{"no size", edit(32, 0, 0), "no sense"},
		{"a size that is no multiple", edit(32, 5, 0), "no sense"},
		{"another type", edit(39, 99), "no sense"},
		{"a place outside", edit(34, 5, 0), "no sense"},
		{"a $ outside", edit(36, 1, 0, 1), "no sense"},
		{"an empty run", edit(body+8, 0, 0, 0, 0), "not possible"},
		{"a long run", edit(body+8, 0xff, 0xff, 0xff, 0x7f), "not possible"},
		{"an address that wraps", edit(body, bytes.Repeat([]byte{0xff}, 8)...), "not in order"},
		{"a second run before the first", append(bytes.Clone(whole[:body+16]), whole[body:]...), "not in order"},
	}
	for _, test := range tests {
		err := try(test.file)
		if e, ok := errors.AsType[*FileError](err); !ok || !strings.Contains(e.Error(), test.message) {
			t.Errorf("%s: %v; want ...%s...", test.name, err, test.message)
		}
	}
}

// FuzzLoad reads any file, in little memory, and narrows what it takes for one.
func FuzzLoad(f *testing.F) {
	memory := &fake{parts: []part{at(uint64(page), mixture(64))}}
	for _, what := range []Matcher{must(Unknown(I32)), must(Equal(int32(0))), must(ParsePattern("00 | 00"))} {
		c := save(f, memory, what, Options{})
		f.Add(must(os.ReadFile(c.path)))
	}
	directory := f.TempDir()
	f.Fuzz(func(t *testing.T, file []byte) {
		path := filepath.Join(directory, fmt.Sprint(os.Getpid()))
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := openRuns(path)
		if err != nil {
			return
		}
		r.file.Close()
		if len(file) > 4*maxRun || r.count > 1<<16 {
			return // zeros take no room in it
		}
		c := must(Load(path, r.identity))
		var want []found
		for m, err := range c.All() {
			if err != nil {
				return
			}
			want = append(want, found{m.Address, m.At, string(m.Bytes)})
		}
		if uint64(len(want)) != c.Count() {
			t.Fatalf("%d candidates; Count = %d", len(want), c.Count())
		}
		stats, err := c.Next(context.Background(), memory, Compare{Op: OpUnchanged}, c.path, nil)
		if err != nil || stats.After != uint64(len(kept(t, c))) || stats.After+stats.Dropped > stats.Before {
			t.Fatalf("%+v, %v", stats, err)
		}
	})
}

func TestSaveReplacesOnlyCandidates(t *testing.T) {
	memory := &fake{parts: []part{at(0x100000, put(page, "needle", 5))}}
	saveTo := func(path string) error {
		_, _, err := Save(context.Background(), path, "", memory, must(Text("needle")), Options{})
		return err
	}
	dir := t.TempDir()
	earlier, empty, other := filepath.Join(dir, "earlier"), filepath.Join(dir, "empty"), filepath.Join(dir, "other")
	for path, text := range map[string]string{empty: "", other: "the only copy"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{earlier, earlier, empty} {
		if err := saveTo(path); err != nil {
			t.Error(err)
		}
	}
	link, pipe := filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	if err := os.Symlink(earlier, link); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{other, link, pipe, dir} {
		before, _ := os.Lstat(path)
		if _, isPath := errors.AsType[*os.PathError](saveTo(path)); !isPath {
			t.Errorf("%s was replaced", path)
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s is another file: %v", path, err)
		}
	}
}
