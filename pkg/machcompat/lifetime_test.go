// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// openTask is taskFor for a task that the test does not close at its end, because
// that may be what hangs.
func openTask(t *testing.T, pid int, options ...machcompat.Option) *machcompat.Task {
	t.Helper()
	options = append([]machcompat.Option{machcompat.WithStopTimeout(testtarget.Patience)}, options...)
	task, err := machcompat.TaskForPID(pid, options...)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// mustClose closes a task, which never waits for another call.
func mustClose(t *testing.T, task *machcompat.Task) {
	t.Helper()
	within(t, "Close to return", func() {
		if err := task.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
}

// anyCalls are calls that need nothing of a task but that it is one. Allocate comes
// before Deallocate of the same page.
var anyCalls = []struct {
	name string
	call func(task *machcompat.Task, address uint64) error
}{
	{"Check", func(task *machcompat.Task, address uint64) error { return task.Check(address, 1) }},
	{"Write", func(task *machcompat.Task, address uint64) error { return task.Write(address, []byte("w")) }},
	{"Write nothing", func(task *machcompat.Task, address uint64) error { return task.Write(address, nil) }},
	{"WriteAt", func(task *machcompat.Task, address uint64) error {
		_, err := task.WriteAt([]byte("w"), int64(address))
		return err
	}},
	{"WriteBatch", func(task *machcompat.Task, address uint64) error {
		return task.WriteBatch([]machcompat.Segment{{Address: address, Data: []byte("b")}, {Address: address + 2, Data: []byte("b")}})
	}},
	{"ReadAt", func(task *machcompat.Task, address uint64) error {
		_, err := task.ReadAt(make([]byte, 1), int64(address))
		return err
	}},
	{"Read", func(task *machcompat.Task, address uint64) error { _, err := task.Read(address, 1); return err }},
	{"ReadOverwrite", func(task *machcompat.Task, address uint64) error { return task.ReadOverwrite(address, make([]byte, 1)) }},
	{"Copy", func(task *machcompat.Task, address uint64) error { return task.Copy(address, 1, address+8) }},
	{"Region", func(task *machcompat.Task, address uint64) error { _, err := task.Region(address); return err }},
	{"Regions", func(task *machcompat.Task, _ uint64) (err error) {
		for _, err = range task.Regions() {
		}
		return err
	}},
	{"Protect", func(task *machcompat.Task, address uint64) error {
		return task.Protect(address, 1, false, machcompat.VM_PROT_ALL)
	}},
	{"WithWritable", func(task *machcompat.Task, address uint64) error {
		return task.WithWritable(address, 1, func() error { return nil })
	}},
	{"Allocate", func(task *machcompat.Task, address uint64) error {
		_, err := task.Allocate(address+1<<30, pageSize, machcompat.VM_FLAGS_FIXED)
		return err
	}},
	{"Deallocate", func(task *machcompat.Task, address uint64) error { return task.Deallocate(address+1<<30, pageSize) }},
	{"Suspend and Resume", func(task *machcompat.Task, _ uint64) error {
		if err := task.Suspend(); err != nil {
			return err
		}
		return task.Resume()
	}},
}

// The caller's code runs inside of Regions, and may do what it likes there.
func TestCloseWhileRegionsAreLookedAt(t *testing.T) {
	for _, c := range anyCalls {
		if strings.HasPrefix(c.name, "Suspend") {
			continue // which would keep the target stopped if this fails
		}
		ok := t.Run(c.name, func(t *testing.T) {
			target := testtarget.Start(t)
			task := openTask(t, target.PID)
			address := target.Address("layout rw-:1")
			closed := make(chan error, 1)
			within(t, "the loop over the regions to end", func() {
				for range task.Regions() {
					go func() { closed <- task.Close() }()
					for !errors.Is(c.call(task, address), machcompat.ErrClosed) { // which it is soon
						runtime.Gosched()
					}
					break
				}
			})
			within(t, "Close to return", func() {
				if err := <-closed; err != nil {
					t.Errorf("Close = %v", err)
				}
			})
		})
		if !ok {
			return // each of the others would have to be waited for
		}
	}
}

func TestCloseInsideOfRegions(t *testing.T) {
	task := openTask(t, testtarget.Start(t).PID)
	within(t, "the loop over the regions to end", func() {
		for _, err := range task.Regions() {
			if closeErr := task.Close(); err == nil && closeErr != nil && !errors.Is(closeErr, machcompat.ErrClosed) {
				t.Errorf("Close = %v", closeErr)
			}
		}
	})
}

func TestCloseBesideRegionsThatNobodyLooksAtAnyMore(t *testing.T) {
	target := testtarget.Start(t)
	task := openTask(t, target.PID)
	next, stop := iter.Pull2(task.Regions())
	if _, err, ok := next(); err != nil || !ok {
		t.Fatalf("the first region = %v, %v", err, ok)
	}
	mustClose(t, task)
	within(t, "the regions to end", func() {
		for _, err, ok := next(); ok; _, err, ok = next() {
			if err != nil && !errors.Is(err, machcompat.ErrClosed) {
				t.Errorf("the next region = %v; want ErrClosed", err)
			}
		}
		stop()
	})
}

// A write waits for a page that may never come. Everything else goes on.
func TestCallsWhileAWriteWaits(t *testing.T) {
	target := startMissing(t)
	task := openTask(t, target.PID, machcompat.WithBackend(machcompat.ProcessVM))
	t.Cleanup(target.End)
	written := target.goWrite(t, task)
	for _, c := range anyCalls {
		within(t, c.name+" to return", func() {
			if err := c.call(task, target.base+3*pageSize); err != nil {
				t.Errorf("%s = %v", c.name, err)
			}
		})
	}
	mustEndServed(t, target, written)
	mustClose(t, task)
}

func mustEndServed(t *testing.T, target missingTarget, written <-chan error) {
	t.Helper()
	target.say(t, "serve")
	within(t, "the write to end", func() {
		if err := <-written; err != nil {
			t.Errorf("Write = %v", err)
		}
	})
	target.mustRun(t)
}

func TestCloseWhileAWriteWaits(t *testing.T) {
	for _, c := range []struct {
		name    string
		suspend bool
		option  machcompat.Option
	}{
		{"of a running task", false, machcompat.WithStop(machcompat.StopNever)},
		{"that stops the task", false, machcompat.WithStop(machcompat.StopAlways)},
		{"of a suspended task", true, machcompat.WithStop(machcompat.StopNever)},
		{"that needs the stop, of a suspended task", true, machcompat.WithStop(machcompat.StopAlways)},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := startMissing(t)
			task := openTask(t, target.PID, machcompat.WithBackend(machcompat.ProcessVM), c.option, machcompat.WithStopTimeout(3*testtarget.Patience))
			t.Cleanup(target.End)
			if c.suspend {
				if err := task.Suspend(); err != nil {
					t.Fatal(err)
				}
			}
			written := target.goWrite(t, task)
			mustClose(t, task)
			for _, c := range anyCalls {
				within(t, c.name+" to return", func() {
					if err := c.call(task, target.base); !errors.Is(err, machcompat.ErrClosed) {
						t.Errorf("%s = %v; want ErrClosed", c.name, err)
					}
				})
			}
			target.say(t, "serve")
			within(t, "the write to end", func() { <-written })
			target.mustRun(t)
		})
	}
}

func TestResumeWhileAWriteWaits(t *testing.T) {
	for _, policy := range []machcompat.StopPolicy{machcompat.StopNever, machcompat.StopAlways} {
		t.Run("stop "+policy.String(), func(t *testing.T) {
			target := startMissing(t)
			task := openTask(t, target.PID, machcompat.WithBackend(machcompat.ProcessVM), machcompat.WithStop(policy), machcompat.WithStopTimeout(3*testtarget.Patience))
			t.Cleanup(target.End)
			if err := task.Suspend(); err != nil {
				t.Fatal(err)
			}
			written := target.goWrite(t, task)
			within(t, "Resume to return", func() {
				if err := task.Resume(); err != nil {
					t.Errorf("Resume = %v", err)
				}
			})
			mustEndServed(t, target, written)
		})
	}
}

// closeZeroRole closes a task that is none, and looks whether its standard input is
// still there.
func closeZeroRole([]string) error {
	var task machcompat.Task
	err := task.Close()
	_, lost := unix.FcntlInt(0, unix.F_GETFD, 0)
	fmt.Printf("file 0: %v, Close: %v\n", lost, machcompat.CodeOf(err))
	return nil
}

func TestCloseOfAZeroTaskClosesNoFile(t *testing.T) {
	if line := startRole(t, "close-zero").Line(); !strings.HasPrefix(line, "file 0: <nil>, ") {
		t.Errorf("after Close: %s", line)
	}
}

func TestCallsOnAZeroTask(t *testing.T) {
	call := func(f func(*machcompat.Task) error) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v", r)
			}
		}()
		return f(new(machcompat.Task))
	}
	for _, c := range anyCalls {
		err := call(func(task *machcompat.Task) error { return c.call(task, 0x1000) })
		if !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
			t.Errorf("%s = %v; want KERN_INVALID_ARGUMENT", c.name, err)
		}
	}
	err := call(func(task *machcompat.Task) error {
		if task.PID() != 0 || task.SuspendCount() != 0 {
			return fmt.Errorf("pid %d, suspended %d times", task.PID(), task.SuspendCount())
		}
		_ = task.Backend()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// The kernel's pids have 32 bits; what is cut to those may be a pid.
func TestTaskForPIDOfANumberThatIsNoPID(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	for _, pid := range []int64{1 << 33, 1<<32 + int64(os.Getpid()), math.MaxInt32 + 1, math.MaxInt64, math.MinInt32 - 1, math.MinInt64, -1 << 32, 1<<32 - 1} {
		t.Run(strconv.FormatInt(pid, 10), func(t *testing.T) {
			_, err := machcompat.TaskForPID(int(pid))
			e := wantError(t, err, machcompat.KERN_FAILURE)
			if !errors.Is(err, unix.ESRCH) || !strings.HasSuffix(e.Error(), "no such process") {
				t.Errorf("the error is %v; want no such process", err)
			}
		})
	}
}

func TestATaskThatIsDroppedKeepsNoFile(t *testing.T) {
	openFiles := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	target := testtarget.Start(t)
	base := target.Address("layout rw-:1")
	drop := func() {
		for _, hold := range holds {
			task := openTask(t, target.PID, hold.options...)
			if err := task.Write(base, []byte("dropped")); err != nil {
				t.Fatal(err)
			}
			if err := task.WithWritable(base, 1, func() error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	drop() // so that what is opened once for all is open
	runtime.GC()
	before := openFiles()
	for range 5 {
		drop()
	}
	testtarget.WaitFor(t, "the files to be closed", func() bool {
		runtime.GC()
		return openFiles() <= before
	})
}

func TestASuspendedTaskThatIsDroppedGoesOn(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 1")
	writer := startWriter(t, target.PID)
	mustSay(t, writer, "suspend")
	mustSay(t, writer, "drop")
	testtarget.WaitFor(t, "the target to be let go", func() bool {
		mustSay(t, writer, "collect")
		return !isTraced(t, target.PID)
	})
	mustLive(t, target)
}
