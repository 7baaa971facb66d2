package c

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each program of testdata/calls is about one call, or one that comes in several
// widths, and checks itself.
func TestEachCallReturnsWhatItsHeaderSays(t *testing.T) {
	sources, err := filepath.Glob("testdata/calls/*.c")
	if err != nil || len(sources) < 15 {
		t.Fatalf("%d programs, %v", len(sources), err)
	}
	for _, source := range sources {
		for _, l := range []language{c99, cxx} {
			t.Run(strings.TrimSuffix(filepath.Base(source), ".c")+"/"+l.name, func(t *testing.T) {
				program := compile(t, l, source)
				target, base := startTarget(t)
				run(t, program, target.PID, base)
			})
		}
	}
}

// Every call of the library stands in a program of testdata/calls.
func TestEachCallHasAProgram(t *testing.T) {
	var all strings.Builder
	sources, _ := filepath.Glob("testdata/calls/*.c")
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, name := range exportedNames(t) {
		if !strings.Contains(all.String(), name) {
			t.Errorf("no program uses %s", name)
		}
	}
}
