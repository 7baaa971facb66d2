// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

func TestMain(m *testing.M) {
	testscript.Main(withTargets{m}, map[string]func(){"vmwrite": main})
}

// withTargets runs the tests and removes what they built.
type withTargets struct{ m *testing.M }

func (w withTargets) Run() int {
	journals, err := os.MkdirTemp("", "vmwrite-journals")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(journals)
	os.Setenv("XDG_STATE_HOME", journals)
	return testtarget.Main(w.m)
}

// TestScript runs the scripts in testdata/script, one theme each. Beside the
// commands of testscript they have, with the size of a page in $PAGE, and that of
// one and of two in KiB in $KIB1 and $KIB2:
//
//	target LAYOUT       starts a target: $PID, and $S0, $S1, ... for the address of
//	                    each part of the layout (see testtarget)
//	named PROGRAM       the same, for a copy of the target and one writable page
//	mapfile NAME        the target maps a new file, shared and read-only: $FILE
//	status N CMD...     runs a command that must end with status N
//	there ADDRESS HEX   the target holds these bytes there
func TestScript(t *testing.T) {
	testtarget.Need(t, "own children")
	program := testtarget.Build(t, "")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("TARGET", program)
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			page := os.Getpagesize()
			env.Setenv("PAGE", strconv.Itoa(page))
			env.Setenv("KIB1", strconv.Itoa(page/1024))
			env.Setenv("KIB2", strconv.Itoa(2*page/1024))
			// Of 19 bytes and more, and no other run of these tests has it.
			name := fmt.Sprintf("p%d-with-a-long-name", os.Getpid())
			env.Setenv("NAME", name)
			env.Setenv("FRONT", name[:15]) // what the kernel keeps
			env.Setenv("BEGIN", name[:14])
			// The race detector would wait a second at the end of each command.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"target":  startTarget,
			"named":   startNamed,
			"mapfile": mapFile,
			"status":  wantStatus,
			"there":   wantBytes,
		},
	})
}

func startTarget(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: target LAYOUT")
	}
	useTarget(ts, testtarget.Start(scriptTB{ts: ts}), args[0])
}

func startNamed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: named PROGRAM")
	}
	useTarget(ts, testtarget.StartBinary(scriptTB{ts: ts}, ts.MkAbs(args[0])), "rw-:1")
}

// useTarget makes a target the one of the script.
func useTarget(ts *testscript.TestScript, target *testtarget.Target, layout string) {
	base := target.Address("layout %s", layout)
	ts.Setenv("PID", strconv.Itoa(target.PID))
	for i, part := range strings.Split(layout, ",") {
		ts.Setenv("S"+strconv.Itoa(i), fmt.Sprintf("%#x", base))
		_, pages, _ := strings.Cut(part, ":")
		n, _ := strconv.Atoi(pages)
		base += uint64(n) * machcompat.HostPageSize()
	}
	targets.Store(ts, target)
	ts.Defer(func() { targets.Delete(ts) })
}

// targets has the target of each script.
var targets sync.Map

func wantStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N CMD...")
	}
	err := ts.Exec(args[1], args[2:]...)
	status := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("%s ended with status %d; want %s", strings.Join(args[1:], " "), status, args[0])
	}
}

func wantBytes(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: there ADDRESS HEX")
	}
	address, err := strconv.ParseUint(args[0], 0, 64)
	ts.Check(err)
	want, err := hex.DecodeString(args[1])
	ts.Check(err)
	if got := targetOf(ts).Bytes(address, len(want)); bytes.Equal(got, want) == neg {
		ts.Fatalf("% x is at %s; want (negated: %v) % x", got, args[0], neg, want)
	}
}

func targetOf(ts *testscript.TestScript) *testtarget.Target {
	target, ok := targets.Load(ts)
	if !ok {
		ts.Fatalf("no target was started")
	}
	return target.(*testtarget.Target)
}

func mapFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: mapfile NAME")
	}
	ts.Setenv("FILE", targetOf(ts).Do("readonlyfile %s", ts.MkAbs(args[0])))
}

// scriptTB lets a script stand where a test helper wants a test.
type scriptTB struct {
	testing.TB
	ts *testscript.TestScript
}

func (s scriptTB) Helper()                      {}
func (s scriptTB) Fatal(args ...any)            { s.ts.Fatalf("%s", fmt.Sprint(args...)) }
func (s scriptTB) Fatalf(f string, args ...any) { s.ts.Fatalf(f, args...) }
func (s scriptTB) Cleanup(f func())             { s.ts.Defer(f) }
