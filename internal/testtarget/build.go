// SPDX-License-Identifier: Apache-2.0

package testtarget

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// RunVariable names the environment variable with a directory for one run of many
// packages' tests: their programs are built there, each once, and a line is
// written there for each test that is skipped. "make test" makes and removes it.
const RunVariable = "VMWRITE_TEST_RUN"

// Root returns the directory of the module.
var Root = sync.OnceValue(func() string {
	directory, err := os.Getwd()
	for ; err == nil; directory = filepath.Dir(directory) {
		if _, err := os.Stat(filepath.Join(directory, "go.mod")); err == nil || directory == "/" {
			break
		}
	}
	return directory
})

// own is the directory of the programs of these tests alone, where the run has
// none. Main removes it.
var own = sync.OnceValues(func() (directory string, err error) {
	if directory, err = os.MkdirTemp("", "vmwrite-test-"); err == nil {
		err = os.Chmod(directory, 0o755) // for the tests of other users
	}
	return directory, err
})

// programs returns the directory of the run's programs.
func programs() (directory string, err error) {
	if directory = os.Getenv(RunVariable); directory != "" {
		return directory, nil
	}
	return own()
}

// Main runs the tests of a package and then removes what was built for them alone:
// call it from TestMain.
func Main(m interface{ Run() int }) int {
	unix.Umask(0o022) // other users run what is built
	// What nohup, or a shell for its background, ignores would be ignored by all
	// programs here too, which are sent it. What this one catches is not.
	for s := unix.Signal(1); s < 32; s++ {
		if ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	status := m.Run()
	if os.Getenv(RunVariable) == "" {
		if directory, err := own(); err == nil {
			os.RemoveAll(directory)
		}
	}
	return status
}

// ignored reports whether this program ignores a signal: [signal.Ignored] knows of
// SIGHUP and SIGINT only.
func ignored(s unix.Signal) bool {
	status, _ := os.ReadFile("/proc/self/status")
	_, mask, _ := strings.Cut(string(status), "SigIgn:\t")
	mask, _, _ = strings.Cut(mask, "\n")
	signals, _ := strconv.ParseUint(mask, 16, 64)
	return signals&(1<<(s-1)) != 0
}

// Once returns the path of what a command builds, in the tree of this run at a path
// like that of its source in the module. What is there, of another package or from
// before the run, is used as it is. Else the inputs, directories too, are looked at, so
// that the go command knows that the tests depend on them, and the command runs.
func Once(path string, inputs []string, command func(path string) *exec.Cmd) (string, error) {
	directory, err := programs()
	if err != nil {
		return "", err
	}
	if Built(path) {
		return filepath.Join(directory, path), nil
	}
	for _, input := range inputs {
		err := filepath.WalkDir(filepath.Join(Root(), input), func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
	path = filepath.Join(directory, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if out, err := command(path + ".new").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", path, err, out)
	}
	return path, os.Rename(path+".new", path)
}

// Built reports whether Once has, or was given before the run, what it would build.
// Then nothing is needed to build it.
func Built(path string) bool {
	directory, err := programs()
	if err == nil {
		_, err = os.Stat(filepath.Join(directory, path))
	}
	return err == nil
}

// Build builds the target for an architecture, "" for that of the tests, and returns
// its path. The program is static, and every user may run it.
func Build(tb testing.TB, goarch string) string {
	tb.Helper()
	return must(tb)(BuildGo("internal/testtarget/target", cmp.Or(goarch, runtime.GOARCH)))
}

// BuildCommand builds vmwrite, as "make build" does, and returns its path.
func BuildCommand(tb testing.TB) string {
	tb.Helper()
	return must(tb)(BuildGo("cmd/vmwrite", runtime.GOARCH))
}

// BuildGo builds a command of this module for an architecture, with these flags of
// "go build" too, and returns its path.
func BuildGo(source, goarch string, flags ...string) (string, error) {
	return Once(filepath.Join(goarch, source+strings.Join(flags, "")), []string{"cmd", "examples", "internal", "pkg", "test/game"}, func(path string) *exec.Cmd {
		arguments := append([]string{"build", "-trimpath", "-o", path}, flags...)
		cmd := exec.Command("go", append(arguments, "github.com/vmwrite/vmwrite/"+source)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+goarch)
		return cmd
	})
}

// Library is the directory of the C library among what the run has built.
const Library = "lib"

// BuildLibrary builds the C library, as "make lib" does, and returns the directory of
// it.
func BuildLibrary() (string, error) {
	return Once(Library, []string{"Makefile", "cmd/libmachcompat", "include", "internal", "pkg"}, func(path string) *exec.Cmd {
		return Make("lib", "OUT="+path)
	})
}

// Make is a make in the root of the module, as if nobody else's make ran.
func Make(arguments ...string) *exec.Cmd {
	cmd := exec.Command("make", append([]string{"-s", "-C", Root()}, arguments...)...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=") || strings.HasPrefix(v, "CGO_ENABLED=")
	})
	return cmd
}

// BuildC builds a C program of one file with these flags of the compiler too, and
// returns its path. The test is skipped if the program is not there and cannot be built.
func BuildC(tb testing.TB, source string, flags ...string) string {
	tb.Helper()
	source, err := filepath.Abs(source)
	if err != nil {
		tb.Fatal(err)
	}
	source, err = filepath.Rel(Root(), source)
	if err != nil {
		tb.Fatal(err)
	}
	if !Built(programOf(source, flags)) {
		Need(tb, "cc")
		if slices.Contains(flags, "-static") && !slices.Contains(flags, "-nostdlib") {
			Need(tb, "static libc")
		}
	}
	return must(tb)(CompileC("cc", source, flags...))
}

// CompileC builds a C program of one file, named by its path in the module, with every
// warning an error. Every user may run it.
func CompileC(compiler, source string, flags ...string) (path string, err error) {
	return Once(programOf(source, flags), []string{source}, func(path string) *exec.Cmd {
		flags := append([]string{"-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", path, filepath.Join(Root(), source)}, flags...)
		return exec.Command(compiler, flags...)
	})
}

func programOf(source string, flags []string) string {
	return strings.TrimSuffix(source, ".c") + strings.Join(flags, "")
}

func must(tb testing.TB) func(path string, err error) string {
	return func(path string, err error) string {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return path
	}
}
