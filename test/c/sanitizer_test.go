package c

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// sanitized is C with the address and the undefined-behaviour sanitizer in the
// program; what it calls in the library of C it watches there too.
var sanitized = language{"sanitized C99", "cc", append([]string{"-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"}, c99.flags...)}

func needSanitizer(t *testing.T) {
	t.Helper()
	library(t)
	source, program := filepath.Join(t.TempDir(), "empty.c"), filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(source, []byte("int main(void) { return 0; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-fsanitize=address,undefined", source, "-o", program).CombinedOutput(); err != nil {
		testtarget.Skip(t, "sanitizer", string(out))
	}
}

func TestTheAddressSanitizerFindsNothing(t *testing.T) {
	needSanitizer(t)
	for _, source := range watchedPrograms() {
		t.Run(nameOf(source), func(t *testing.T) {
			program := compile(t, sanitized, source)
			target, base := startTarget(t)
			run(t, program, target.PID, base)
		})
	}
}

// The same with the sanitizer in the library too, in its C and in its Go.
func TestTheAddressSanitizerFindsNothingInTheLibrary(t *testing.T) {
	if testing.Short() {
		t.Skip("the standard library is compiled anew for it")
	}
	needSanitizer(t)
	lib := t.TempDir()
	build := exec.Command("go", "build", "-asan", "-buildmode=c-shared", "-o", lib+"/libmachcompat.so", "../../cmd/libmachcompat")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, source := range watchedPrograms() {
		t.Run(nameOf(source), func(t *testing.T) {
			program := compileFor(t, sanitized, lib, source)
			target, base := startTarget(t)
			run(t, program, target.PID, base)
		})
	}
}

func watchedPrograms() []string {
	sources, _ := filepath.Glob("testdata/calls/*.c")
	return append(sources, "testdata/programs/forged_names.c", "testdata/programs/threads.c")
}

func nameOf(source string) string { return strings.TrimSuffix(filepath.Base(source), ".c") }

func TestSanitizersSeeIntoTheLibrary(t *testing.T) {
	needSanitizer(t)
	program := compile(t, sanitized, "testdata/programs/overrun.c")
	target, base := startTarget(t)
	out, err := exec.Command(program, fmt.Sprint(target.PID), base).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "heap-buffer-overflow") {
		t.Errorf("an overrun of the caller's struct: %v\n%s", err, out)
	}
}
