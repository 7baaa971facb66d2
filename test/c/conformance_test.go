package c

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// The conformance file of pkg/machcompat, of which this replays the matrix of calls.
const conformanceFile = "../../pkg/machcompat/testdata/vm.json"

func TestConformanceMatrixThroughTheLibrary(t *testing.T) {
	var cases struct {
		PageSize int `json:"page_size"`
		Matrix   []struct {
			Call, Start, Expect string
			Size                int
		}
	}
	readJSON(t, conformanceFile, &cases)
	if os.Getpagesize() != cases.PageSize {
		t.Skipf("the cases are for pages of %d bytes", cases.PageSize)
	}
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
	program := compile(t, c99, "testdata/programs/conformance.c")
	for _, task := range []string{"a target", "this task"} {
		t.Run(task, func(t *testing.T) {
			arguments := []string{"self"}
			if task == "a target" {
				target, _ := startTarget(t)
				arguments = []string{fmt.Sprint(target.PID), target.Do("map rw- 4"), target.Do("map rw- 4")}
			}
			cmd := exec.Command(program, arguments...)
			cmd.Stdin = strings.NewReader(input.String())
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			codes := strings.Fields(string(out))
			if len(codes) != len(cases.Matrix) {
				t.Fatalf("%d answers to %d calls", len(codes), len(cases.Matrix))
			}
			for i, c := range cases.Matrix {
				code, _ := strconv.Atoi(codes[i])
				if got := machcompat.KernReturn(code).String(); got != c.Expect {
					t.Errorf("%s %s+%d = %s; want %s", c.Call, c.Start, c.Size, got, c.Expect)
				}
			}
			t.Logf("%d calls", len(codes))
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
	run(t, compile(t, c99, source))
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
