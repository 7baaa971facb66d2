// SPDX-License-Identifier: Apache-2.0

package c

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// This replays the matrix of calls of pkg/machcompat's conformance file.
func TestConformanceMatrixThroughTheLibrary(t *testing.T) {
	testtarget.Need(t, "tracing", "4k pages")
	var cases struct {
		Matrix []struct {
			Call, Start, Expect string
			Size                int
		}
	}
	readJSON(t, "../../pkg/machcompat/testdata/vm.json", &cases)
	var input strings.Builder
	for _, c := range cases.Matrix {
		if offset, beside := strings.CutPrefix(c.Start, "BASE+"); beside {
			fmt.Fprintf(&input, "%s b %s %d\n", c.Call, offset, c.Size)
			continue
		}
		address, err := strconv.ParseUint(c.Start, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		// scanf reads no more than 63 bits and a sign.
		fmt.Fprintf(&input, "%s a %d %d\n", c.Call, int64(address), c.Size)
	}
	program := c99.program(t, "testdata/programs/conformance.c", library(t))
	for _, task := range []string{"a target", "this task"} {
		t.Run(task, func(t *testing.T) {
			cmd := command(program, "self")
			if task == "a target" {
				target, _ := startTarget(t)
				cmd = command(program, target.PID, target.Do("map rw- 4"), target.Do("map rw- 4"))
			}
			cmd.Stdin = strings.NewReader(input.String())
			out := output(t, cmd)
			codes := strings.Fields(out)
			if len(codes) != len(cases.Matrix) {
				t.Fatalf("%d answers to %d calls", len(codes), len(cases.Matrix))
			}
			for i, c := range cases.Matrix {
				code, _ := strconv.Atoi(codes[i])
				if got := machcompat.KernReturn(code).String(); got != c.Expect {
					t.Errorf("%s %s+%d = %s; want %s", c.Call, c.Start, c.Size, got, c.Expect)
				}
			}
		})
	}
}

// What each call must do for sizes, alignments, holes and protections.
func TestTableOfAllocation(t *testing.T) {
	testtarget.Need(t, "tracing", "4k pages")
	const least = 2000
	for i, task := range []string{"a target", "this task"} {
		t.Run(task, func(t *testing.T) {
			t.Parallel()
			program := languages(i)[0].program(t, "testdata/programs/allocation.c", library(t))
			cmd := command(program, "self")
			if task == "a target" {
				target, base := startTarget(t)
				cmd = command(program, target.PID, base)
			}
			out, err := tryOutput(cmd)
			var passed, differ int
			for line := range strings.Lines(out) {
				switch {
				case !strings.HasPrefix(line, "ok "):
					t.Error(strings.TrimSpace(line))
					continue
				case strings.Contains(line, "[macOS: "):
					differ++
				}
				passed++
			}
			if err != nil || passed < least {
				t.Errorf("%d cases passed, %v; want all, and at least %d", passed, err, least)
			}
			t.Logf("%d cases passed; in %d of them macOS returns another code", passed, differ)
		})
	}
}

// The texts stand in C too, so that they can be printed after a fork.
func TestTheTextsInCAreThoseOfTheConformanceFile(t *testing.T) {
	var groups map[string][]struct {
		Name, Text string
		Value      int
	}
	readJSON(t, "../../pkg/machcompat/testdata/kern_return.json", &groups)
	var program strings.Builder
	program.WriteString("#include <mach/mach.h>\n#include <stdio.h>\n#include <string.h>\nint main(void)\n{\n\tint bad = 0;\n")
	count := 0
	for _, codes := range groups {
		for _, c := range codes {
			count++
			fmt.Fprintf(&program, "\tif (%s != %d || strcmp(mach_error_string(%s), %q) != 0)\n\t\tbad += printf(\"%s\\n\");\n",
				c.Name, c.Value, c.Name, c.Text, c.Name)
		}
	}
	program.WriteString("\treturn bad != 0;\n}\n")
	source := t.TempDir() + "/texts.c"
	if err := os.WriteFile(source, []byte(program.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, c99.program(t, source, library(t)))
	if count < 70 {
		t.Errorf("%d codes; want them all", count)
	}
}

func readJSON(t *testing.T, path string, value any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, value); err != nil {
		t.Fatal(err)
	}
}
