// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// A writer that is killed while it keeps a task suspended, after any number of
// system calls in it.
func TestKillOfAWriterThatHasSuspendedTheTask(t *testing.T) {
	programs := []struct {
		name  string
		start func(t *testing.T) (process *testtarget.Process, address uint64, mustRun func(*testing.T))
	}{
		{"a Go program", func(t *testing.T) (*testtarget.Process, uint64, func(*testing.T)) {
			target := testtarget.Start(t)
			target.Do("threads 2")
			return target.Process, target.Address("layout rw-:1"), func(t *testing.T) { mustLive(t, target) }
		}},
		{"a C program", func(t *testing.T) (*testtarget.Process, uint64, func(*testing.T)) {
			testtarget.Need(t, "tracing") // of cat, by a sibling
			cat := testtarget.StartProcess(t, exec.Command("cat"))
			mustEcho := func(t *testing.T) {
				if line, err := cat.Ask("echo"); line != "echo" {
					t.Errorf("cat says %q, %v", line, err)
				}
			}
			mustEcho(t)
			return cat, heapOf(t, cat.PID), mustEcho
		}},
	}
	for _, program := range programs {
		for calls := range 4 {
			t.Run(fmt.Sprintf("%s, after %d calls", program.name, calls), func(t *testing.T) {
				target, address, mustRun := program.start(t)
				for range testtarget.Sized(3, 20) {
					writer := startWriter(t, target.PID)
					mustSay(t, writer, "suspend")
					for i := range calls {
						prot := machcompat.VM_PROT_ALL
						if i%2 == 1 {
							prot = machcompat.VM_PROT_DEFAULT
						}
						mustSay(t, writer, "protect %d %d", address, prot)
					}
					writer.End()
					within(t, "the target to go on", func() { mustRun(t) })
					if t.Failed() {
						return
					}
					taskFor(t, target.PID).Protect(address, 1, false, machcompat.VM_PROT_DEFAULT)
				}
			})
		}
	}
}

func heapOf(t *testing.T, pid int) uint64 {
	t.Helper()
	for mapping, err := range taskFor(t, pid).Regions() {
		if err != nil {
			t.Fatal(err)
		}
		if mapping.Path == "[heap]" {
			return mapping.Start
		}
	}
	t.Fatal("the process has no heap")
	return 0
}

// What stops and continues a process has the effect that it would have without us.
func TestSignalsOfJobControlToATaskThatIsStopped(t *testing.T) {
	const runs, stopped = false, true
	for _, c := range []struct {
		steps string // signals to the target, and what its writer does: protect makes a system call
		want  bool
	}{
		{"suspend STOP resume", stopped},
		{"suspend STOP CONT resume", runs},
		{"suspend STOP CONT protect resume", runs},
		{"suspend STOP protect resume", stopped},
		{"suspend STOP protect protect resume", stopped},
		{"suspend STOP protect CONT resume", runs},
		{"suspend STOP protect CONT protect resume", runs},
		{"suspend protect STOP protect CONT protect resume", runs},
		{"suspend STOP protect CONT STOP resume", stopped},
		{"suspend STOP protect CONT STOP protect resume", stopped},
		{"suspend STOP protect CONT STOP protect CONT resume", runs},
		{"suspend TSTP protect resume", stopped},
		{"suspend TSTP protect CONT resume", runs},
		{"STOP suspend protect resume", stopped},
		{"STOP suspend CONT protect resume", runs},
		{"STOP suspend protect CONT resume", runs},
		{"STOP suspend protect CONT protect resume", runs},
		{"STOP suspend protect CONT protect STOP protect resume", stopped},
		{"STOP protect", stopped},
		{"STOP protect CONT", runs},
		{"suspend STOP protect close", stopped},
		{"suspend STOP protect CONT close", runs},
		{"suspend STOP protect kill", stopped},
		{"suspend STOP protect CONT kill", runs},
		{"STOP suspend protect kill", stopped},
		{"STOP suspend protect CONT kill", runs},
	} {
		t.Run(c.steps, func(t *testing.T) {
			target := testtarget.Start(t)
			target.Do("threads 2")
			address := target.Address("layout rw-:1")
			writer := startWriter(t, target.PID)
			prot, free := machcompat.VM_PROT_DEFAULT, true
			for step := range strings.FieldsSeq(c.steps) {
				switch step {
				case "STOP", "TSTP", "CONT":
					if err := unix.Kill(target.PID, unix.SignalNum("SIG"+step)); err != nil {
						t.Fatal(err)
					}
					if free && step == "STOP" {
						waitForStates(t, target.PID, "T")
					}
				case "kill":
					writer.End()
				case "protect":
					prot ^= machcompat.VM_PROT_WRITE
					mustSay(t, writer, "protect %d %d", address, prot)
				default:
					mustSay(t, writer, "%s", step)
					free = step != "suspend"
				}
			}
			if c.want == stopped {
				waitForStates(t, target.PID, "T")
				if err := unix.Kill(target.PID, unix.SIGCONT); err != nil {
					t.Fatal(err)
				}
			}
			within(t, "the target to run", func() { mustLive(t, target) })
		})
	}
}

