// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"context"
	"debug/elf"
	"errors"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// stopBusy runs f while a target with two busy threads is stopped, and checks that it runs
// afterwards.
func stopBusy(t *testing.T, f func(s *machcompat.Stopped, states map[int]machcompat.ThreadState)) {
	t.Helper()
	target := testtarget.Start(t)
	target.Do("threads 2")
	task := taskFor(t, target.PID)
	err := task.Stopped(context.Background(), func(s *machcompat.Stopped) error {
		f(s, threadStates(t, s))
		return nil
	})
	if err != nil {
		t.Errorf("Stopped = %v", err)
	}
	before := target.Do("counts")
	testtarget.WaitFor(t, "the threads count", func() bool { return target.Do("counts") != before })
}

func threadStates(t *testing.T, s *machcompat.Stopped) map[int]machcompat.ThreadState {
	t.Helper()
	threads, err := s.Threads()
	if err != nil {
		t.Fatalf("Threads = %v", err)
	}
	states := map[int]machcompat.ThreadState{}
	for _, thread := range threads {
		state, err := s.ThreadState(thread.TID)
		if err != nil {
			t.Fatalf("ThreadState(%d) = %v", thread.TID, err)
		}
		if state.PC != thread.PC {
			t.Errorf("thread %d is at %#x by its state, and at %#x in the list", thread.TID, state.PC, thread.PC)
		}
		states[thread.TID] = state
	}
	return states
}

// The state of a thread has its registers where DWARF has them: the stack pointer tells.
func TestThreadState(t *testing.T) {
	machine := map[string]struct {
		elf.Machine
		stack, all int
	}{"amd64": {elf.EM_X86_64, 7, 17}, "386": {elf.EM_386, 4, 9}, "arm64": {elf.EM_AARCH64, 31, 32}}[runtime.GOARCH]
	stopBusy(t, func(s *machcompat.Stopped, states map[int]machcompat.ThreadState) {
		threads, err := s.Threads()
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			state := states[thread.TID]
			if state.Machine != machine.Machine || len(state.Numbered) != machine.all || state.Numbered[machine.stack] != thread.SP {
				t.Errorf("thread %d with its stack at %#x: %v of %v", thread.TID, thread.SP, state.Numbered, state.Machine)
			}
			if size := state.PC - state.Again; state.Again != 0 && size != 2 {
				t.Errorf("a system call of %d bytes is made again at %#x", size, state.Again)
			}
		}
		if _, err := s.ThreadState(1); !errors.Is(err, unix.ESRCH) {
			t.Errorf("ThreadState of a thread of another process = %v; want ESRCH", err)
		}
	})
}

// One thread runs, and no other.
func TestRunThread(t *testing.T) {
	stopBusy(t, func(s *machcompat.Stopped, before map[int]machcompat.ThreadState) {
		moment := time.Microsecond
		// Any of them may wait for another one, but not all.
		testtarget.WaitFor(t, "a thread to run", func() (ran bool) {
			for tid := range before {
				old := threadStates(t, s)
				if err := s.RunThread(tid, moment); err != nil {
					t.Fatalf("RunThread(%d) = %v", tid, err)
				}
				for other, state := range threadStates(t, s) {
					switch last, known := old[other]; {
					case !known || reflect.DeepEqual(state, last):
					case other == tid:
						ran = true
					default:
						t.Errorf("while thread %d ran, thread %d went from %+v to %+v", tid, other, last, state)
					}
				}
			}
			moment = min(2*moment, 10*time.Millisecond)
			return ran
		})
	})
}

// A thread that job control has stopped stays where it is.
func TestRunThreadUnderJobControl(t *testing.T) {
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	if err := unix.Kill(target.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer unix.Kill(target.PID, unix.SIGCONT)
	waitForStates(t, target.PID, "T")
	err := task.Stopped(context.Background(), func(s *machcompat.Stopped) error { return s.RunThread(target.PID, 0) })
	if !errors.Is(err, machcompat.KERN_FAILURE) {
		t.Errorf("RunThread = %v; want KERN_FAILURE", err)
	}
	waitForStates(t, target.PID, "T")
}
