// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// data is a target with memory of its own to patch, which is no code.
func data(t *testing.T) (p *target, at uint64) {
	t.Helper()
	program := testtarget.Start(t)
	return ofProcess(t, program.Process, ""), program.Address("map rw- 1")
}

// A process stays the same one when its first thread ends before the others.
func TestTheFirstThreadEnds(t *testing.T) {
	p, _ := startPatched(t, "endfirst")
	at := p.at("results")
	if err := p.resolve(at, []byte{1}, Options{Journal: p.journal}).Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := identityOf(p.PID)
	must(t, err)
	testtarget.WaitFor(t, "a time that is not that of the start", func() bool {
		var now unix.Timespec
		const ticks = 100 // a second: USER_HZ
		must(t, unix.ClockGettime(unix.CLOCK_BOOTTIME, &now))
		return uint64(now.Nano())/(1e9/ticks) > before.Start+1
	})
	p.release()
	p.wantLines("ready")
	testtarget.WaitFor(t, "the end of the first thread", func() bool {
		stat, err := procstatus.ReadStat(p.PID, p.PID)
		return err == nil && stat.StartCode == 0
	})
	open := func(int) (Process, func(), error) { return Of(p.task), func() {}, nil }
	all, err := p.journal.Recover(t.Context(), open, RecoverOptions{})
	if err != nil || len(all) != 1 || all[0].Outcome != Kept {
		t.Errorf("Recover = %v, %v; want one that is applied", all, err)
	}
	if err := p.plan(Of(p.task), at, []byte{0}, []byte{1}, Options{Journal: p.journal}).Undo(t.Context()); err != nil {
		t.Errorf("Undo = %v", err)
	}
	p.wantNoJournal()
}

// The number of a patch that was undone by another plan may be that of the next patch.
func TestUndoOfWhatAnotherPlanHasUndone(t *testing.T) {
	p, at := data(t)
	o := Options{Journal: p.journal}
	old := p.bytes(at, 1)
	one := p.resolve(at, []byte{old[0] + 1}, o)
	if err := one.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.plan(Of(p.task), at, old, []byte{old[0] + 1}, o).Undo(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := p.resolve(at+8, []byte{p.bytes(at+8, 1)[0] + 1}, o)
	if err := other.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := one.Undo(t.Context()); !errors.Is(err, ErrNotApplied) {
		t.Errorf("Undo of what was undone = %v; want ErrNotApplied", err)
	}
	if found := p.bytes(at+8, 1); found[0] != other.Places[0].Change.New[0] {
		t.Errorf("another patch was undone: it has left %#x", found)
	}
}

// Without a journal only the patch tells of what was applied, so it must be for the process.
func TestUndoInAnotherProgram(t *testing.T) {
	p, at := data(t)
	old := p.bytes(at, 1)
	for _, force := range []bool{false, true} {
		text := fmt.Sprintf("version: 1\nname: test\nexecutable: other\nchanges:\n- {at: %#x, old: %02x, new: %02x}\n", at, old[0]+1, old[0])
		patch, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		plan, err := patch.Resolve(t.Context(), Of(p.task), Options{Force: force})
		if err != nil {
			t.Fatal(err)
		}
		if err := plan.Undo(t.Context()); !errors.Is(err, ErrOtherProgram) {
			t.Errorf("with Force %v, Undo in another program = %v; want ErrOtherProgram", force, err)
		}
	}
}

// lookedAt notes whether the threads of a process were looked at.
type lookedAt struct {
	Process
	was bool
}

func (l *lookedAt) Stopped(ctx context.Context, f func(Stopped) error) error {
	return l.Process.Stopped(ctx, func(s Stopped) error { return f(lookedAtStopped{s, l}) })
}

type lookedAtStopped struct {
	Stopped
	at *lookedAt
}

func (l lookedAtStopped) Threads() ([]machcompat.Thread, error) {
	l.at.was = true
	return l.Stopped.Threads()
}

// Memory that has become code since the places were looked at is code.
func TestMemoryThatHasBecomeCode(t *testing.T) {
	program := testtarget.Start(t)
	p, at := ofProcess(t, program.Process, ""), program.Address("map rw- 1")
	process := &lookedAt{Process: Of(p.task)}
	plan := p.plan(process, at, p.bytes(at, 1), []byte{0x90}, Options{})
	if err := plan.Check(); err != nil {
		t.Fatal(err)
	}
	program.Do("protect %d %d r-x", at, machcompat.HostPageSize())
	if err := plan.Apply(t.Context()); err != nil || !process.was {
		t.Errorf("Apply = %v; threads were looked at: %v; want true", err, process.was)
	}
	program.Do("protect %d %d rw-", at, machcompat.HostPageSize())
	if err := plan.Undo(t.Context()); err != nil {
		t.Errorf("Undo = %v", err)
	}
}

// What the journal says of bytes that others have put back does not confuse.
func TestApplyOfWhatOthersHavePutBack(t *testing.T) {
	p, at := data(t)
	old := p.bytes(at, 1)
	new := []byte{old[0] + 1}
	if err := p.resolve(at, new, Options{Journal: p.journal}).Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.task.Write(at, old); err != nil {
		t.Fatal(err)
	}
	plan := p.plan(Of(p.task), at, old, new, Options{Journal: p.journal})
	if err := plan.Apply(t.Context()); !errors.Is(err, ErrApplied) || !strings.Contains(err.Error(), "undo it first") {
		t.Errorf("Apply = %v; want ErrApplied, and what to do", err)
	}
	if err := plan.Undo(t.Context()); err != nil {
		t.Errorf("Undo = %v", err)
	}
	if err := plan.Apply(t.Context()); err != nil {
		t.Errorf("Apply after that = %v", err)
	}
	p.make(code{start: at, old: old, new: new}, Options{}, (*Plan).Undo)
	p.wantNoJournal()
}

// While one patcher is at work, another one is told so, and not that somebody died.
func TestResolveBesideAnother(t *testing.T) {
	p, at := data(t)
	old, o := p.bytes(at, 1), Options{Journal: p.journal}
	new := []byte{old[0] + 1}
	mine := p.resolve(at, new, o)
	step = func(name string) {
		if name != "stopped" {
			return
		}
		_, err := mine.Patch.Resolve(t.Context(), Of(p.task), o)
		if !errors.Is(err, ErrInUse) {
			t.Errorf("Resolve meanwhile = %v; want ErrInUse", err)
		}
	}
	defer func() { step = func(string) {} }()
	if err := mine.Apply(t.Context()); err != nil {
		t.Error(err)
	}
}

// A patch that is in no journal is not undone where one that is in it has the bytes.
func TestUndoOfBytesThatTheJournalHas(t *testing.T) {
	p, at := data(t)
	o := Options{Journal: p.journal}
	old := p.bytes(at, 2)
	if err := p.resolve(at, []byte{old[0] + 1, old[1] + 1}, o).Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := p.plan(Of(p.task), at, old[:1], []byte{old[0] + 1}, o)
	if err := other.Undo(t.Context()); !errors.Is(err, ErrLater) {
		t.Errorf("Undo = %v; want ErrLater", err)
	}
	if found := p.bytes(at, 1); found[0] != old[0]+1 {
		t.Errorf("there is %#x; want what was applied", found)
	}
}