// waitForStates waits until every thread of a process is in the state.
func waitForStates(t *testing.T, pid int, state string) {
	t.Helper()
	testtarget.WaitFor(t, "every thread to be in state "+state, func() bool { return strings.Trim(statesOf(t, pid), state) == "" })
}

// statesOf returns a letter for each thread of the process.
func statesOf(t *testing.T, pid int) (states string) {
	t.Helper()
	directory := fmt.Sprintf("/proc/%d/task/", pid)
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		status, _ := os.ReadFile(directory + entry.Name() + "/status")
		if _, state, ok := strings.Cut(string(status), "State:\t"); ok {
			states += state[:1]
		}
	}
	return states
}

// Each moment of a call is one in which somebody may stop and continue the target.
func TestStopAndContinueDuringACall(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 2")
	address := target.Address("layout rw-:1")
	task := taskFor(t, target.PID)
	prot := machcompat.VM_PROT_DEFAULT
	for round := range testtarget.Rounds(200) {
		var sender sync.WaitGroup
		sender.Go(func() {
			time.Sleep(time.Duration(round%7) * 20 * time.Microsecond)
			unix.Kill(target.PID, unix.SIGSTOP)
			time.Sleep(time.Duration(round%13) * 20 * time.Microsecond)
			unix.Kill(target.PID, unix.SIGCONT)
		})
		prot ^= machcompat.VM_PROT_WRITE
		if err := task.Protect(address, 1, false, prot); err != nil {
			t.Fatal(err)
		}
		sender.Wait()
		within(t, "the target to run", func() { mustLive(t, target) })
	}
}

// The write waits for a page, and the target must stand still for as long.
func TestAStopHoldsForAsLongAsItMay(t *testing.T) {
	for _, timeout := range []time.Duration{testtarget.Patience, math.MaxInt64, math.MaxInt64 - 1} {
		t.Run(timeout.String(), func(t *testing.T) {
			target := startMissing(t)
			task := target.task(t, machcompat.WithStop(machcompat.StopAlways), machcompat.WithStopTimeout(timeout))
			written := target.goWrite(t, task)
			for range 200 {
				if states := statesOf(t, target.PID); strings.Trim(states, "t") != "" {
					t.Fatalf("the threads are in the states %s while the write waits; want t", states)
				}
				time.Sleep(time.Millisecond)
			}
			target.say(t, "serve")
			within(t, "the write to end", func() {
				if err := <-written; err != nil {
					t.Errorf("Write = %v", err)
				}
			})
			target.mustRun(t)
		})
	}
}

// There is no time in which the threads could stop. Either they did all the same,
// or nothing was written.
func TestAStopWithoutTime(t *testing.T) {
	for _, timeout := range []time.Duration{0, -1, math.MinInt64} {
		for _, option := range []machcompat.Option{machcompat.WithStop(machcompat.StopAlways), machcompat.Atomic()} {
			target := testtarget.Start(t)
			target.Do("threads 2")
			base := target.Address("layout rw-:2")
			before := target.Bytes(base, int(2*pageSize))
			task := taskFor(t, target.PID, option, machcompat.WithStopTimeout(timeout))
			data := bytes.Repeat([]byte("w"), int(2*pageSize))
			want := data
			if err := task.Write(base, data); err != nil {
				if !errors.Is(err, machcompat.KERN_ABORTED) { // the stop had come to its end before the write began
					wantError(t, err, machcompat.KERN_FAILURE)
				}
				want = before
			}
			if !bytes.Equal(target.Bytes(base, int(2*pageSize)), want) {
				t.Errorf("with %v the memory is not what the write says", timeout)
			}
			mustLive(t, target)
		}
	}
}

