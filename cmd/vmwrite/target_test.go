// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// A process is found by its name whatever bytes that has.
func TestPIDOfName(t *testing.T) {
	for _, name := range []string{" a) S (b\nc\t", "\\\x80\xff(", ") R 1 2", "longer (than) fifteen\nbytes"} {
		name = name[:1] + strconv.Itoa(os.Getpid()) + name[1:] // no other run of this test has it
		program := t.TempDir() + "/" + name
		if text, err := exec.Command("cp", testtarget.Build(t, ""), program).CombinedOutput(); err != nil {
			t.Fatal(string(text), err)
		}
		target := testtarget.StartBystander(t, program)
		for _, name := range []string{name, name[:min(len(name), 15)]} {
			if pid, err := pidOfName(name, false); err != nil || pid != target.PID {
				t.Errorf("pidOfName(%q) = %d, %v; want %d", name, pid, err, target.PID)
			}
		}
	}
}

func TestProgramName(t *testing.T) {
	for _, c := range []struct{ name, comm, path, want string }{
		{"as the kernel says", "game", "/usr/games/game", "game"},
		{"whole", "a-program-with-", "./a-program-with-a-long-name", "a-program-with-a-long-name"},
		{"not of what only looks longer", "nginx", "nginx: worker process", "nginx"},
		{"an interpreter", "script", "/usr/bin/python3", "script"},
		{"a program that names itself", "a-name-of-its-o", "/usr/bin/game", "a-name-of-its-o"},
		{"of Wine, whole", "Long Name That .", `C:\Games\Long Name That Goes On.exe`, "Long Name That Goes On.exe"},
		{"of Wine, in a directory of Linux", "game.exe", `Z:\home\x\game.exe`, "game.exe"},
		{"of Wine, whose first thread has a name", "GameThread", `C:\Games\Game.EXE`, "Game.EXE"},
		{"of Wine, with slashes", "game.exe", "Z:/home/x/game.exe", "game.exe"},
		{"of Linux, with a backslash", `a\b`, `/tmp/a\b`, `a\b`},
		{"nothing", "game", "", "game"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := programName(c.comm, c.path); got != c.want {
				t.Errorf("programName(%q, %q) = %q; want %q", c.comm, c.path, got, c.want)
			}
		})
	}
}
