// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/internal/unwind"
	"golang.org/x/sys/unix"
)

// release lets the program go on from where it has said "held".
func (p *target) release() {
	p.t.Helper()
	if _, err := p.Stdin.Write([]byte{'\n'}); err != nil {
		p.t.Fatal(err)
	}
}

// wantLines checks what the program prints next.
func (p *target) wantLines(want ...string) {
	p.t.Helper()
	for _, want := range want {
		if line := p.Line(); line != want {
			p.t.Fatalf("the program says %q; want %q", line, want)
		}
	}
}

// wantHeld checks that the program waits.
func (p *target) wantHeld() {
	p.t.Helper()
	p.wantLines("held")
	testtarget.WaitForStates(p.t, p.PID, "S")
}

// TestAThreadThatWaits patches functions in which the only thread waits.
func TestAThreadThatWaits(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	inCall := []string{running, again, afterCall}
	tests := []struct {
		name          string
		function, how string
		from, to      string
		whys          []string // none if the patch is applied
		first, second string   // what the function returns that the thread is in, and the next time
	}{
		{"in a callee from the middle of the range", "caller", "call", "begin", "end", []string{returning}, "107", "212"},
		{"in a callee from the end of the range", "caller", "call", "begin", "return", nil, "107", "122"},
		{"in a callee from before the range", "caller", "call", "return", "end", nil, "197", "107"},
		{"in a system call in the middle of the range", "waiter", "wait", "begin", "end", inCall, "4", "49"},
		{"in a system call at the end of the range", "waiter", "wait", "begin", "return", inCall, "4", "4"},
		{"in a system call at the start of the range", "waiter", "wait", "call", "end", inCall, "4", "49"},
		{"in a system call before the range", "waiter", "wait", "return", "end", nil, "49", "4"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, line := startPatched(t, test.how)
			if line != "held" {
				t.Fatalf("the program says %q; want held", line)
			}
			c := p.code(test.function, test.from, test.to)
			attempt := func(result string, there []byte, do func(*Plan, context.Context) error) {
				t.Helper()
				testtarget.WaitForStates(t, p.PID, "S") // it says so before it waits
				err := p.try(c, Options{}, do)
				if test.whys != nil {
					p.wantInTheWay(err, c, there, p.PID, test.whys...)
				} else if err != nil {
					t.Fatal(err)
				}
				p.release()
				p.wantLines(result)
				p.wantHeld()
				if test.whys != nil { // and now the thread is elsewhere
					if err := p.try(c, Options{}, do); err != nil {
						t.Fatal(err)
					}
				}
				p.release()
				p.wantHeld()
			}
			attempt(test.first, c.old, (*Plan).Apply)
			attempt(test.second, c.new, (*Plan).Undo)
			p.wantNoJournal()
			p.release()
			p.wantLines(map[string]string{"caller": "107", "waiter": "4"}[test.function])
		})
	}
}

// TestAThreadInASignalHandler patches code that a handler has interrupted.
func TestAThreadInASignalHandler(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	for _, how := range []string{"signal", "alternate"} {
		p, _ := startPatched(t, how)
		c := p.code("straight", "begin", "end")
		inside := c.start + 4 // an instruction of each architecture
		for _, test := range []struct {
			name  string
			place uint64
			whys  []string
		}{
			{"before the range", p.at("straight"), nil},
			{"at the start of the range", c.start, nil},
			{"inside the range", inside, []string{interrupted}},
			{"at the end of the range", c.end, nil},
		} {
			t.Run(how+", "+test.name, func(t *testing.T) {
				p := p.in(t)
				trace(t, p.PID, func(o traced) {
					o.stepTo(test.place)
					o.detach(unix.SIGUSR1)
				})
				p.wantHeld()
				err := p.try(c, Options{}, (*Plan).Apply)
				p.release()
				if test.whys != nil {
					p.wantInTheWay(err, c, c.old, p.PID, test.whys...)
					p.make(c, Options{}, (*Plan).Apply)
				} else if err != nil {
					t.Fatal(err)
				}
				p.wantResults(true)
				p.make(c, Options{}, (*Plan).Undo)
				p.wantResults(false)
				p.wantNoJournal()
			})
		}
	}
}

// TestARestartableSequence patches where the kernel sends a thread that it takes out of
// such a sequence.
func TestARestartableSequence(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the sequence is written for amd64")
	}
	p, line := startPatched(t, "sequence")
	if line != "ready" {
		testtarget.Lack(t, "rseq", fmt.Errorf("the program says %q", line))
	}
	loop := p.at("sequence") + 10 // the jump to itself
	testtarget.WaitFor(t, "the sequence", func() (done bool) {
		trace(t, p.PID, func(o traced) {
			pc, _ := o.pc()
			done = pc == loop
			o.detach(0)
		})
		return done
	})
	c := p.code("sequence", "begin", "end")
	p.wantInTheWay(p.try(c, Options{}, (*Plan).Apply), c, c.old, p.PID, aborting)
	p.wantNoJournal()
	c = p.code("sequence", "abort", "end")
	for _, do := range []func(*Plan, context.Context) error{(*Plan).Apply, (*Plan).Undo} {
		if err := p.try(c, Options{}, do); err != nil {
			t.Error(err)
		}
	}
}

