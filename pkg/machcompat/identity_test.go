// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// newcomerPages is where testdata/newcomer.c has its three pages, the last of them
// read-only.
const newcomerPages = 0x200000000000

// exchanges are the ways in which the pid of a task comes to mean another address
// space, which has the same at the same addresses.
var exchanges = []struct {
	name      string
	flags     []string // of the compiler, for the program that is held
	addresses string   // fixed or random, from one exec to the next
	prepare   string   // what the program does first; the copy is held that "fork" starts
	exchange  string   // PID stands for the one that is held, OTHER for another program
}{
	{"it runs another program", nil, "random", "", "exec OTHER"},
	{"it runs the same program", nil, "random", "", "exec"},
	{"it runs the same program, at the same addresses", nil, "fixed", "", "exec"},
	{"it runs the same program without PIE", []string{"-static", "-no-pie"}, "random", "", "exec"},
	{"it runs the same program without PIE, at the same addresses", []string{"-static", "-no-pie"}, "fixed", "", "exec"},
	{"another thread than the first runs the same program", nil, "fixed", "", "threadexec"},
	{"the first thread has ended, and another runs the same program", nil, "fixed", "endfirst", "exec"},
	{"its pid is given to another copy of the same process", nil, "random", "fork", "replace PID"},
}

// holds are the ways to hold a task; each is tried when it is new and when it was
// used.
var holds = []struct {
	name    string
	options []machcompat.Option
}{
	{"auto", nil},
	{"process_vm", []machcompat.Option{machcompat.WithBackend(machcompat.ProcessVM)}},
	{"process_vm, atomic", []machcompat.Option{machcompat.WithBackend(machcompat.ProcessVM), machcompat.Atomic()}},
	{"process_vm, stopped", []machcompat.Option{machcompat.WithBackend(machcompat.ProcessVM), machcompat.WithStop(machcompat.StopAlways)}},
	{"procmem", []machcompat.Option{machcompat.WithBackend(machcompat.ProcMem)}},
	{"procmem, atomic", []machcompat.Option{machcompat.WithBackend(machcompat.ProcMem), machcompat.Atomic()}},
	{"procmem, not stopped", []machcompat.Option{machcompat.WithBackend(machcompat.ProcMem), machcompat.WithStop(machcompat.StopNever)}},
}

// heldCalls are the calls on a task, on the pages of testdata/newcomer.c. Those
// that change the most come last.
var heldCalls = []struct {
	name string
	call func(task *machcompat.Task) error
}{
	{"Check", func(task *machcompat.Task) error { return task.Check(newcomerPages, 1) }},
	{"Region", func(task *machcompat.Task) error { _, err := task.Region(newcomerPages); return err }},
	{"Regions", func(task *machcompat.Task) (err error) {
		for _, err = range task.Regions() {
		}
		return err
	}},
	{"ReadAt", func(task *machcompat.Task) error {
		_, err := task.ReadAt(make([]byte, 8), newcomerPages)
		return err
	}},
	{"Read", func(task *machcompat.Task) error { _, err := task.Read(newcomerPages, 2*pageSize); return err }},
	{"ReadOverwrite", func(task *machcompat.Task) error { return task.ReadOverwrite(newcomerPages, make([]byte, 8)) }},
	{"Write nothing", func(task *machcompat.Task) error { return task.Write(newcomerPages, nil) }},
	{"Write", func(task *machcompat.Task) error { return task.Write(newcomerPages, []byte("stray")) }},
	{"Write over two pages", func(task *machcompat.Task) error {
		return task.Write(newcomerPages, bytes.Repeat([]byte("stray"), int(2*pageSize/5)))
	}},
	{"WriteAt", func(task *machcompat.Task) error {
		_, err := task.WriteAt([]byte("place"), newcomerPages+8)
		return err
	}},
	{"WriteBatch", func(task *machcompat.Task) error {
		return task.WriteBatch([]machcompat.Segment{{Address: newcomerPages + 16, Data: []byte("ba")}, {Address: newcomerPages + pageSize, Data: []byte("tch")}})
	}},
	{"Copy", func(task *machcompat.Task) error { return task.Copy(newcomerPages, 4, newcomerPages+100) }},
	{"Suspend", func(task *machcompat.Task) error {
		err := task.Suspend()
		if err == nil {
			_ = task.Resume()
		}
		return err
	}},
	{"WithWritable", func(task *machcompat.Task) error {
		return task.WithWritable(newcomerPages+2*pageSize, 1, func() error { return task.Write(newcomerPages+2*pageSize, []byte("w")) })
	}},
	{"Allocate", func(task *machcompat.Task) error {
		_, err := task.Allocate(newcomerPages+1<<20, pageSize, machcompat.VM_FLAGS_FIXED)
		return err
	}},
	{"Protect", func(task *machcompat.Task) error {
		return task.Protect(newcomerPages+pageSize, 1, false, machcompat.VM_PROT_READ)
	}},
	{"Deallocate", func(task *machcompat.Task) error { return task.Deallocate(newcomerPages+pageSize, 1) }},
}

