// SPDX-License-Identifier: Apache-2.0

package c

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// callPrograms are programs that check themselves, each about one call or one that
// comes in several widths.
func callPrograms(t *testing.T) []string {
	t.Helper()
	programs, err := filepath.Glob("testdata/calls/*.c")
	if err != nil || len(programs) < 15 {
		t.Fatalf("%d programs, %v", len(programs), err)
	}
	return programs
}

func nameOf(source string) string { return strings.TrimSuffix(filepath.Base(source), ".c") }

func TestEachCallReturnsWhatItsHeaderSays(t *testing.T) {
	testtarget.Need(t, "tracing")
	for i, source := range callPrograms(t) {
		for _, l := range languages(i) {
			t.Run(nameOf(source)+"/"+l.name, func(t *testing.T) {
				t.Parallel()
				program := l.program(t, source, library(t))
				target, base := startTarget(t)
				run(t, program, target.PID, base)
			})
		}
	}
}

func TestEachCallHasAProgram(t *testing.T) {
	var all strings.Builder
	for _, source := range callPrograms(t) {
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
