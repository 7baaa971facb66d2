// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
)

const began = "boot\r\n\r\nvmwrite-kernels: kernel 6.1\r\n\r\nvmwrite-kernels: begin pkg/pwrite 100\r\n"

// \x16 is what -test.v=test2json puts before the lines that are its own.
const passes = "\x16=== RUN   TestA\r\n\x16--- PASS: TestA (1.50s)\r\n"

func TestConsole(t *testing.T) {
	for _, test := range []struct {
		name, console           string
		passed, failed, skipped int
		failures                string // their tests
		err                     string
	}{
		{"all passed", began + passes + "\x16PASS\r\n\r\nvmwrite-kernels: end pkg/pwrite 0 160\r\n\r\nvmwrite-kernels: done\r\n", 1, 0, 0, "", ""},
		{"output without the end of a line", began + passes + "\x16PASS\r\nlast\r\nvmwrite-kernels: end pkg/pwrite 0 160\r\n\r\nvmwrite-kernels: done\r\n", 1, 0, 0, "", ""},
		{"a subtest failed", began + "\x16=== RUN   TestA\n\x16=== RUN   TestA/x\n    a_test.go:1: no\n\x16--- FAIL: TestA (0.00s)\n    \x16--- FAIL: TestA/x (0.00s)\n\x16FAIL\n" +
			"\nvmwrite-kernels: end pkg/pwrite 1 160\n\nvmwrite-kernels: done\n", 0, 2, 0, "TestA/x", ""},
		{"skipped", began + "\x16=== RUN   TestA\n    a_test.go:1: needs much: none; get it\n\x16--- SKIP: TestA (0.00s)\n\x16PASS\n" +
			"\nvmwrite-kernels: end pkg/pwrite 0 160\n\nvmwrite-kernels: done\n", 0, 0, 1, "", ""},
		{"a test never ended", began + passes + "\x16=== RUN   TestB\npanic: oh\n\nvmwrite-kernels: end pkg/pwrite 2 160\n\nvmwrite-kernels: done\n", 1, 1, 0, "TestB", ""},
		{"a package failed without a test", began + passes + "\x16PASS\n\nvmwrite-kernels: end pkg/pwrite 3 160\n\nvmwrite-kernels: done\n", 1, 0, 0, "(the package)", ""},
		{"the machine ended", began + passes + "\x16=== RUN   TestB\nKernel panic\n", 1, 1, 0, "TestB", "ended before its tests did"},
		{"the machine never began", "Kernel panic\n", 0, 0, 0, "", "ended before its tests did"},
		{"a line that init does not write", began + "vmwrite-kernels: what\n", 0, 0, 0, "(the package)", "the console says"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r result
			var events strings.Builder
			err := r.read(strings.NewReader(test.console), &events)
			if (err == nil) != (test.err == "") || (err != nil && !strings.Contains(err.Error(), test.err)) {
				t.Fatalf("%v; want %q", err, test.err)
			}
			if len(r.ran) == 0 {
				if test.passed+test.failed+test.skipped > 0 {
					t.Error("no package ran")
				}
				return
			}
			p := r.ran[0]
			var failures []string
			for _, f := range p.failures {
				failures = append(failures, f.test)
			}
			got := fmt.Sprint(r.kernel, p.path, p.passed, p.failed, p.skipped, failures)
			var want []string
			if test.failures != "" {
				want = []string{test.failures}
			}
			if want := fmt.Sprint("6.1", "pkg/pwrite", test.passed, test.failed, test.skipped, want); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if reasons := strings.Join(p.reasons, ","); test.skipped > 0 && reasons != "needs much: none; get it" {
				t.Errorf("the reason is %q", reasons)
			}
			if test.err == "" && p.seconds != 60 {
				t.Errorf("%d seconds; want 60", p.seconds)
			}
			if !strings.Contains(events.String(), `"Package":"github.com/vmwrite/vmwrite/pkg/pwrite"`) {
				t.Errorf("no events of the package:\n%s", events.String())
			}
		})
	}
}