// The pid of a task means another address space, and the one that is held lives on
// all the same, because somebody is in the middle of a read of it.
func TestNoCallReachesAnotherAddressSpace(t *testing.T) {
	testtarget.Need(t, "64-bit tests", "userfaultfd", "root")
	for number, exchange := range exchanges {
		for _, reader := range testtarget.Some([]string{"mem", "process_vm"}, 1, number) {
			t.Run(exchange.name+", read by "+reader, func(t *testing.T) {
				program := testtarget.BuildC(t, "testdata/newcomer.c", exchange.flags...)
				process := testtarget.StartProcess(t, exec.Command(program, exchange.addresses))
				pid := readyPID(t, process.Line())
				if exchange.prepare == "fork" {
					pid = readyPID(t, mustAsk(t, process, "fork"))
				}
				tasks := holdInEachWay(t, pid)
				if exchange.prepare == "endfirst" {
					endFirst(t, process)
				}
				isHeld := keepAddressSpace(t, pid, reader)
				other := testtarget.BuildC(t, "testdata/newcomer.c", "-static")
				command := strings.NewReplacer("PID", itoa(pid), "OTHER", other).Replace(exchange.exchange)
				if got := readyPID(t, mustAsk(t, process, command)); got != pid {
					t.Fatalf("the newcomer has pid %d; want %d", got, pid)
				}
				if !isHeld() {
					t.Fatal("the old address space is gone; want it alive, or this test says nothing")
				}
				for _, task := range tasks {
					t.Run(task.name, func(t *testing.T) {
						for _, c := range heldCalls {
							before := newcomerState(t, pid)
							wantGone(t, c.name, c.call(task.Task))
							if newcomerState(t, pid) != before {
								t.Errorf("%s has changed the newcomer", c.name)
							}
						}
					})
				}
			})
		}
	}
}

// The process has ended, and the address space lives on as above.
func TestNoCallReachesTheMemoryOfAnEndedProcess(t *testing.T) {
	testtarget.Need(t, "64-bit tests", "userfaultfd")
	program := testtarget.BuildC(t, "testdata/newcomer.c")
	for _, c := range []struct {
		name         string
		withoutFirst bool
		end          func(*testtarget.Process)
	}{
		{"it exited", false, (*testtarget.Process).End},
		{"it is a zombie", false, (*testtarget.Process).Kill},
		{"it lived on without its first thread, and exited", true, (*testtarget.Process).End},
		{"it lived on without its first thread, and is a zombie", true, (*testtarget.Process).Kill},
	} {
		t.Run(c.name, func(t *testing.T) {
			process := testtarget.StartProcess(t, exec.Command(program, "random"))
			process.Line()
			tasks := holdInEachWay(t, process.PID)
			if c.withoutFirst {
				endFirst(t, process)
			}
			isHeld := keepAddressSpace(t, process.PID, "mem")
			for _, task := range tasks {
				// process_vm_writev finds no process that lacks its first thread.
				if err := task.Write(newcomerPages, []byte("n")); err != nil && !(c.withoutFirst && task.isProcessVM) {
					t.Fatalf("%s: a write before the end = %v", task.name, err)
				}
			}
			c.end(process)
			if !isHeld() {
				t.Fatal("the address space is gone; want it alive, or this test says nothing")
			}
			for _, task := range tasks {
				t.Run(task.name, func(t *testing.T) {
					for _, c := range heldCalls {
						wantGone(t, c.name, c.call(task.Task))
					}
				})
			}
		})
	}
}

// A process whose first thread ends while it is held is the same one.
func TestAProcessLivesOnWithoutItsFirstThread(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	process := testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/newcomer.c"), "random"))
	process.Line()
	tasks := holdInEachWay(t, process.PID)
	endFirst(t, process)
	for _, task := range tasks {
		if task.isProcessVM {
			continue // which finds no process that lacks its first thread
		}
		t.Run(task.name, func(t *testing.T) {
			if err := task.Write(newcomerPages, []byte("lives")); err != nil {
				t.Errorf("Write = %v", err)
			}
			p := make([]byte, 5)
			if n, err := task.ReadAt(p, newcomerPages); n != 5 || err != nil || string(p) != "lives" {
				t.Errorf("ReadAt = %d, %v, and read %q", n, err, p)
			}
			err := task.WithWritable(newcomerPages+2*pageSize, 1, func() error { return task.Write(newcomerPages+2*pageSize, []byte("l")) })
			if err != nil {
				t.Errorf("WithWritable = %v", err)
			}
		})
	}
}