// TestAProcessThatSharesTheMemory patches code that another process may run.
func TestAProcessThatSharesTheMemory(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	for _, force := range []bool{false, true} {
		t.Run(fmt.Sprintf("force %v", force), func(t *testing.T) {
			p, line := startPatched(t, "share")
			other, err := strconv.Atoi(line)
			if err != nil {
				t.Fatal(err)
			}
			p.wantHeld()
			c := p.code("straight", "begin", "end")
			if force {
				if err := p.try(c, Options{Force: force}, (*Plan).Apply); err != nil {
					t.Fatal(err)
				}
			} else {
				ctx, cancel := context.WithCancel(t.Context())
				process := once{Of(p.task), func() { t.Error("the process was stopped in vain") }}
				plan := p.plan(process, c.start, c.old, c.new, Options{Journal: p.journal})
				cancel() // so that it is tried once
				err := plan.Apply(ctx)
				if !errors.Is(err, ErrSharedMemory) {
					t.Errorf("Apply = %v; want one that wraps ErrSharedMemory", err)
				}
				for _, o := range p.wantInTheWay(err, c, c.old, other, "") {
					if !errors.Is(o.Err, ErrSharedMemory) {
						t.Errorf("obstacle %v; want one of shared memory", o)
					}
				}
				p.wantNoJournal()
			}
			p.release()
			p.wantLines("ended", "ready")
			if !force {
				p.make(c, Options{}, (*Plan).Apply)
			}
			p.wantResults(true)
		})
	}
}

// TestCodeWithoutATable patches code of which nobody knows who called it.
func TestCodeWithoutATable(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	p, _ := startPatched(t, "memory")
	c := p.code("straight", "begin", "end")
	shift := c.start - p.at("straight")
	at := binary.NativeEndian.Uint64(p.bytes(p.at("copy"), 8))
	c.start, c.end = at+shift, at+shift+uint64(len(c.new))

	p.stopAt(at) // before the range, and it has come from where there is a table
	err := p.try(c, Options{}, (*Plan).Apply)
	if all := p.wantInTheWay(err, c, c.old, p.PID, ""); len(all) != 1 || !errors.Is(all[0].Err, unwind.ErrUnknown) {
		t.Errorf("in the way are %+v; want one unknown caller", all)
	}
	p.wantNoJournal()
	// A change of one instruction needs to know nobody's caller.
	one := code{start: c.start + 4, end: c.start + 5, old: c.old[4:5], new: []byte{0xf8}} // nop, clc
	if runtime.GOARCH == "arm64" {
		one = code{start: c.start + 8, end: c.start + 12, old: c.old[8:12], new: []byte{0xa1, 0x0a, 0x80, 0x52}} // mov w1, #0x55
	}
	for _, do := range []func(*Plan, context.Context) error{(*Plan).Apply, (*Plan).Undo} {
		if err := p.try(one, Options{}, do); err != nil {
			t.Error(err)
		}
	}
	if err := p.try(c, Options{Force: true}, (*Plan).Apply); err != nil {
		t.Fatal(err)
	}
	names, err := p.journal.folders()
	if err != nil || len(names) != 1 {
		t.Fatalf("the journal has %q, %v; want one process", names, err)
	}
	if all, err := p.journal.entries(names[0]); err != nil || len(all) != 1 || !all[0].Forced {
		t.Errorf("the journal has %+v, %v; want one patch that was forced", all, err)
	}
	p.goOn()
	p.wantResults(true)
}

// TestALibraryThatIsLoadedMeanwhile patches a program that runs code of a library which was
// not there when the places were found.
func TestALibraryThatIsLoadedMeanwhile(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	p, _ := startPatched(t, "load", testtarget.BuildC(t, "testdata/late.c", "-shared", "-fPIC"))
	testtarget.WaitForStates(t, p.PID, "S")
	c := p.code("straight", "begin", "end")
	ctx, cancel := context.WithTimeout(t.Context(), testtarget.Patience)
	defer cancel()
	plan := p.plan(once{Of(p.task), cancel}, c.start, c.old, c.new, Options{Journal: p.journal})
	p.release()
	p.wantHeld()
	if err := plan.Apply(ctx); err != nil {
		t.Fatal(err)
	}
	p.release()
	p.wantResults(true)
}

// TestAProgramWithoutTables patches one in which nobody knows who called.
func TestAProgramWithoutTables(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	path := testtarget.BuildC(t, patchedSource, "-Wl,--no-eh-frame-hdr")
	process := testtarget.StartProcess(t, exec.Command(path, "straight"))
	process.Line()
	p := ofProcess(t, process, filepath.Base(path))
	c := p.code("straight", "begin", "end")
	p.stopAt(p.at("straight"))
	err := p.try(c, Options{}, (*Plan).Apply)
	if all := p.wantInTheWay(err, c, c.old, p.PID, ""); len(all) != 1 || !errors.Is(all[0].Err, unwind.ErrUnknown) {
		t.Errorf("in the way are %+v; want one unknown caller", all)
	}
	p.wantNoJournal()
	if err := p.try(c, Options{Force: true}, (*Plan).Apply); err != nil {
		t.Fatal(err)
	}
	p.goOn()
	p.wantResults(true)
}
