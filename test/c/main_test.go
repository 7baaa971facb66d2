// Package c holds the tests of the C interface: programs in C, C++ and Python that
// are compiled against include and the library of "make lib", and run against real
// processes.
package c

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

func TestMain(m *testing.M) { os.Exit(testtarget.Main(m)) }

// sources are what the programs here are made of.
var sources = []string{"Makefile", "cmd/libmachcompat", "include", "internal", "pkg", "test/c/testdata"}

// library returns the directory of the library, as "make lib" builds it.
func library(t *testing.T) string {
	t.Helper()
	return built(t, "lib", func(path string) *exec.Cmd { return makeCommand("lib", "OUT="+path, prefix) })
}

// prefix is where the library would be installed. It is no usual place, so that
// nothing is found there by accident.
const prefix = "PREFIX=/opt/mach"

// sanitizedLibrary is library with the address sanitizer in its C and in its Go,
// for which the standard library is compiled anew.
func sanitizedLibrary(t *testing.T) string {
	t.Helper()
	return built(t, "lib-asan", func(path string) *exec.Cmd {
		cmd := exec.Command("go", "build", "-asan", "-buildmode=c-shared", "-o", path+"/libmachcompat.so", "../../cmd/libmachcompat")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
		return cmd
	})
}

func built(t *testing.T, name string, command func(path string) *exec.Cmd) string {
	t.Helper()
	path, err := testtarget.Once(name, sources, command)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// makeCommand is a make in the root of the module, as if nobody else's make ran.
func makeCommand(arguments ...string) *exec.Cmd {
	cmd := exec.Command("make", append([]string{"-s", "-C", testtarget.Root()}, arguments...)...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=") || strings.HasPrefix(v, "CGO_ENABLED=")
	})
	return cmd
}

// A language is how a program is compiled.
type language struct{ name, compiler, standard string }

var (
	c99   = language{"C99", "cc", "c99"}
	c11   = language{"C11", "cc", "c11"}
	cxx11 = language{"C++11", "c++", "c++11"}
	cxx20 = language{"C++20", "c++", "c++20"}
)

// languages are those in which a program that is both C and C++ is compiled: in a
// quick run one of them, by the number.
func languages(number int) []language {
	return testtarget.Some([]language{c99, cxx11}, 1, number)
}

// compile runs the compiler, for which every warning is an error.
func (l language) compile(t *testing.T, arguments ...string) {
	t.Helper()
	output(t, exec.Command(l.compiler, slices.Concat([]string{"-std=" + l.standard, "-Wall", "-Wextra", "-Werror", "-pedantic",
		"-x", strings.TrimRight(l.standard, "0123456789")}, arguments)...))
}

// headersHere is where the headers are before they are installed.
const headersHere = "-I../../include"

// program compiles a program, links it with the library of a directory and returns
// its path.
func (l language) program(t *testing.T, source, lib string, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	l.compile(t, slices.Concat([]string{headersHere, source, "-x", "none", "-o", program, "-pthread",
		"-L" + lib, "-lmachcompat", "-Wl,-rpath," + lib}, flags)...)
	return program
}

// run runs a program, which must succeed, and returns what it prints.
func run(t *testing.T, program string, arguments ...any) string {
	t.Helper()
	return output(t, command(program, arguments...))
}

func command(program string, arguments ...any) *exec.Cmd {
	cmd := exec.Command(program)
	for _, argument := range arguments {
		cmd.Args = append(cmd.Args, fmt.Sprint(argument))
	}
	return cmd
}

// output runs a command that must succeed, and returns what it prints.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := tryOutput(cmd)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return out
}

func tryOutput(cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := testtarget.RunCommand(cmd)
	return out.String(), err
}

// startTarget starts a target with the memory that testdata/check.h describes, and
// returns it with the address of that.
func startTarget(t *testing.T) (*testtarget.Target, string) {
	t.Helper()
	target := testtarget.Start(t)
	return target, target.Do("layout rw-:2,r--:2,---:1,gap:1,rw-:2")
}
