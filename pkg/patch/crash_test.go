// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// The variable that makes this test binary a patcher: "apply|undo STEP PID PATCH JOURNAL",
// where it kills itself at the step; "-" for none.
const patcherVariable = "VMWRITE_TEST_PATCHER"

func TestMain(m *testing.M) {
	if os.Getenv(patcherVariable) != "" {
		if err := patcher(os.Getenv(patcherVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(testtarget.Main(m))
}

func patcher(order string) error {
	var what, at, file, folder string
	var pid int
	if _, err := fmt.Sscan(order, &what, &at, &pid, &file, &folder); err != nil {
		return err
	}
	step = func(name string) {
		if name == at {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	p, err := Parse(text)
	if err != nil {
		return err
	}
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		return err
	}
	process := Of(task)
	if at == "half" {
		process = halfway{process}
	}
	plan, err := p.Resolve(context.Background(), process, Options{Journal: &Journal{folder}})
	if err != nil {
		return err
	}
	fmt.Println("resolved")
	ctx, cancel := context.WithTimeout(context.Background(), testtarget.Patience)
	defer cancel()
	if what == "undo" {
		return plan.Undo(ctx)
	}
	return plan.Apply(ctx)
}

// halfway is a process whose patcher dies in the middle of the writing: some changes are
// made, one is made in part, and pages have been left writable.
type halfway struct{ Process }

func (h halfway) Stopped(ctx context.Context, f func(Stopped) error) error {
	return h.Process.Stopped(ctx, func(s Stopped) error { return f(halfwayStopped{s}) })
}

type halfwayStopped struct{ Stopped }

func (h halfwayStopped) CompareAndWrite(changes []machcompat.Change) error {
	some := slices.Clone(changes[:len(changes)/2])
	last := &some[len(some)-1]
	last.Old, last.New = last.Old[:len(last.New)/2], last.New[:len(last.New)/2]
	if err := h.Stopped.CompareAndWrite(some); err != nil {
		return err
	}
	for _, c := range changes {
		if page := machcompat.HostPageSize(); c.Unprotect && c.Address%page != page-2 {
			if err := h.Protect(c.Address&^(page-1), 1, false, machcompat.VM_PROT_READ|machcompat.VM_PROT_WRITE); err != nil {
				return err
			}
			break
		}
	}
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {}
}

// victim is a target with a patch: of pages that can be written, read alone, and run.
type victim struct {
	*testtarget.Target
	t       *testing.T
	task    *machcompat.Task
	patch   *Patch
	file    string
	journal *Journal
	pages   uint64 // the address of three pages: rw-, r--, r-x
}

func newVictim(t *testing.T) *victim {
	target := testtarget.Start(t)
	v := &victim{Target: target, t: t, journal: &Journal{filepath.Join(t.TempDir(), "journal")}}
	page := machcompat.HostPageSize()
	v.pages = target.Address("layout rw-:1,r--:1,r-x:1")
	task, err := machcompat.TaskForPID(target.PID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { task.Close() })
	v.task = task
	text := "version: 1\nname: three pages\nchanges:\n"
	change := func(at uint64, old, new string, unprotect bool) {
		text += fmt.Sprintf("  - {at: %#x, old: \"%s\", new: \"%s\", unprotect: %v}\n", at, old, new, unprotect)
	}
	old := func(at uint64, size int) string { return fmt.Sprintf("% x", target.Bytes(at, size)) }
	for n := range uint64(8) {
		at := v.pages + n*64 + 16
		change(at, old(at, 5), "90 91 92 93 94", false)
		change(at+page, old(at+page, 7), "a0 a1 a2 a3 a4 a5 a6", true)
	}
	change(v.pages+page-2, old(v.pages+page-2, 4), "b0 b1 b2 b3", true) // over the end of a page
	change(v.pages+2*page+16, old(v.pages+2*page+16, 1), "90", true)
	large := target.Address("map rw- 32") // which takes its time
	change(large, old(large, int(32*page)), strings.Repeat("c7", int(32*page)), false)
	if v.patch, err = Parse([]byte(text)); err != nil {
		t.Fatal(err)
	}
	v.file = filepath.Join(t.TempDir(), "patch.yaml")
	if err := os.WriteFile(v.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *victim) resolve() *Plan {
	v.t.Helper()
	plan, err := v.patch.Resolve(context.Background(), Of(v.task), Options{Journal: v.journal})
	if err != nil {
		v.t.Fatalf("Resolve = %v", err)
	}
	return plan
}

// command returns a patcher that is not started yet.
func (v *victim) command(what, at string) *exec.Cmd {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), patcherVariable+"="+fmt.Sprint(what, " ", at, " ", v.PID, " ", v.file, " ", v.journal.path))
	c.Stderr = os.Stderr
	return c
}

// state returns which bytes the target has, by its own account.
func (v *victim) state() State {
	v.t.Helper()
	var plan Plan
	for _, c := range v.patch.Changes {
		at, _ := c.At.Constant()
		found := v.Bytes(at, len(c.New))
		plan.Places = append(plan.Places, Place{Change: c, State: stateOf(found, c.Old, c.Mask, c.New)})
	}
	return plan.State()
}

// checkWhole fails unless all bytes are the old ones or all are the new ones, the pages
// have their protection, and the target runs.
func (v *victim) checkWhole(after string) State {
	v.t.Helper()
	state := v.state()
	if state != Applied && state != NotApplied {
		v.t.Fatalf("after %s the patch is %v", after, state)
	}
	page := machcompat.HostPageSize()
	want := []procmaps.Perms{procmaps.Read | procmaps.Write, procmaps.Read, procmaps.Read | procmaps.Execute}
	for m, err := range v.task.Regions() {
		if err != nil {
			v.t.Fatal(err)
		}
		for i, perms := range want {
			if at := v.pages + uint64(i)*page; m.Contains(at) && m.Perms != perms {
				v.t.Fatalf("after %s page %d is %v; want %v", after, i, m.Perms, perms)
			}
		}
	}
	return state
}

// recover recovers all, and returns what became of the one patch.
func (v *victim) recover(finish bool) []Recovered {
	v.t.Helper()
	open := func(int) (Process, func(), error) { return Of(v.task), func() {}, nil }
	all, err := v.journal.Recover(context.Background(), open, RecoverOptions{Finish: finish})
	if err != nil {
		v.t.Fatalf("Recover = %v", err)
	}
	for _, r := range all {
		if r.Err != nil {
			v.t.Fatalf("Recover = %v: %v", r.Outcome, r.Err)
		}
	}
	return all
}

// settle makes the patch not applied.
func (v *victim) settle() {
	v.t.Helper()
	if v.state() == Applied {
		if err := v.resolve().Undo(context.Background()); err != nil {
			v.t.Fatalf("Undo = %v", err)
		}
	}
	if state := v.checkWhole("the end of a round"); state != NotApplied {
		v.t.Fatalf("after Undo the patch is %v", state)
	}
}

// A patcher that dies leaves what it has begun, and Recover ends that.
func TestACrashAtEachStep(t *testing.T) {
	v := newVictim(t)
	tests := []struct {
		what, at string
		left     State // what the crash leaves
		outcome  Outcome
		finished Outcome // with Finish
	}{
		{"apply", "prepared", NotApplied, Restored, Finished},
		{"apply", "stopped", NotApplied, Restored, Finished},
		{"apply", "half", Mixed, Restored, Finished},
		{"apply", "written", Applied, Restored, Finished},
		{"apply", "marked", Applied, Kept, Kept},
		{"undo", "undoing", Applied, Restored, Finished},
		{"undo", "stopped", Applied, Restored, Finished},
		{"undo", "half", Mixed, Restored, Finished},
		{"undo", "written", NotApplied, Restored, Finished},
		{"undo", "marked", NotApplied, 0, 0},
	}
	for _, test := range tests {
		for _, finish := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %s finish=%v", test.what, test.at, finish), func(t *testing.T) {
				v.t = t
				if test.what == "undo" {
					if err := v.resolve().Apply(context.Background()); err != nil {
						t.Fatalf("Apply = %v", err)
					}
				}
				err := testtarget.RunCommand(v.command(test.what, test.at))
				if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.String() != "signal: killed" {
					t.Fatalf("the patcher ends with %v; want a SIGKILL at %s", err, test.at)
				}
				if state := v.state(); state != test.left {
					t.Errorf("the crash leaves the patch %v; want %v", state, test.left)
				}
				want := test.outcome
				if finish {
					want = test.finished
				}
				recovered := v.recover(finish)
				var outcome Outcome
				if len(recovered) > 0 {
					outcome = recovered[0].Outcome
				}
				if outcome != want || len(recovered) > 1 {
					t.Errorf("Recover = %v; want %v", recovered, want)
				}
				after := Applied
				if want == Restored || want == 0 {
					after = NotApplied
				}
				if state := v.checkWhole("Recover"); state != after {
					t.Errorf("after Recover the patch is %v; want %v", state, after)
				}
				v.settle()
				if left, _ := os.ReadDir(v.journal.path); len(left) != 0 {
					t.Errorf("the journal still has %v", left)
				}
			})
		}
	}
}

