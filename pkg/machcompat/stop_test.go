// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// runsOn waits until the target has changed its memory.
func runsOn(t *testing.T, task *machcompat.Task, counter uint64) {
	t.Helper()
	before, err := task.Read(counter, 8)
	if err != nil {
		t.Fatal(err)
	}
	testtarget.WaitFor(t, "the target to run on", func() bool {
		now, err := task.Read(counter, 8)
		return err == nil && string(now) != string(before)
	})
}

func TestStopped(t *testing.T) {
	target := testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/counter.c")))
	counter := parseUint(t, target.Line())
	runsOn(t, taskFor(t, target.PID), counter) // both threads are there
	stop := func(task *machcompat.Task, f func(s *machcompat.Stopped) error) error {
		return task.Stopped(context.Background(), f)
	}
	standsStill := func(t *testing.T, task *machcompat.Task) {
		t.Helper()
		first, err := task.Read(counter, 8)
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if again, err := task.Read(counter, 8); err != nil || string(again) != string(first) {
				t.Fatalf("the target runs: %x, then %x, %v", first, again, err)
			}
		}
	}
	for name, f := range map[string]func(t *testing.T, task *machcompat.Task) error{
		"nothing changes in it": func(t *testing.T, task *machcompat.Task) error {
			return stop(task, func(*machcompat.Stopped) error { standsStill(t, task); return nil })
		},
		"it tells where each thread stands": func(t *testing.T, task *machcompat.Task) error {
			return stop(task, func(s *machcompat.Stopped) error {
				threads, err := s.Threads()
				if err != nil || len(threads) != 2 {
					t.Fatalf("Threads = %+v, %v; want 2", threads, err)
				}
				for _, thread := range threads {
					if thread.TID <= 0 || task.CheckRead(thread.PC, 1) != nil || task.Check(thread.SP, 8) != nil {
						t.Errorf("%+v does not stand in code, with a stack", thread)
					}
				}
				return nil
			})
		},
		"memory is allocated, written, protected and unmapped in it": func(t *testing.T, task *machcompat.Task) error {
			return stop(task, func(s *machcompat.Stopped) error {
				page, err := s.Allocate(0, pageSize, machcompat.VM_FLAGS_ANYWHERE)
				if err != nil {
					return err
				}
				found := make([]byte, 5)
				if err := errors.Join(s.Write(page, []byte("bytes")), s.Protect(page, pageSize, false, machcompat.VM_PROT_READ),
					s.Read(page, found)); err != nil || string(found) != "bytes" {
					t.Errorf("%q is there, %v", found, err)
				}
				if err := s.Write(page, found); !errors.Is(err, machcompat.KERN_PROTECTION_FAILURE) {
					t.Errorf("Write = %v; want KERN_PROTECTION_FAILURE", err)
				}
				standsStill(t, task)
				return s.Deallocate(page, pageSize)
			})
		},
		"calls of the task share it": func(t *testing.T, _ *machcompat.Task) error {
			task := taskFor(t, target.PID, machcompat.Atomic())
			return stop(task, func(*machcompat.Stopped) error {
				err := task.Suspend()
				if err == nil {
					err = errors.Join(task.Write(counter, make([]byte, 8)), task.Resume())
				}
				standsStill(t, task)
				return errors.Join(err, task.WithWritable(counter, 8, func() error { return task.Write(counter, make([]byte, 8)) }))
			})
		},
		"a Suspend outlives it": func(t *testing.T, task *machcompat.Task) error {
			if err := stop(task, func(*machcompat.Stopped) error { return task.Suspend() }); err != nil {
				return err
			}
			standsStill(t, task)
			if err := stop(task, func(s *machcompat.Stopped) error { return s.Write(counter, make([]byte, 8)) }); err != nil {
				return err
			}
			standsStill(t, task)
			return task.Resume()
		},
		"it ends when f panics": func(t *testing.T, task *machcompat.Task) error {
			defer func() {
				if r := recover(); r != "oh" {
					t.Errorf("recover = %v", r)
				}
			}()
			return stop(task, func(*machcompat.Stopped) error { panic("oh") })
		},
		"it returns the error of f": func(t *testing.T, task *machcompat.Task) error {
			want := errors.New("of f")
			if err := stop(task, func(*machcompat.Stopped) error { return want }); err != want {
				t.Errorf("Stopped = %v; want %v", err, want)
			}
			return nil
		},
		"it ends with its context": func(t *testing.T, task *machcompat.Task) error {
			ctx, cancel := context.WithTimeout(context.Background(), testtarget.Patience)
			defer cancel()
			err := task.Stopped(ctx, func(s *machcompat.Stopped) error {
				cancel()
				runsOn(t, task, counter)
				if err := s.Write(counter, make([]byte, 8)); !errors.Is(err, machcompat.KERN_ABORTED) || !errors.Is(err, context.Canceled) {
					t.Errorf("a write behind the end of the stop = %v; want KERN_ABORTED", err)
				}
				return nil
			})
			if !errors.Is(err, machcompat.KERN_ABORTED) {
				t.Errorf("Stopped = %v; want KERN_ABORTED", err)
			}
			return nil
		},
		"it has 10 s, or what WithStopTimeout says": func(t *testing.T, _ *machcompat.Task) error {
			task := taskFor(t, target.PID, machcompat.WithStopTimeout(time.Millisecond))
			var err error
			testtarget.WaitFor(t, "a stop within the time", func() bool {
				err = stop(task, func(*machcompat.Stopped) error { runsOn(t, task, counter); return nil })
				return !errors.Is(err, machcompat.KERN_FAILURE) // it was too short for the stop
			})
			if !errors.Is(err, machcompat.KERN_ABORTED) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Stopped = %v; want KERN_ABORTED", err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			task := taskFor(t, target.PID)
			if err := f(t, task); err != nil {
				t.Error(err)
			}
			runsOn(t, task, counter)
		})
	}
}

