// Package c holds the tests of the C interface: programs in C, C++ and Python that
// are compiled against include and the library of "make lib", and run against real
// processes.
package c

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

func TestMain(m *testing.M) {
	code := testtarget.Main(m)
	if directory != "" {
		os.RemoveAll(directory)
	}
	os.Exit(code)
}

// directory is where everything is built: the library by "make lib", once.
var (
	directory string
	makeLib   = sync.OnceValues(func() (path string, err error) {
		if directory, err = os.MkdirTemp("", "vmwrite-c-"); err != nil {
			return "", err
		}
		if err := lookAtSources("../../cmd/libmachcompat", "../../include", "../../internal", "../../pkg", "testdata", "../adversarial/testdata"); err != nil {
			return "", err
		}
		return directory, runMake("lib", "OUT="+directory)
	})
)

// lookAtSources looks at each file that the programs here are made of, by other
// programs: go test remembers what the tests themselves have looked at, and runs
// them again when it has changed.
func lookAtSources(roots ...string) error {
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// runMake runs make in the root of the repository, as if nobody else's make ran.
func runMake(arguments ...string) error {
	cmd := exec.Command("make", append([]string{"-s", "-C", "../.."}, arguments...)...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=") || strings.HasPrefix(v, "CGO_ENABLED=")
	})
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make %s: %w\n%s", strings.Join(arguments, " "), err, out)
	}
	return nil
}

// library returns the directory of the built library. The test is skipped without
// a C compiler.
func library(t testing.TB) string {
	t.Helper()
	for _, tool := range []string{"make", "cc"} {
		needTool(t, "cc", tool)
	}
	path, err := makeLib()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func needTool(t testing.TB, what, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		testtarget.Skip(t, what, "no "+tool+" is installed")
	}
}

// A language is how a program is compiled.
type language struct {
	name     string
	compiler string
	flags    []string
}

var (
	strict = []string{"-Wall", "-Wextra", "-Werror", "-pedantic", "-I../../include"}
	c99    = language{"C99", "cc", append([]string{"-std=c99", "-x", "c"}, strict...)}
	cxx    = language{"C++11", "c++", append([]string{"-std=c++11", "-x", "c++"}, strict...)}
)

// compile compiles a program and links it with the library. It returns its path.
func compile(t testing.TB, l language, source string, flags ...string) string {
	t.Helper()
	return compileFor(t, l, library(t), source, flags...)
}

// compileFor is compile for the library of a directory.
func compileFor(t testing.TB, l language, lib, source string, flags ...string) string {
	t.Helper()
	needTool(t, "cc", l.compiler)
	program := filepath.Join(t.TempDir(), "program")
	arguments := append(slices.Clone(l.flags), source, "-x", "none", "-o", program, "-pthread",
		"-L"+lib, "-lmachcompat", "-Wl,-rpath,"+lib)
	compileWith(t, l, append(arguments, flags...)...)
	return program
}

func compileWith(t testing.TB, l language, arguments ...string) {
	t.Helper()
	if out, err := exec.Command(l.compiler, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", l.compiler, strings.Join(arguments, " "), err, out)
	}
}

// run runs a program, which must succeed, and returns what it prints.
func run(t testing.TB, program string, arguments ...any) string {
	t.Helper()
	var texts []string
	for _, argument := range arguments {
		texts = append(texts, fmt.Sprint(argument))
	}
	out, err := exec.Command(program, texts...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(texts, " "), err, out)
	}
	return string(out)
}

// needTracing skips the test where Yama lets a process trace none but its children:
// the programs here are no parents of what they call upon.
func needTracing(t testing.TB) {
	t.Helper()
	level, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if err == nil && string(level) != "0\n" && os.Geteuid() != 0 {
		testtarget.Skip(t, "root", "kernel.yama.ptrace_scope is not 0")
	}
}

// startTarget starts a target with the memory that testdata/check.h describes, and
// returns it with the address of that.
func startTarget(t testing.TB) (*testtarget.Target, string) {
	t.Helper()
	needTracing(t)
	target := testtarget.Start(t)
	return target, target.Do("layout rw-:2,r--:2,---:1,gap:1,rw-:2")
}
