// SPDX-License-Identifier: Apache-2.0

// Package examples holds the tests of the programs below it: each runs against the
// game, which says what has come of that.
package examples

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

func TestMain(m *testing.M) { os.Exit(testtarget.Main(m)) }

// game is a running examples/game.
type game struct {
	*testtarget.Process
	t                      *testing.T
	world, damage, healing string // addresses, as it prints them
}

func startGame(t *testing.T) *game {
	t.Helper()
	testtarget.Need(t, "64-bit tests", "tracing")
	t.Parallel()
	g := &game{Process: testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "game/game.c"))), t: t}
	var pid int
	lines := []string{g.Line(), g.Line(), g.Line(), g.Line()}
	if _, err := fmt.Sscanf(strings.Join(lines, "\n"), "pid %d\nworld %s\ndamage %s\nhealing %s", &pid, &g.world, &g.damage, &g.healing); err != nil || pid != g.PID {
		t.Fatalf("process %d says %q: %v", g.PID, lines, err)
	}
	return g
}

// state is what the game says of the player.
type state struct {
	ticks, health int
	name          string
}

func (g *game) state() (s state) {
	g.t.Helper()
	var speed float64
	line, err := g.Ask("")
	if err == nil {
		_, err = fmt.Sscanf(line, "tick %d health %d speed %g name %s", &s.ticks, &s.health, &speed, &s.name)
	}
	if err != nil {
		g.t.Fatalf("the game says %q: %v", line, err)
	}
	return s
}

// assertHealing checks how much the health of the player changes in each tick.
func (g *game) assertHealing(before state, want int) {
	g.t.Helper()
	after := g.state()
	if ticks := after.ticks - before.ticks; after.health-before.health != want*ticks {
		g.t.Errorf("the health went from %d to %d in %d ticks; want %d in each", before.health, after.health, ticks, want)
	}
}

// example is a command that runs an example.
func example(t *testing.T, name string, arguments ...any) *exec.Cmd {
	t.Helper()
	path, err := testtarget.BuildGo("examples/"+name, runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	return command(path, arguments...)
}

func command(path string, arguments ...any) *exec.Cmd {
	cmd := exec.Command(path)
	for _, argument := range arguments {
		cmd.Args = append(cmd.Args, fmt.Sprint(argument))
	}
	return cmd
}

// output runs a command, which must exit with the status, and returns what it prints.
func output(t *testing.T, cmd *exec.Cmd, status int) string {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := testtarget.RunCommand(cmd)
	if got := cmd.ProcessState.ExitCode(); got != status {
		t.Fatalf("%s: %v\n%s", cmd, err, &out)
	}
	return out.String()
}

func TestTrainerHoldsAHealthThatMoves(t *testing.T) {
	g := startGame(t)
	trainer := testtarget.StartProcess(t, example(t, "trainer", g.PID, "@exe!world,8,0x10", 5000))
	if line := trainer.Line(); !strings.HasPrefix(line, "the health at 0x") {
		t.Errorf("the trainer says %q", line)
	}
	const moves = 10 // ticks from one move to the next
	for start, round := g.state().ticks, 1; round <= 3; round++ {
		testtarget.WaitFor(t, "the health that is held", func() bool {
			s := g.state()
			return s.ticks > start+round*moves && s.health == 5000-1 // one tick after it was written
		})
	}
	trainer.End()
	testtarget.WantFree(t, g.PID)
	g.assertHealing(g.state(), -1)
}

func TestPatcherChangesAllOrNothingAndPutsItBack(t *testing.T) {
	g := startGame(t)
	g.assertHealing(g.state(), -1)
	patcher := testtarget.StartProcess(t, example(t, "patcher", g.PID, g.damage, g.healing))
	if line := patcher.Line(); line != "patched; Enter puts it back" {
		t.Fatalf("the patcher says %q", line)
	}
	g.assertHealing(g.state(), 3)
	second := output(t, example(t, "patcher", g.PID, g.damage, g.healing), 1)
	if want := g.healing + " holds 03 00 00 00 instead of 00 00 00 00\n"; !strings.Contains(second, want) || !strings.Contains(second, g.damage+" holds ") {
		t.Errorf("a second patcher says %q; want %q and more", second, want)
	}
	g.assertHealing(g.state(), 3)
	if err := patcher.Wait(); err != nil { // which closes its input, as good as Enter
		t.Error(err)
	}
	g.assertHealing(g.state(), -1)
	// One of the two places is another: neither is changed.
	if out := output(t, example(t, "patcher", g.PID, g.damage, g.world), 1); strings.Contains(out, g.damage+" holds") {
		t.Errorf("the patcher says %q of the place that is as it should", out)
	}
	g.assertHealing(g.state(), -1)
}

func TestDebuggerStopsAtItsBreakpointAndLeavesNoTrace(t *testing.T) {
	g := startGame(t)
	task, err := machcompat.TaskForPID(g.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer task.Close()
	var damage uint64
	if _, err := fmt.Sscan(g.damage, &damage); err != nil {
		t.Fatal(err)
	}
	code := func() []byte {
		code, err := task.Read(damage, 8)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	before, wasCode := g.state(), code()
	if out, want := output(t, example(t, "debugger", g.PID, g.damage), 0), "the game came to "+g.damage+"\n"; out != want {
		t.Errorf("the debugger says %q; want %q", out, want)
	}
	testtarget.WantFree(t, g.PID)
	if is := code(); !bytes.Equal(is, wasCode) {
		t.Errorf("the code is % x; it was % x", is, wasCode)
	}
	region, err := task.Region(damage)
	if err != nil || region.Protection != machcompat.VM_PROT_READ|machcompat.VM_PROT_EXECUTE {
		t.Errorf("the code is %v, %v", region.Protection, err)
	}
	g.assertHealing(before, -1) // also by the call that was stopped
}

func TestToolForMacOSRenamesThePlayer(t *testing.T) {
	g := startGame(t)
	testtarget.Need(t, "cc", "make")
	lib, err := testtarget.BuildLibrary()
	if err != nil {
		t.Fatal(err)
	}
	rename := t.TempDir() + "/rename"
	output(t, command("cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I../include", "-o", rename, "macos/rename.c", "-L"+lib, "-lmachcompat", "-Wl,-rpath,"+lib), 0)
	if name := g.state().name; name != "Bulrush" {
		t.Fatalf("the player is called %q", name)
	}
	if out := output(t, command(rename, g.PID, "Bulrush", "Reed"), 0); !strings.HasPrefix(out, "renamed in ") {
		t.Errorf("the tool says %q", out)
	}
	for range 30 { // it stays so where the player moves
		if name := g.state().name; name != "Reed" {
			t.Fatalf("the player is called %q", name)
		}
	}
	testtarget.WantFree(t, g.PID)
	output(t, command(rename, g.PID, "Nobody", "Reed"), 1)
}
