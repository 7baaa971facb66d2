// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// smallFlags make the program of the tests one of 32 bits, without a C library.
var smallFlags = []string{"-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-pie", "-no-pie", "-Wl,--eh-frame-hdr"}

// straightTargets are programs that run code which is to be patched, by word size.
var straightTargets = []struct {
	name  string
	start func(t *testing.T) *target
}{
	{"of this architecture", func(t *testing.T) *target {
		p, _ := startPatched(t, "straight")
		return p
	}},
	{"of 32 bits", func(t *testing.T) *target {
		testtarget.Need(t, "386", "amd64")
		path := testtarget.BuildC(t, patchedSource, smallFlags...)
		process := testtarget.StartProcess(t, exec.Command(path))
		testtarget.WaitFor(t, "the program runs", func() bool { // which says nothing
			exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", process.PID))
			stat, statErr := procstatus.ReadStat(process.PID, process.PID)
			return err == nil && statErr == nil && filepath.Base(exe) == filepath.Base(path) && stat.StartCode != 0
		})
		p := ofProcess(t, process, filepath.Base(path))
		p.wantResults(false)
		return p
	}},
}

// TestAThreadAtEachByte has a thread stand at each byte of the range and around it, where
// it stays, and at each instruction it has come there by itself and goes on afterwards.
func TestAThreadAtEachByte(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	for _, test := range straightTargets {
		t.Run(test.name, func(t *testing.T) {
			p := test.start(t)
			c := p.code("straight", "begin", "end")
			begins := map[uint64]bool{} // of instructions
			trace(t, p.PID, func(o traced) {
				o.stepTo(p.at("straight"))
				for pc, _ := o.pc(); p.at("straight") <= pc && pc <= c.end; pc, _ = o.pc() {
					begins[pc] = true
					o.step()
				}
				o.detach(0)
			})
			if len(begins) < 6 {
				t.Fatalf("instructions begin at %v", begins)
			}
			for place := p.at("straight"); place <= c.end; place++ {
				inside := c.start < place && place < c.end
				t.Run(fmt.Sprintf("%+d", int64(place-c.start)), func(t *testing.T) {
					p.in(t).tryAt(c, place, begins[place], inside)
				})
			}
		})
	}
}

// in is the process for a test of its own.
func (p *target) in(t *testing.T) *target {
	other := *p
	other.t = t
	return &other
}

// tryAt patches code while the only thread stands at a place, and takes it back.
func (p *target) tryAt(c code, place uint64, begins, inside bool) {
	p.t.Helper()
	check := func() {
		err := p.try(c, Options{}, (*Plan).Apply)
		if inside {
			all := p.wantInTheWay(err, c, c.old, p.PID, running)
			p.wantNoJournal()
			for _, o := range all {
				if o.Address != place || o.Start != c.start || o.End != c.end || o.Function == "" {
					p.t.Errorf("obstacle %+v; want one at %#x in a function", o, place)
				}
			}
		} else if err != nil {
			p.t.Errorf("Apply = %v", err)
		}
	}
	if !begins {
		p.stopAt(p.at("straight"))
		p.standingAt(place, check)
	} else {
		p.stopAt(place)
		check()
	}
	p.goOn()
	if !inside && !p.t.Failed() {
		p.wantResults(true)
		p.make(c, Options{}, (*Plan).Undo)
	}
	p.wantResults(false)
	p.wantNoJournal()
}

// TestANewInstructionThatReachesFurther changes the first byte of what becomes an
// instruction of five bytes. Other tools write down only the bytes that differ.
func TestANewInstructionThatReachesFurther(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	if runtime.GOARCH != "amd64" {
		t.Skip("all instructions of this machine have the same size")
	}
	for _, test := range []struct {
		name   string
		offset uint64
		new    byte
		place  uint64 // where the thread stands
		inside bool
	}{
		{"the first byte, and the thread is in the rest", 4, 0x3d, 5, true}, // nop becomes cmp $0x3c06b48, %eax
		{"the first byte, and the thread is behind the rest", 4, 0x3d, 9, false},
		{"the first byte, and the thread is at it", 4, 0x3d, 4, false},
		{"a byte within, and the thread is behind it", 1, 0x81, 4, true}, // add $1 becomes add $0x6b489001
		{"a byte within, and the thread is before it", 1, 0x81, 0, false},
		{"an immediate, and the thread is behind it", 3, 7, 4, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, _ := startPatched(t, "straight")
			c := p.code("straight", "begin", "end")
			p.stopAt(c.start + test.place)
			at := c.start + test.offset
			one := code{start: at, end: at + 1, old: p.bytes(at, 1), new: []byte{test.new}}
			err := p.try(one, Options{}, (*Plan).Apply)
			if test.inside {
				p.wantInTheWay(err, one, one.old, p.PID, running)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