// A patcher is killed at any moment: afterwards all bytes are old or all are new.
func TestCrashesAtRandom(t *testing.T) {
	// A kill in the middle of a system call of the process ends one of 32 bits: see
	// docs/limits.md.
	testtarget.Need(t, "64-bit tests")
	v := newVictim(t)
	rounds := testtarget.Sized(20, 1000)
	states := map[State]int{}
	outcomes := map[Outcome]int{}
	random := rand.New(rand.NewPCG(15, uint64(os.Getpid())))
	var latest time.Duration // that a whole patcher has taken
	for round := range rounds {
		what := "apply"
		if v.state() == Applied {
			what = "undo"
		}
		c := v.command(what, "-")
		p, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := testtarget.StartCommand(c); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Read(make([]byte, 1)); err != nil { // it has resolved the patch
			t.Fatal(err)
		}
		begun := time.Now()
		whole := round%8 == 0 // one in eight is let live, to see how long that takes
		if !whole {
			time.Sleep(time.Duration(random.Int64N(int64(latest))))
			_ = c.Process.Kill()
		}
		if err := c.Wait(); whole && err != nil {
			t.Fatalf("the patcher ends with %v", err)
		}
		if whole {
			latest = time.Since(begun)
		}
		states[v.state()]++
		for _, r := range v.recover(random.IntN(2) == 0) {
			outcomes[r.Outcome]++
		}
		v.checkWhole("round " + strconv.Itoa(round))
	}
	t.Logf("%d rounds; left by the crash: %v; recovered: %v", rounds, states, outcomes)
	v.settle()
}
