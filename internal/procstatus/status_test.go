package procstatus

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

func TestMain(m *testing.M) { os.Exit(testtarget.Main(m)) }

func TestOfThisProcess(t *testing.T) {
	s, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	uid, gid := uint64(os.Getuid()), uint64(os.Getgid())
	if s.Name == "" || s.PPID != os.Getppid() || s.Threads < 1 || s.UIDs[0] != uid || s.GIDs[0] != gid || !strings.Contains("RSD", s.State) {
		t.Errorf("Read = %+v", s)
	}
	if thread, err := ReadThread(os.Getpid(), os.Getpid()); err != nil || thread.PPID != s.PPID {
		t.Errorf("ReadThread = %+v, %v", thread, err)
	}
	command, err := Command(os.Getpid())
	if err != nil || command != s.Name {
		t.Errorf("Command = %q, %v; want %q", command, err, s.Name)
	}
	arguments, err := CommandLine(os.Getpid())
	if err != nil || !slices.Equal(arguments, os.Args) {
		t.Errorf("CommandLine = %q, %v; want %q", arguments, err, os.Args)
	}
	if all, err := All(); err != nil || !slices.Contains(all, os.Getpid()) || !slices.IsSorted(all) {
		t.Errorf("All = %v, %v", all, err)
	}
}

func TestOfOthers(t *testing.T) {
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer zombie.Wait()
	for {
		s, err := Read(zombie.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if s.State == "Z" {
			break
		}
	}
	if arguments, err := CommandLine(zombie.Process.Pid); len(arguments) != 0 || err != nil {
		t.Errorf("CommandLine of a zombie = %q, %v", arguments, err)
	}
	if IsKernelThread(zombie.Process.Pid) || IsKernelThread(os.Getpid()) || IsKernelThread(-1) {
		t.Error("a process is taken for a kernel thread")
	}
	if _, err := Read(-1); !os.IsNotExist(err) {
		t.Errorf("Read of no process = %v", err)
	}
	if tracer := TracerOf(-1); tracer != 0 {
		t.Errorf("TracerOf no process = %d", tracer)
	}
	if name, err := Command(2); err == nil && name == "kthreadd" && !IsKernelThread(2) {
		t.Error("kthreadd is not taken for a kernel thread")
	}
}

func TestLines(t *testing.T) {
	s, err := parse("Name:\ta:b\nState:\tt (tracing stop)\nPPid:\t7\nTracerPid:\t9\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n" +
		"Threads:\t3\nCapPrm:\t00000000000000ff\nCapEff:\t000000000000000f\nCapBnd:\t000001ffffffffff\nSeccomp:\t2\nx86_Thread_features:\tshstk \nNew:\tx\n")
	want := Status{
		Name: "a:b", State: "t", PPID: 7, Threads: 3, Tracer: 9, UIDs: [4]uint64{1, 2, 3, 4}, GIDs: [4]uint64{5, 6, 7, 8},
		CapPrm: 0xff, CapEff: 0xf, CapBnd: 0x1ffffffffff, Seccomp: 2, X86Features: "shstk",
	}
	if err != nil || s != want {
		t.Errorf("parse = %+v, %v; want %+v", s, err, want)
	}
	for _, line := range []string{"Uid:\t1 2 3\n", "Uid:\t1 2 3 -4\n", "PPid:\tx\n", "CapEff:\tz\n"} {
		if s, err := parse(line); err == nil || s != (Status{}) {
			t.Errorf("parse(%q) = %+v, %v; want an error", line, s, err)
		}
	}
}

func FuzzLines(f *testing.F) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := parse(text); err != nil && s != (Status{}) {
			t.Errorf("parse(%q) = %+v with %v", text, s, err)
		}
	})
}
