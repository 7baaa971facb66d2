// SPDX-License-Identifier: Apache-2.0

// Package c holds the tests of the C interface: programs in C, C++ and Python that
// are compiled against include and the library of "make lib", and run against real
// processes.
package c

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// buildVariable names the environment variable with an architecture: what the tests run
// is then only built for it, with CC and CXX, where VMWRITE_TEST_RUN says. A machine that
// is given that needs no compilers.
const buildVariable = "VMWRITE_C_BUILD"

func TestMain(m *testing.M) {
	if goarch := os.Getenv(buildVariable); goarch != "" {
		if err := buildAll(goarch); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(testtarget.Main(m))
}

// buildAll builds the library, and each program in C and in C++. Not each is both, and
// what a test runs and does not find is an error there.
func buildAll(goarch string) error {
	if err := os.Setenv("GOARCH", goarch); err != nil {
		return err
	}
	lib, err := testtarget.BuildLibrary()
	if err != nil {
		return err
	}
	programs, err := filepath.Glob("testdata/*/*.c")
	for _, source := range programs {
		for _, l := range []language{c99, cxx17} {
			if _, err := l.build(source, lib); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
	return err
}

// sources are what the programs here are made of.
var sources = []string{"Makefile", "cmd/libmachcompat", "include", "internal", "pkg", "test/c/testdata"}

// library returns the directory of the library, as "make lib" builds it.
func library(t *testing.T) string {
	t.Helper()
	if !testtarget.Built(testtarget.Library) {
		testtarget.Need(t, "make", "cc")
	}
	return must(t)(testtarget.BuildLibrary())
}

// sanitizedLibrary is library with the address sanitizer in its C and in its Go,
// for which the standard library is compiled anew.
func sanitizedLibrary(t *testing.T) string {
	t.Helper()
	return must(t)(testtarget.Once("lib-asan", sources, func(path string) *exec.Cmd {
		cmd := exec.Command("go", "build", "-asan", "-buildmode=c-shared", "-o", path+"/libmachcompat.so", "../../cmd/libmachcompat")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
		return cmd
	}))
}

func must(t *testing.T) func(path string, err error) string {
	return func(path string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
}

// A language is how a program is compiled: by which compiler, which an environment
// variable may replace if one is named, and by which standard.
type language struct{ name, compiler, variable, standard string }

var (
	c99   = language{"C99", "cc", "CC", "c99"}
	cxx17 = language{"C++17", "c++", "CXX", "c++17"}

	// allLanguages are those in which every program and every header compiles.
	allLanguages = []language{
		c99,
		{"C11", "cc", "CC", "c11"},
		{"GNU17", "cc", "CC", "gnu17"},
		cxx17,
		{"C99 of clang", "clang", "", "c99"},
		{"C11 of clang", "clang", "", "c11"},
		{"GNU17 of clang", "clang", "", "gnu17"},
		{"C++17 of clang", "clang++", "", "c++17"},
	}
)

// languages is the one in which a program is run, by the number: all of them compile it.
func languages(number int) []language {
	return []language{[]language{c99, cxx17}[number%2]}
}

// compile runs the compiler, for which every warning is an error.
func (l language) compile(t *testing.T, arguments ...string) {
	t.Helper()
	output(t, l.command(arguments...))
}

func (l language) command(arguments ...string) *exec.Cmd {
	dialect := "c"
	if strings.HasPrefix(l.standard, "c++") {
		dialect = "c++"
	}
	return exec.Command(cmp.Or(os.Getenv(l.variable), l.compiler), slices.Concat([]string{"-std=" + l.standard, "-Wall", "-Wextra", "-Werror", "-pedantic",
		"-x", dialect}, arguments)...)
}

// headersHere is where the headers are before they are installed.
const headersHere = "-I../../include"

// program compiles a program, links it with the library of a directory and returns
// its path.
func (l language) program(t *testing.T, source, lib string, flags ...string) string {
	t.Helper()
	if !testtarget.Built(l.programName(source, lib, flags)) {
		testtarget.Need(t, l.compiler)
	}
	return must(t)(l.build(source, lib, flags...))
}

func (l language) programName(source, lib string, flags []string) string {
	return filepath.Join("test/c", strings.Join(append([]string{strings.TrimSuffix(source, ".c"), l.standard, filepath.Base(lib)}, flags...), "-"))
}

func (l language) build(source, lib string, flags ...string) (string, error) {
	return testtarget.Once(l.programName(source, lib, flags), []string{"include", "test/c/testdata"}, func(path string) *exec.Cmd {
		fromProgram, err := filepath.Rel(filepath.Dir(path), lib) // another machine has both elsewhere
		cmd := l.command(slices.Concat([]string{headersHere, source, "-x", "none", "-o", path, "-pthread",
			"-L" + lib, "-lmachcompat", "-Wl,-rpath,$ORIGIN/" + fromProgram}, flags)...)
		cmd.Err = cmp.Or(err, cmd.Err)
		return cmd
	})
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
