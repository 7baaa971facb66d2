package testtarget

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// builds are the programs that this test program has built, each once.
var builds struct {
	sync.Mutex
	directory string
	paths     map[string]string
}

// Build builds the target for an architecture, "" for this one, and returns its
// path. The program is static and readable for every user.
func Build(tb testing.TB, goarch string) string {
	tb.Helper()
	return buildOnce(tb, "target"+goarch, func(path string) *exec.Cmd {
		cmd := exec.Command("go", "build", "-o", path, "github.com/vmwrite/vmwrite/internal/testtarget/target")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if goarch != "" {
			cmd.Env = append(cmd.Env, "GOARCH="+goarch)
		}
		return cmd
	})
}

// BuildC builds a C program of one file, with every warning an error, and returns
// its path. Every user may run it. The test is skipped without a C compiler.
func BuildC(tb testing.TB, source string, flags ...string) string {
	tb.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		Skip(tb, "cc", "no C compiler")
	}
	return buildOnce(tb, strings.TrimSuffix(filepath.Base(source), ".c"), func(path string) *exec.Cmd {
		arguments := append([]string{"-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", path, source}, flags...)
		return exec.Command(cc, arguments...)
	})
}

// buildOnce runs the command that builds a program, unless it was built before.
func buildOnce(tb testing.TB, name string, command func(path string) *exec.Cmd) string {
	tb.Helper()
	builds.Lock()
	defer builds.Unlock()
	if path, ok := builds.paths[name]; ok {
		return path
	}
	if builds.directory == "" {
		directory, err := os.MkdirTemp("", "vmwrite-target-")
		if err != nil {
			tb.Fatal(err)
		}
		if err := os.Chmod(directory, 0o755); err != nil {
			tb.Fatal(err)
		}
		builds.directory = directory
		builds.paths = map[string]string{}
	}
	path := filepath.Join(builds.directory, name)
	if out, err := command(path).CombinedOutput(); err != nil {
		tb.Fatalf("building %s: %v\n%s", name, err, out)
	}
	builds.paths[name] = path
	return path
}

// Main runs the tests of a package and then removes what was built: call it from
// TestMain.
func Main(m *testing.M) int {
	defer func() { os.RemoveAll(builds.directory) }()
	return m.Run()
}
