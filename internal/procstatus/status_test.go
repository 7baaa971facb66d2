// SPDX-License-Identifier: Apache-2.0

package procstatus

import (
	"os"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

func TestMain(m *testing.M) { os.Exit(testtarget.Main(m)) }

func TestStatusOfThisThread(t *testing.T) {
	if _, err := ReadThread(os.Getpid(), os.Getpid()); err != nil {
		t.Errorf("ReadThread of this thread: %v", err)
	}
	if _, err := ReadThread(-1, -1); !os.IsNotExist(err) {
		t.Errorf("ReadThread of no process: %v", err)
	}
	if tracer := TracerOf(-1); tracer != 0 {
		t.Errorf("TracerOf no process = %d", tracer)
	}
	if !IsOwnThread(os.Getpid()) || IsOwnThread(os.Getppid()) || IsOwnThread(0) {
		t.Error("a thread is not told from another's")
	}
}

func TestLines(t *testing.T) {
	s, err := parse("Name:\ta:b\nState:\tt (tracing stop)\nPPid:\t7\nTracerPid:\t9\nSeccomp:\t2\nx86_Thread_features:\tshstk \nNew:\tx\n")
	want := Status{Tracer: 9, Seccomp: 2, X86Features: "shstk"}
	if err != nil || s != want {
		t.Errorf("parse = %+v, %v; want %+v", s, err, want)
	}
	for _, line := range []string{"TracerPid:\tx\n", "Seccomp:\t\n"} {
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
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := parse(string(text)); err != nil && s != (Status{}) {
			t.Errorf("parse(%q) = %+v with %v", text, s, err)
		}
	})
}