// Ranges that are made writable at the same time, by page.
func TestWithWritableOfRangesThatOverlap(t *testing.T) {
	const layout, perms = "r--:1,r-x:1,rw-:1,r--:1", "r--,r-x,rw-,r--"
	size := int(4 * pageSize)
	failed := errors.New("failed")
	for _, c := range []struct {
		name                  string
		first, second         [2]uint64 // the first page, and how many
		firstEnds, secondEnds func() error
	}{
		{"the same page", [2]uint64{0, 1}, [2]uint64{0, 1}, nil, nil},
		{"the second begins in the first", [2]uint64{0, 2}, [2]uint64{1, 2}, nil, nil},
		{"the first begins in the second", [2]uint64{1, 2}, [2]uint64{0, 2}, nil, nil},
		{"the second lies in the first", [2]uint64{0, 4}, [2]uint64{1, 1}, nil, nil},
		{"the first lies in the second", [2]uint64{3, 1}, [2]uint64{0, 4}, nil, nil},
		{"no page in common", [2]uint64{0, 1}, [2]uint64{1, 1}, nil, nil},
		{"the first fails", [2]uint64{0, 2}, [2]uint64{1, 2}, func() error { return failed }, nil},
		{"the second fails", [2]uint64{0, 2}, [2]uint64{1, 2}, nil, func() error { return failed }},
		{"the first panics", [2]uint64{0, 2}, [2]uint64{1, 2}, func() error { panic(failed) }, nil},
		{"the second panics", [2]uint64{0, 2}, [2]uint64{1, 2}, nil, func() error { panic(failed) }},
	} {
		// Each call tells when it has begun, writes when it may, and ends then.
		type call struct {
			pages     [2]uint64
			ends      func() error
			begun     chan struct{}
			mayEnd    chan struct{}
			ended     chan struct{}
			err, want error
		}
		run := func(task *machcompat.Task, base uint64, data string, one *call) {
			defer close(one.ended)
			defer func() {
				if r := recover(); r != nil {
					one.err = r.(error)
				}
			}()
			address, length := base+one.pages[0]*pageSize, one.pages[1]*pageSize
			one.err = task.WithWritable(address, length, func() error {
				close(one.begun)
				<-one.mayEnd
				if err := task.Write(address, bytes.Repeat([]byte(data), int(length))); err != nil {
					return err
				}
				if one.ends != nil {
					return one.ends()
				}
				return nil
			})
		}
		for _, order := range []string{"nested", "crossed"} {
			t.Run(c.name+", "+order, func(t *testing.T) {
				target := testtarget.Start(t)
				task := taskFor(t, target.PID)
				base := target.Address("layout %s", layout)
				want := target.Bytes(base, size)
				newCall := func(pages [2]uint64, ends func() error) *call {
					one := &call{pages: pages, ends: ends, begun: make(chan struct{}), mayEnd: make(chan struct{}), ended: make(chan struct{})}
					if ends != nil {
						one.want = failed
					}
					return one
				}
				first, second := newCall(c.first, c.firstEnds), newCall(c.second, c.secondEnds)
				go run(task, base, "1", first)
				within(t, "the first to begin", func() { <-first.begun })
				go run(task, base, "2", second)
				within(t, "the second to begin in the first", func() { <-second.begun })
				inOrder := []*call{first, second}
				if order == "nested" {
					inOrder = []*call{second, first}
				}
				for _, one := range inOrder {
					close(one.mayEnd)
					within(t, "a call to end", func() { <-one.ended })
					if !errors.Is(one.err, one.want) || (one.want == nil && one.err != nil) {
						t.Errorf("WithWritable of pages %v = %v; want %v", one.pages, one.err, one.want)
					}
					data := "1"
					if one == second {
						data = "2"
					}
					copy(want[one.pages[0]*pageSize:], bytes.Repeat([]byte(data), int(one.pages[1]*pageSize)))
				}
				if !bytes.Equal(target.Bytes(base, size), want) {
					t.Error("a write is lost")
				}
				if got := permsAt(t, task, base, 4); got != perms {
					t.Errorf("the pages are %s at the end; want %s", got, perms)
				}
			})
		}
	}
}

func TestWithWritableOfATaskThatStopsForEachWrite(t *testing.T) {
	for _, hold := range holds {
		t.Run(hold.name, func(t *testing.T) {
			target := testtarget.Start(t)
			target.Do("threads 1")
			task := taskFor(t, target.PID, hold.options...)
			base := target.Address("layout r--:1")
			within(t, "the write to end", func() {
				if err := task.WithWritable(base, 8, func() error { return task.Write(base, []byte("in there")) }); err != nil {
					t.Errorf("WithWritable = %v", err)
				}
			})
			if got := target.Bytes(base, 8); string(got) != "in there" || permsAt(t, task, base, 1) != "r--" {
				t.Errorf("%q is there, and the page is %s", got, permsAt(t, task, base, 1))
			}
			mustLive(t, target)
		})
	}
}