// The files of a thread that has ended belong to root.
func TestAPlainUserWritesWithoutTheFirstThread(t *testing.T) {
	testtarget.Need(t, "64-bit tests", "root", "open programs", "other users")
	user := &syscall.Credential{Uid: 65534, Gid: 65534}
	cmd := exec.Command(testtarget.BuildC(t, "testdata/newcomer.c"), "random")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	process := testtarget.StartProcess(t, cmd)
	process.Line()
	endFirst(t, process)
	got := sandbox{PID: process.PID, Address: newcomerPages, Data: "lives"}.run(t, user)
	if got.Code != "KERN_SUCCESS" || got.Op != "" {
		t.Errorf("the write is %+v; want KERN_SUCCESS", got)
	}
	p := make([]byte, 5)
	if _, err := taskFor(t, process.PID).ReadAt(p, newcomerPages); err != nil || string(p) != "lives" {
		t.Errorf("%q is there, %v; want lives", p, err)
	}
}

// heldTask is a task with the way in which it is held.
type heldTask struct {
	name        string
	isProcessVM bool // and nothing else
	*machcompat.Task
}

func holdInEachWay(t *testing.T, pid int) (tasks []heldTask) {
	t.Helper()
	for _, hold := range holds {
		for _, used := range []bool{false, true} {
			task := taskFor(t, pid, hold.options...)
			name := hold.name + ", new"
			if used {
				name = hold.name + ", used"
				use(t, task)
			}
			tasks = append(tasks, heldTask{name, strings.HasPrefix(name, "process_vm"), task})
		}
	}
	return tasks
}

// use makes calls of each kind, and leaves the memory as it was.
func use(t *testing.T, task *machcompat.Task) {
	t.Helper()
	if err := task.Write(newcomerPages, []byte("n")); err != nil {
		t.Fatal(err)
	}
	if _, err := task.ReadAt(make([]byte, 1), newcomerPages); err != nil {
		t.Fatal(err)
	}
	if err := task.WithWritable(newcomerPages+2*pageSize, 1, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
}

// keepAddressSpace starts a reader in the middle of whose read the address space
// is kept, and returns what says whether it is.
func keepAddressSpace(t *testing.T, pid int, how string) (isHeld func() bool) {
	t.Helper()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", threadWithMemory(t, pid)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { memory.Close() })
	reader := testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/reader.c"),
		itoa(threadWithMemory(t, pid)), fmt.Sprint(uint64(newcomerPages)), how))
	if line := reader.Line(); line != "reading" {
		t.Fatalf("the reader says %q", line)
	}
	return func() bool {
		n, err := memory.ReadAt(make([]byte, 1), newcomerPages)
		return n == 1 && err == nil
	}
}

// threadWithMemory returns a thread of the process that has not ended.
func threadWithMemory(t *testing.T, pid int) int {
	t.Helper()
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && len(comm) > 0 {
		return pid
	}
	return otherThread(t, pid)
}

// endFirst ends the first thread of a newcomer and waits until it is no more.
func endFirst(t *testing.T, process *testtarget.Process) {
	t.Helper()
	if _, err := fmt.Fprintln(process.Stdin, "endfirst"); err != nil {
		t.Fatal(err)
	}
	testtarget.WaitFor(t, "the first thread to end", func() bool {
		return strings.Contains(statusOf(t, process.PID), "State:\tZ")
	})
}

func readyPID(t *testing.T, line string) (pid int) {
	t.Helper()
	if _, err := fmt.Sscanf(line, "ready %d", &pid); err != nil {
		t.Fatalf("the process says %q; want ready", line)
	}
	return pid
}

func mustAsk(t *testing.T, process *testtarget.Process, line string) string {
	t.Helper()
	answer, err := process.Ask("%s", line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return answer
}

// newcomerState is what a stray call could change in a newcomer: its mappings and
// the bytes of its pages, as the kernel shows them now.
func newcomerState(t *testing.T, pid int) string {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	pages := make([]byte, 3*pageSize)
	n, _ := memory.ReadAt(pages, newcomerPages)
	return string(maps) + string(pages[:n])
}

func wantGone(t *testing.T, call string, err error) {
	t.Helper()
	if !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) || !errors.Is(err, unix.ESRCH) {
		t.Errorf("%s = %v; want KERN_INVALID_ARGUMENT and ESRCH", call, err)
	}
}

// A process is there while it only begins to run a program, which has no code yet. Whether
// a task is that of the program or of the one before, only the process could say.
func TestTaskOfAProcessThatBeginsToRunAProgram(t *testing.T) {
	testtarget.Need(t, "own children")
	for range testtarget.Rounds(100) {
		process := testtarget.StartProcess(t, exec.Command("cat"))
		task, err := machcompat.TaskForPID(process.PID)
		if err != nil {
			t.Fatal(err)
		}
		task.Close()
		process.End()
	}
}