// A debugger has the target stopped, and has this package work in that stop.
func TestStoppedByCaller(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for name, trace := range map[string]func(tid int) error{
		"PTRACE_ATTACH": unix.PtraceAttach,
		"PTRACE_SEIZE": func(tid int) error {
			return errors.Join(unix.PtraceSeize(tid), unix.PtraceInterrupt(tid))
		},
	} {
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			target := testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/counter.c")))
			counter := parseUint(t, target.Line())
			task := taskFor(t, target.PID)
			runsOn(t, task, counter) // all threads are there
			if err := task.StoppedByCaller(context.Background(), func(*machcompat.Stopped) error { return nil }); !errors.Is(err, machcompat.KERN_FAILURE) {
				t.Errorf("StoppedByCaller of a task that is not stopped = %v; want KERN_FAILURE", err)
			}
			tids := threadsOf(t, target.PID)
			for _, tid := range tids {
				if err := trace(tid); err != nil {
					t.Fatal(err)
				}
				if _, err := unix.Wait4(tid, nil, unix.WALL, nil); err != nil {
					t.Fatal(err)
				}
			}
			code := regionWith(t, task, machcompat.VM_PROT_READ|machcompat.VM_PROT_EXECUTE)
			was, err := task.Read(code, 16)
			if err != nil {
				t.Fatal(err)
			}
			if err := task.StoppedByCaller(context.Background(), func(s *machcompat.Stopped) error {
				page, err := s.Allocate(0, pageSize, machcompat.VM_FLAGS_ANYWHERE)
				if err != nil {
					return err
				}
				return errors.Join(
					s.Write(page, []byte("bytes")),
					s.Deallocate(page, pageSize),
					s.CompareAndWrite([]machcompat.Change{{Address: code, Old: was, New: []byte{0xcc}, Unprotect: true}}),
					s.CompareAndWrite([]machcompat.Change{{Address: code, Old: []byte{0xcc}, New: was, Unprotect: true}}))
			}); err != nil {
				t.Fatal(err)
			}
			for _, tid := range tids {
				if got, err := unix.Wait4(tid, nil, unix.WALL|unix.WNOHANG, nil); got != 0 || err != nil {
					t.Errorf("a stop of thread %d is left to be waited for: %d, %v", tid, got, err)
				}
				if err := unix.PtraceDetach(tid); err != nil {
					t.Errorf("thread %d is not stopped: %v", tid, err)
				}
			}
			runsOn(t, task, counter)
			target.Stdin.Close()
			if line := target.Line(); line != "0 0" {
				t.Errorf("the target says %q; want 0 0", line)
			}
		})
	}
}

// threadsOf lists the threads of a process.
func threadsOf(t *testing.T, pid int) (tids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		tid, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		tids = append(tids, tid)
	}
	return tids
}

// regionWith returns where the first mapping with this protection is.
func regionWith(t *testing.T, task *machcompat.Task, prot machcompat.VMProt) uint64 {
	t.Helper()
	for mapping, err := range task.Regions() {
		if err != nil {
			t.Fatal(err)
		}
		if machcompat.VMProt(mapping.Perms) == prot {
			return mapping.Start
		}
	}
	t.Fatalf("nothing is %v", prot)
	return 0
}

// counterTarget starts a target that counts, and returns where.
func counterTarget(t *testing.T) (pid int, counter uint64) {
	t.Helper()
	target := testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/counter.c")))
	return target.PID, parseUint(t, target.Line())
}

