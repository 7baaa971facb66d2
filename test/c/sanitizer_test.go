// SPDX-License-Identifier: Apache-2.0

package c

import (
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// sanitizers are the flags for a program with the address and the undefined-behaviour
// sanitizer in it; what it calls in the library of C they watch there too.
var sanitizers = []string{"-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"}

func TestSanitizersFindNothing(t *testing.T) {
	testtarget.Need(t, "make", "sanitizers", "tracing")
	programs := append(callPrograms(t), "testdata/programs/forged_names.c", "testdata/programs/threads.c")
	for _, source := range testtarget.Some(programs, 3, 1) {
		t.Run(nameOf(source), func(t *testing.T) {
			t.Parallel()
			lib := testtarget.Sized(library, sanitizedLibrary)(t)
			program := c99.program(t, source, lib, sanitizers...)
			target, base := startTarget(t)
			run(t, program, target.PID, base, rounds)
		})
	}
}

func TestSanitizersSeeIntoTheLibrary(t *testing.T) {
	testtarget.Need(t, "make", "sanitizers", "tracing")
	t.Parallel()
	program := c99.program(t, "testdata/programs/overrun.c", library(t), sanitizers...)
	target, base := startTarget(t)
	out, err := tryOutput(command(program, target.PID, base))
	if err == nil || !strings.Contains(out, "heap-buffer-overflow") {
		t.Errorf("an overrun of the caller's struct: %v\n%s", err, out)
	}
}
