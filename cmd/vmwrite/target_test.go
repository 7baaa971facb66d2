package main

import (
	"os/exec"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// A process is found by its name whatever bytes that has.
func TestPIDOfName(t *testing.T) {
	for _, name := range []string{" a) S (b\nc\t", "\\\x80\xff(", ") R 1 2", "longer (than) fifteen\nbytes"} {
		program := t.TempDir() + "/" + name
		if text, err := exec.Command("cp", testtarget.Build(t, ""), program).CombinedOutput(); err != nil {
			t.Fatal(string(text), err)
		}
		target := testtarget.StartBystander(t, program)
		for _, name := range []string{name, name[:min(len(name), 15)]} {
			if pid, err := pidOfName(name); err != nil || pid != target.PID {
				t.Errorf("pidOfName(%q) = %d, %v; want %d", name, pid, err, target.PID)
			}
		}
	}
}
