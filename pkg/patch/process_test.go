// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// target is a process that is patched.
type target struct {
	*testtarget.Process
	t       testing.TB
	task    *machcompat.Task
	program string // the name of its module
	journal *Journal
}

// ofProcess returns a process that runs as what is patched.
func ofProcess(t testing.TB, p *testtarget.Process, program string) *target {
	t.Helper()
	task, err := machcompat.TaskForPID(p.PID, machcompat.WithStopTimeout(testtarget.Patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { task.Close() })
	j, err := OpenJournal(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	return &target{p, t, task, program, j}
}

const patchedSource = "testdata/patched.c"

// startPatched starts the program of the tests, and reads the line that it begins with.
func startPatched(t testing.TB, arguments ...string) (p *target, line string) {
	t.Helper()
	path := testtarget.BuildC(t, patchedSource)
	process := testtarget.StartProcess(t, exec.Command(path, arguments...))
	line = process.Line()
	return ofProcess(t, process, filepath.Base(path)), line
}

// at returns the address of a symbol of the program.
func (p *target) at(symbol string) uint64 {
	p.t.Helper()
	e, err := address.Parse(address.Quote(p.program) + "!" + symbol)
	if err == nil {
		var found address.Resolution
		if found, err = address.NewResolver(p.task).Resolve(e); err == nil {
			return found.Address
		}
	}
	p.t.Fatal(err)
	return 0
}

// bytes returns what is in the memory.
func (p *target) bytes(at, size uint64) []byte {
	p.t.Helper()
	data := make([]byte, size)
	if _, err := p.task.ReadAt(data, int64(at)); err != nil {
		p.t.Fatal(err)
	}
	return data
}

// plan returns the plan to have other bytes at an address.
// resolve returns the plan to have other bytes at an address, with everything as expected.
func (p *target) resolve(at uint64, new []byte, o Options) *Plan {
	p.t.Helper()
	plan := p.plan(Of(p.task), at, p.bytes(at, uint64(len(new))), new, o)
	if err := plan.Check(); err != nil {
		p.t.Fatal(err)
	}
	return plan
}

func (p *target) plan(process Process, at uint64, old, new []byte, o Options) *Plan {
	p.t.Helper()
	plan, err := atAddress(p.t, at, Change{Old: old, New: new, Unprotect: true}).Resolve(p.t.Context(), process, o)
	if err != nil {
		p.t.Fatal(err)
	}
	return plan
}

// code is a range of the code of a function, with what is there and what is to be there.
type code struct {
	start, end uint64
	old, new   []byte
}

// code returns the code from one symbol of a function to another one of it.
func (p *target) code(function, from, to string) code {
	p.t.Helper()
	begin := p.at(function + "_begin")
	start, end := p.at(function+"_"+from), p.at(function+"_"+to)
	return code{start, end, p.bytes(start, end-start), p.bytes(p.at(function+"_new")+start-begin, end-start)}
}

// once is a process of which a patch is tried once.
type once struct {
	Process
	cancel func()
}

func (o once) Stopped(ctx context.Context, f func(Stopped) error) error {
	defer o.cancel()
	return o.Process.Stopped(ctx, f)
}

// try applies a patch, or undoes it, and tries that once.
func (p *target) try(c code, o Options, do func(*Plan, context.Context) error) error {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), testtarget.Patience)
	defer cancel()
	o.Journal = p.journal
	plan := p.plan(once{Of(p.task), cancel}, c.start, c.old, c.new, o)
	if err := plan.Check(); err != nil && !plan.Journaled {
		p.t.Fatal(err)
	}
	return do(plan, ctx)
}

// make applies a patch, or undoes it, as soon as nobody is in the way.
func (p *target) make(c code, o Options, do func(*Plan, context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), testtarget.Patience)
	defer cancel()
	o.Journal = p.journal
	plan := p.plan(Of(p.task), c.start, c.old, c.new, o)
	if err := do(plan, ctx); err != nil {
		p.t.Fatal(err)
	}
}

// wantInTheWay checks that a patch was refused, or its undo, for what one thread is about to
// do, in one of these ways, and that nothing was changed.
func (p *target) wantInTheWay(err error, c code, there []byte, tid int, whys ...string) (all []Obstacle) {
	p.t.Helper()
	e, ok := errors.AsType[*InTheWayError](err)
	if !ok {
		p.t.Fatalf("error %v; want an *InTheWayError", err)
	}
	if !slices.ContainsFunc(e.Obstacles, func(o Obstacle) bool { return o.TID == tid && slices.Contains(whys, o.Why) }) {
		p.t.Errorf("in the way are %+v; want thread %d, which %q", e.Obstacles, tid, whys)
	}
	if now := p.bytes(c.start, c.end-c.start); !bytes.Equal(now, there) {
		p.t.Errorf("it was refused, and there are % x; want % x", now, there)
	}
	return e.Obstacles
}

// wantNoJournal checks that the journal has nothing.
func (p *target) wantNoJournal() {
	p.t.Helper()
	if names, err := p.journal.folders(); err != nil || len(names) > 0 {
		p.t.Errorf("the journal has %q, %v; want nothing", names, err)
	}
}

// results are how often the program has seen the old code, the new one, and neither.
type results struct{ old, new, bad uint64 }

func (p *target) results() (r results) {
	p.t.Helper()
	word := uint64(p.task.PointerSize())
	data := p.bytes(p.at("results"), 3*word)
	for i, to := range []*uint64{&r.old, &r.new, &r.bad} {
		if *to = uint64(binary.NativeEndian.Uint32(data[uint64(i)*word:])); word == 8 {
			*to = binary.NativeEndian.Uint64(data[uint64(i)*word:])
		}
	}
	return r
}

// wantResults waits until the program has seen more of the new code, or else of the old
// one, and checks that it has never seen anything else.
func (p *target) wantResults(new bool) {
	p.t.Helper()
	before := p.results()
	testtarget.WaitFor(p.t, "results", func() bool {
		now := p.results()
		return now.bad > 0 || new && now.new > before.new+100 || !new && now.old > before.old+100
	})
	if now := p.results(); now.bad > 0 {
		p.t.Fatalf("the program saw %+v; want no bad one", now)
	}
}
