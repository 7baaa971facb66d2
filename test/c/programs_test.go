package c

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

func TestForgedAndStaleNamesAreErrorsAndNoMore(t *testing.T) {
	target, base := startTarget(t)
	run(t, compile(t, c99, "testdata/programs/forged_names.c"), target.PID, base)
}

func TestSixteenThreadsCallAtOnce(t *testing.T) {
	target, base := startTarget(t)
	target.Do("threads 4")
	before := target.Do("counts")
	run(t, compile(t, c99, "testdata/programs/threads.c"), target.PID, base)
	if after := target.Do("counts"); after == before {
		t.Error("the target stands still")
	}
}

func TestNothingHangsInTheChildOfAFork(t *testing.T) {
	target, base := startTarget(t)
	run(t, compile(t, c99, "testdata/programs/fork.c"), target.PID, base)
}

// A victim is the program testdata/programs/victim.c at work.
type victim struct {
	t        *testing.T
	pid      int
	path     string
	stdin    io.Writer
	lines    *bufio.Scanner
	function string
}

func startVictim(t *testing.T) *victim {
	t.Helper()
	needTracing(t)
	v := &victim{t: t, path: compile(t, c99, "testdata/programs/victim.c", "-O1")}
	cmd := exec.Command(v.path)
	stdin, stdout := testtarget.StartPiped(t, cmd)
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	v.pid, v.stdin, v.lines = cmd.Process.Pid, stdin, bufio.NewScanner(stdout)
	v.function = v.line()
	return v
}

func (v *victim) line() string {
	v.t.Helper()
	if !v.lines.Scan() {
		v.t.Fatalf("the victim has ended: %v", v.lines.Err())
	}
	return v.lines.Text()
}

// state returns its number, twice, and what its function decides.
func (v *victim) state() string {
	v.t.Helper()
	fmt.Fprintln(v.stdin)
	return v.line()
}

func TestTrainerForMacOSFindsAndChangesAValue(t *testing.T) {
	for _, l := range []language{c99, cxx} {
		t.Run(l.name, func(t *testing.T) {
			v := startVictim(t)
			if state := v.state(); state != "1234567891 1234567891 0" {
				t.Fatalf("the victim begins with %q", state)
			}
			found := run(t, compile(t, l, "testdata/programs/trainer.c"), v.pid, 1234567891, 999999999)
			if state := v.state(); state != "999999999 999999999 0" {
				t.Errorf("after %s writes the victim has %q", strings.TrimSpace(found), state)
			}
		})
	}
}

func TestPatcherForMacOSChangesCodeButNoFile(t *testing.T) {
	for _, l := range []language{c99, cxx} {
		t.Run(l.name, func(t *testing.T) {
			v := startVictim(t)
			before, err := os.ReadFile(v.path)
			if err != nil {
				t.Fatal(err)
			}
			v.state()
			run(t, compile(t, l, "testdata/programs/patcher.c"), v.pid, v.function)
			if state := v.state(); state != "1234567891 1234567891 1" {
				t.Errorf("the patched victim has %q", state)
			}
			if after, err := os.ReadFile(v.path); err != nil || string(after) != string(before) {
				t.Errorf("the file of the program was changed (%v)", err)
			}
		})
	}
}

func TestPythonCallsTheLibrary(t *testing.T) {
	needTool(t, "python", "python3")
	lib := library(t)
	target, base := startTarget(t)
	run(t, "python3", "testdata/call_from_python.py", filepath.Join(lib, "libmachcompat.so"), target.PID, base)
}

func TestTheStaticLibraryIsWhole(t *testing.T) {
	lib := library(t)
	target, base := startTarget(t)
	program := filepath.Join(t.TempDir(), "program")
	compileWith(t, c99, append(c99.flags, "testdata/calls/vm_protect.c", "-x", "none", "-o", program,
		filepath.Join(lib, "libmachcompat.a"), "-pthread", "-ldl")...)
	run(t, program, target.PID, base)
}

func TestMakeInstallPutsWhatAProgramNeeds(t *testing.T) {
	lib := library(t)
	root := t.TempDir()
	if err := runMake("install-lib", "OUT="+lib, "DESTDIR="+root, "PREFIX=/opt/mach"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"lib/libmachcompat.so", "lib/libmachcompat.a", "lib/pkgconfig/machcompat.pc",
		"include/machcompat/TargetConditionals.h", "include/machcompat/mach/mach.h",
		"include/machcompat/mach/machine/vm_types.h",
	} {
		if _, err := os.Stat(filepath.Join(root, "opt/mach", name)); err != nil {
			t.Error(err)
		}
	}
	needTool(t, "pkg-config", "pkg-config")
	cmd := exec.Command("pkg-config", "--cflags", "--libs", "machcompat")
	cmd.Env = append(os.Environ(), "PKG_CONFIG_SYSROOT_DIR="+root, "PKG_CONFIG_LIBDIR="+root+"/opt/mach/lib/pkgconfig")
	flags, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "program")
	arguments := append([]string{"testdata/calls/vm_write.c", "-o", program}, strings.Fields(string(flags))...)
	compileWith(t, c99, append(arguments, "-Wl,-rpath,"+root+"/opt/mach/lib")...)
	target, base := startTarget(t)
	run(t, program, target.PID, base)
}
