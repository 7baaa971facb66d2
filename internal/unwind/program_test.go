// SPDX-License-Identifier: Apache-2.0

package unwind

import (
	"errors"
	"math/rand/v2"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// builds are the ways in which the program of the tests is compiled.
var builds = []struct {
	name  string
	flags []string
}{
	{"not optimised", []string{"-O0"}},
	{"optimised", nil},
	{"with frame pointers", []string{"-fno-omit-frame-pointer"}},
	{"without frame pointers and stubs", []string{"-fomit-frame-pointer", "-fno-plt"}},
	{"static, with an index", []string{"-static", "-Wl,--eh-frame-hdr"}}, // which GCC leaves out there
	{"static and position-independent", []string{"-static-pie"}},
}

const source = "testdata/stacks.c"

func TestFramesOfAProgram(t *testing.T) {
	const outer = " f_inner f_middle f_outer main _start"
	for _, build := range builds {
		t.Run(build.name, func(t *testing.T) {
			program := testtarget.BuildC(t, source, build.flags...)
			for _, way := range []struct{ name, argument, calls string }{
				{"nested calls", "call", "!f_stop" + outer},
				{"a signal handler", "signal", "!f_stop f_handler !f_fault f_handle" + outer},
				{"a signal handler with a stack of its own", "alternate", "!f_stop f_handler !f_fault f_handle" + outer},
				{"calls at the end of functions that never return", "never", "!f_stop f_never f_tail" + outer},
			} {
				t.Run(way.name, func(t *testing.T) {
					p := start(t, program, way.argument)
					p.run()
					frames, err := p.frames(p.unwinder())
					if err != nil {
						t.Errorf("%v, at %q", err, p.calls(frames))
					}
					if got := p.calls(frames); got != way.calls {
						t.Errorf("frames %q; want %q", got, way.calls)
					}
				})
			}
		})
	}
}

func TestFramesAreUnknown(t *testing.T) {
	t.Run("below code without a table", func(t *testing.T) {
		p := start(t, testtarget.BuildC(t, source), "jit")
		p.run()
		frames, err := p.frames(p.unwinder())
		wantUnknown(t, err)
		if last := frames[len(frames)-1]; len(frames) != 2 || last.CFA != 0 || p.function(last) != "" {
			t.Errorf("frames %+v; want f_stop and one of no function", frames)
		}
	})
	t.Run("in a program without an index", func(t *testing.T) {
		p := start(t, testtarget.BuildC(t, source, "-Wl,--no-eh-frame-hdr"), "call")
		p.run()
		_, err := p.frames(p.unwinder())
		wantUnknown(t, err)
	})
	t.Run("in a Go program", func(t *testing.T) {
		p := start(t, testtarget.Build(t, ""))
		p.readModules()
		_, err := p.frames(p.unwinder())
		wantUnknown(t, err)
	})
	t.Run("on another machine", func(t *testing.T) {
		for _, err := range New(0, nil, nil).Frames(0x1000, nil) {
			wantUnknown(t, err)
		}
	})
}

func wantUnknown(t *testing.T, err error) {
	t.Helper()
	var typed *Error
	if !errors.Is(err, ErrUnknown) || !errors.As(err, &typed) {
		t.Errorf("error %v; want an *Error of %v", err, ErrUnknown)
	}
}

// TestFramesAtEachInstruction steps from one stop of a function to the next, through all
// that it calls: in the dynamic linker, the C library and the vdso too, and from a signal
// handler back. The callers of the function stay what they are.
func TestFramesAtEachInstruction(t *testing.T) {
	for _, build := range testtarget.Some(builds, 2, 0) {
		for _, way := range []string{"step", "handled"} {
			t.Run(build.name+"/"+way, func(t *testing.T) {
				p := start(t, testtarget.BuildC(t, source, build.flags...), way)
				p.run()
				all, err := p.frames(p.unwinder())
				at := slices.IndexFunc(all, func(f Frame) bool { return p.function(f) == "f_stepped" })
				if err != nil || at < 0 {
					t.Fatalf("frames %q, %v", p.calls(all), err)
				}
				want := all[at:]
				// GNU ld writes none for the stubs of arm64, nor for those of a static program
				// that lead to a function for this processor.
				stubsLackTables := runtime.GOARCH == "arm64" || strings.Contains(build.name, "static")
				const maxSteps = 100_000
				unknown, places := 0, map[string]int{}
				for steps := 1; ; steps++ {
					p.step()
					_, pc, _ := p.registers()
					frames, err := p.frames(p.unwinder())
					if m := p.module(pc); m != nil {
						places[path.Base(m.path)]++
					}
					inner := len(frames) - len(want)
					switch {
					case steps > maxSteps:
						t.Fatalf("there is no end, in %v", places)
					case len(frames) == 1 && stubsLackTables && errors.Is(err, errNoEntry):
						unknown++
						continue
					case err != nil:
						t.Fatalf("step %d: %v, at %q", steps, err, p.calls(frames))
					case inner < 0 || frames[inner].CFA != want[0].CFA || !slices.Equal(frames[inner+1:], want[1:]):
						t.Fatalf("step %d at %#x: frames %+v; want them to end with %+v", steps, pc, frames, want)
					}
					if inner == 0 && p.atStop() {
						t.Logf("%d steps, %d of them unknown: %v", steps, unknown, places)
						break
					}
				}
			})
		}
	}
}

// TestSignalFramesByTheirTable finds the frames of a signal handler as the table of the C
// library has them, where else the instructions tell.
func TestSignalFramesByTheirTable(t *testing.T) {
	if runtime.GOARCH == "arm64" {
		t.Skip("the kernel's table says something else")
	}
	p := start(t, testtarget.BuildC(t, source), "alternate")
	p.run()
	want, err := p.frames(p.unwinder())
	if err != nil {
		t.Fatal(err)
	}
	u := p.unwinder()
	withoutReturns := *u.abi
	withoutReturns.returns = nil
	u.abi = &withoutReturns
	if got, err := p.frames(u); err != nil || !slices.Equal(got, want) {
		t.Errorf("frames %+v, %v; want %+v", got, err, want)
	}
}

// TestFramesOf32Bits has a signal handler of either kind, which the kernel's own code
// returns from.
func TestFramesOf32Bits(t *testing.T) {
	testtarget.Need(t, "386")
	program := testtarget.BuildC(t, "testdata/stacks32.c", "-m32", "-nostdlib", "-static", "-no-pie", "-fno-stack-protector", "-Wl,--eh-frame-hdr")
	for _, c := range []struct{ argument, calls string }{
		{"plain", "!f_handler !f_kill f_inner f_outer _start"},
		{"with information", "!f_handler !f_kill f_inner f_outer _start"},
	} {
		t.Run(c.argument, func(t *testing.T) {
			p := start(t, program)
			if c.argument != "plain" {
				p = start(t, program, c.argument)
			}
			p.run()
			frames, err := p.frames(p.unwinder())
			if got := p.calls(frames); err != nil || got != c.calls {
				t.Errorf("frames %q, %v; want %q", got, err, c.calls)
			}
		})
	}
}

// TestFramesOfDamagedMemory changes bytes of the tables and of the stack. What comes out
// must end, with an error or with frames.
func TestFramesOfDamagedMemory(t *testing.T) {
	p := start(t, testtarget.BuildC(t, source), "signal")
	p.run()
	machine, pc, registers := p.registers()
	whole, err := p.frames(p.unwinder())
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for seed := range testtarget.Sized[uint64](500, 20000) {
		r := rand.New(rand.NewPCG(seed, 0))
		u := New(machine, p.memory, p.table)
		for range u.Frames(pc, registers) { // now its pages are read
		}
		clear(u.entries)
		for _, page := range u.memory.pages {
			for range r.IntN(4) {
				page[r.IntN(len(page))] = byte(r.Uint32())
			}
		}
		frames, last := 0, error(nil)
		for _, err := range u.Frames(pc, registers) {
			frames, last = frames+1, err
		}
		if last != nil {
			wantUnknown(t, last)
			failed++
		}
		if frames == 0 || frames > maxFrames+1 {
			t.Fatalf("%d frames", frames)
		}
	}
	t.Logf("of %d frames, damaged: %d unknown", len(whole), failed)
	if failed == 0 {
		t.Error("no damage was seen")
	}
}

// TestFramesReadLittle counts the reads of many threads that stand in the same places.
func TestFramesReadLittle(t *testing.T) {
	p := start(t, testtarget.BuildC(t, source), "call")
	p.run()
	u := p.unwinder()
	counted := &countingReader{r: u.memory.r}
	u.memory.r = counted
	p.frames(u)
	first := counted.reads
	for range 200 {
		p.frames(u)
	}
	if counted.reads != first {
		t.Errorf("%d reads for one thread and %d for 200 more; want none", first, counted.reads-first)
	}
}

type countingReader struct {
	r interface {
		ReadAt(p []byte, off int64) (int, error)
	}
	reads int
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	return c.r.ReadAt(p, off)
}
