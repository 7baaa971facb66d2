// SPDX-License-Identifier: Apache-2.0

package c

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// rounds are how many the programs that repeat themselves make.
var rounds = testtarget.Sized(40, 400)

func TestForgedAndStaleNamesAreErrorsAndNoMore(t *testing.T) {
	testtarget.Need(t, "tracing")
	t.Parallel()
	target, base := startTarget(t)
	run(t, c99.program(t, "testdata/programs/forged_names.c", library(t)), target.PID, base, rounds)
}

func TestSixteenThreadsCallAtOnce(t *testing.T) {
	testtarget.Need(t, "tracing")
	t.Parallel()
	target, base := startTarget(t)
	target.Do("threads 4")
	before := target.Do("counts")
	run(t, c99.program(t, "testdata/programs/threads.c", library(t)), target.PID, base, rounds)
	testtarget.WaitFor(t, "the target to go on", func() bool { return target.Do("counts") != before })
}

func TestNothingHangsInTheChildOfAFork(t *testing.T) {
	testtarget.Need(t, "tracing")
	t.Parallel()
	target, base := startTarget(t)
	run(t, c99.program(t, "testdata/programs/fork.c", library(t)), target.PID, base)
}

// startVictim starts testdata/programs/victim.c, and returns it with the path of
// the program and the address of its function.
func startVictim(t *testing.T) (victim *testtarget.Process, path, function string) {
	t.Helper()
	path = testtarget.BuildC(t, "testdata/programs/victim.c")
	victim = testtarget.StartProcess(t, exec.Command(path))
	return victim, path, victim.Line()
}

// assertState compares what the victim prints of itself.
func assertState(t *testing.T, victim *testtarget.Process, want string) {
	t.Helper()
	if state, err := victim.Ask(""); err != nil || state != want {
		t.Errorf("the victim has %q, %v; want %q", state, err, want)
	}
}

func TestTrainerForMacOSFindsAndChangesAValue(t *testing.T) {
	testtarget.Need(t, "tracing")
	for _, l := range languages(0) {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			victim, _, _ := startVictim(t)
			assertState(t, victim, "1234567891 1234567891 0")
			run(t, l.program(t, "testdata/programs/trainer.c", library(t)), victim.PID, 1234567891, 999999999)
			assertState(t, victim, "999999999 999999999 0")
		})
	}
}

func TestPatcherForMacOSChangesCodeButNoFile(t *testing.T) {
	testtarget.Need(t, "tracing")
	for _, l := range languages(1) {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			victim, path, function := startVictim(t)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			assertState(t, victim, "1234567891 1234567891 0")
			run(t, l.program(t, "testdata/programs/patcher.c", library(t)), victim.PID, function)
			assertState(t, victim, "1234567891 1234567891 1")
			if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
				t.Errorf("the file of the program was changed (%v)", err)
			}
		})
	}
}

func TestPythonCallsTheLibrary(t *testing.T) {
	testtarget.Need(t, "python3", "tracing")
	t.Parallel()
	lib := library(t)
	target, base := startTarget(t)
	run(t, "python3", "testdata/call_from_python.py", lib+"/libmachcompat.so", target.PID, base)
}

func TestTheStaticLibraryIsWhole(t *testing.T) {
	testtarget.Need(t, "cc", "tracing")
	t.Parallel()
	lib := library(t)
	target, base := startTarget(t)
	program := filepath.Join(t.TempDir(), "program")
	c99.compile(t, headersHere, "testdata/calls/vm_protect.c", "-x", "none", "-o", program, lib+"/libmachcompat.a", "-pthread", "-ldl")
	run(t, program, target.PID, base)
}

func TestMakeInstallPutsWhatAProgramNeeds(t *testing.T) {
	testtarget.Need(t, "make", "cc", "pkg-config", "tracing")
	t.Parallel()
	root := t.TempDir()
	output(t, testtarget.Make("install-lib", "OUT="+library(t), "DESTDIR="+root, "PREFIX=/opt/mach"))
	for _, name := range []string{
		"lib/libmachcompat.so", "lib/libmachcompat.a", "lib/pkgconfig/machcompat.pc",
		"include/machcompat/TargetConditionals.h", "include/machcompat/mach/mach.h",
		"include/machcompat/mach/machine/vm_types.h",
	} {
		if _, err := os.Stat(filepath.Join(root, "opt/mach", name)); err != nil {
			t.Error(err)
		}
	}
	cmd := exec.Command("pkg-config", "--cflags", "--libs", "machcompat")
	cmd.Env = append(os.Environ(), "PKG_CONFIG_SYSROOT_DIR="+root, "PKG_CONFIG_LIBDIR="+root+"/opt/mach/lib/pkgconfig")
	program := filepath.Join(t.TempDir(), "program")
	arguments := append([]string{"testdata/calls/vm_write.c", "-x", "none", "-o", program}, strings.Fields(output(t, cmd))...)
	c99.compile(t, append(arguments, "-Wl,-rpath,"+root+"/opt/mach/lib")...)
	target, base := startTarget(t)
	run(t, program, target.PID, base)
}