// Each caller's own context ends its own hold on a stop, and no other's.
func TestCallersShareAStopByContextsOfTheirOwn(t *testing.T) {
	pid, counter := counterTarget(t)
	task := taskFor(t, pid)
	runsOn(t, task, counter)
	first, end := context.WithCancel(context.Background())
	joined, left := make(chan error), make(chan error)
	err := task.Stopped(first, func(s *machcompat.Stopped) error {
		go func() {
			left <- task.Stopped(context.Background(), func(s *machcompat.Stopped) error {
				joined <- nil
				<-joined
				return s.Write(counter, make([]byte, 8))
			})
		}()
		<-joined
		end()
		if err := s.Write(counter, make([]byte, 8)); !errors.Is(err, machcompat.KERN_ABORTED) {
			t.Errorf("Write behind the end of the context = %v; want KERN_ABORTED", err)
		}
		return nil
	})
	if !errors.Is(err, machcompat.KERN_ABORTED) || !errors.Is(err, context.Canceled) {
		t.Errorf("Stopped whose context has ended = %v; want KERN_ABORTED", err)
	}
	before, _ := task.Read(counter, 8)
	for range 1000 {
		if now, err := task.Read(counter, 8); err != nil || string(now) != string(before) {
			t.Fatalf("the target runs: %x, %x, %v", before, now, err)
		}
	}
	joined <- nil
	if err := <-left; err != nil {
		t.Errorf("the other caller's Stopped = %v", err)
	}
	runsOn(t, task, counter)
}

func TestStoppedUnderAContextThatIsDone(t *testing.T) {
	pid, counter := counterTarget(t)
	task := taskFor(t, pid)
	done, cancel := context.WithCancel(context.Background())
	cancel()
	for range 50 {
		for name, err := range map[string]error{
			"Stopped":         task.Stopped(done, func(*machcompat.Stopped) error { t.Error("f runs"); return nil }),
			"CompareAndWrite": task.CompareAndWrite(done, []machcompat.Change{{Address: counter, New: make([]byte, 8)}}),
		} {
			if !errors.Is(err, machcompat.KERN_ABORTED) || !errors.Is(err, context.Canceled) {
				t.Fatalf("%s = %v; want KERN_ABORTED and context.Canceled", name, err)
			}
		}
	}
	runsOn(t, task, counter)
}

func TestUseOfAStoppedAfterItsEnd(t *testing.T) {
	pid, counter := counterTarget(t)
	for _, backend := range []machcompat.Backend{machcompat.ProcessVM, machcompat.ProcMem} {
		task := taskFor(t, pid, machcompat.WithBackend(backend))
		var kept *machcompat.Stopped
		if err := task.Stopped(context.Background(), func(s *machcompat.Stopped) error { kept = s; return nil }); err != nil {
			t.Fatal(err)
		}
		for _, want := range []machcompat.KernReturn{machcompat.KERN_ABORTED, machcompat.KERN_INVALID_ARGUMENT} {
			_, threadsErr := kept.Threads()
			_, allocateErr := kept.Allocate(0, pageSize, machcompat.VM_FLAGS_ANYWHERE)
			for i, err := range []error{
				kept.Write(counter, make([]byte, 8)), kept.Read(counter, make([]byte, 8)), threadsErr, allocateErr,
				kept.CompareAndWrite([]machcompat.Change{{Address: counter, New: make([]byte, 8)}}),
			} {
				if machcompat.CodeOf(err) != want {
					t.Errorf("call %d = %v; want %v", i, err, want.String())
				}
			}
			task.Close()
		}
	}
}

// Close comes while Suspend waits for the stop of another.
func TestSuspendThatCloseOvertakes(t *testing.T) {
	pid, counter := counterTarget(t)
	holder, task := taskFor(t, pid), taskFor(t, pid)
	if err := holder.Suspend(); err != nil {
		t.Fatal(err)
	}
	suspended := make(chan error)
	go func() { suspended <- task.Suspend() }()
	if err := task.Close(); err != nil {
		t.Fatal(err)
	}
	if err := holder.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := <-suspended; !errors.Is(err, machcompat.ErrClosed) {
		t.Errorf("Suspend = %v; want ErrClosed", err)
	}
	runsOn(t, holder, counter)
}

// What f has no time for is made up for: the pages are protected again.
func TestWithWritableThatOutlivesItsStop(t *testing.T) {
	pid, counter := counterTarget(t)
	task := taskFor(t, pid)
	runsOn(t, task, counter)
	code := regionWith(t, task, machcompat.VM_PROT_READ|machcompat.VM_PROT_EXECUTE)
	var err error
	testtarget.WaitFor(t, "a stop within the time", func() bool {
		short := taskFor(t, pid, machcompat.WithStopTimeout(20*time.Millisecond))
		ran := false
		err = short.WithWritable(code, 1, func() error {
			ran = true
			runsOn(t, task, counter) // the stop has ended
			return nil
		})
		return ran
	})
	region, regionErr := task.Region(code)
	if regionErr != nil || region.Protection != machcompat.VM_PROT_READ|machcompat.VM_PROT_EXECUTE {
		if err == nil { // there may have been no time to stop it again, which it then says
			t.Errorf("WithWritable = %v, and the page is %v, %v", err, region.Protection, regionErr)
		}
	}
}
