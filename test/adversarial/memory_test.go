// SPDX-License-Identifier: Apache-2.0

package adversarial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// odd starts a target with one kind of odd memory.
func odd(t *testing.T, kind string) *program {
	t.Helper()
	target := startC(t, "odd", kind)
	if target.Address == 0 {
		t.Fatalf("the target can't have memory of the kind %s", kind)
	}
	return target
}

// must sends a target of odd memory a command that must not fail.
func (p *program) must(command string) {
	p.t.Helper()
	if answer, err := p.Ask("%s", command); err != nil || answer != "0" {
		p.t.Fatalf("%s: the target says %q, %v", command, answer, err)
	}
}

// look returns a byte as the target itself reads it.
func (p *program) look(offset int) byte {
	p.t.Helper()
	answer, err := p.Ask("look %d", offset)
	value, convErr := strconv.Atoi(answer)
	if err != nil || convErr != nil {
		p.t.Fatalf("the target says %q, %v", answer, errors.Join(err, convErr))
	}
	return byte(value)
}

func wantCode(t *testing.T, err error, want machcompat.KernReturn) *machcompat.Error {
	t.Helper()
	e, _ := errors.AsType[*machcompat.Error](err)
	if machcompat.CodeOf(err) != want {
		t.Errorf("%v; want %s", err, want.String())
	}
	return e
}

// Attack 8. Each kind of memory, in each way of writing: what may be written is,
// what may not is refused with its code, and nothing else changes.
func TestOddMemory(t *testing.T) {
	const huge = 2 << 20
	page := int(pageSize)
	type access struct {
		offset, size int
		want         machcompat.KernReturn
		partial      bool // some of it arrives, unless the write is atomic
	}
	for i, c := range []struct {
		name, kind string
		before     string // a command
		accesses   []access
	}{
		{"huge pages", "thp", "", []access{{0, huge, 0, false}, {huge - 10, 20, machcompat.KERN_PROTECTION_FAILURE, false}, {huge + page, huge - page, 0, false}, {0, 2 * huge, machcompat.KERN_PROTECTION_FAILURE, false}}},
		{"pages of hugetlb", "hugetlb", "", []access{{0, huge, 0, false}, {huge - 4, 8, machcompat.KERN_INVALID_ADDRESS, false}}},
		{"a shared file", "file", "", []access{{0, 4 * page, 0, false}}},
		{"a shared file that was cut", "file", "cut", []access{{0, page, 0, false}, {page, 1, machcompat.KERN_MEMORY_ERROR, false}, {page - 4, 8, machcompat.KERN_MEMORY_ERROR, true}}},
		{"below the stack", "stack", "", []access{{0, 1, machcompat.KERN_INVALID_ADDRESS, false}}},
		{"below the stack, once it has grown", "stack", "grow", []access{{0, 1, 0, false}}},
		{"the highest page", "top", "", []access{{0, page, 0, false}}},
		{"a page in 64 TiB of reserved space", "reserved", "", []access{{0, page, 0, false}, {page - 1, 2, machcompat.KERN_PROTECTION_FAILURE, false}, {-page, 8, machcompat.KERN_PROTECTION_FAILURE, false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.kind == "hugetlb" {
				testtarget.Need(t, "hugetlb")
			}
			for _, mode := range testtarget.Some(modes, 2, i) {
				t.Run(mode.name, func(t *testing.T) {
					target := odd(t, c.kind)
					task := taskFor(t, target.PID, mode.options...)
					if c.before != "" {
						target.must(c.before)
					}
					for _, a := range c.accesses {
						data := bytes.Repeat([]byte{'n'}, a.size)
						e := wantCode(t, task.Write(target.Address+uint64(a.offset), data), a.want)
						if e != nil && e.Partial != (a.partial && mode.name != "atomic") {
							t.Errorf("%d bytes at %d: partial is %v: %v", a.size, a.offset, e.Partial, e)
						}
						if a.want == machcompat.KERN_SUCCESS && target.look(a.offset) != 'n' {
							t.Errorf("%d bytes at %d have not arrived", a.size, a.offset)
						}
					}
					mustBeFree(t, target.PID)
				})
			}
		})
	}
}

// waitsForPage reports whether a thread of a process waits in a call that moves
// bytes to or from the target: proc(5) tells the call and its arguments of those
// that wait alone.
func waitsForPage(pid int, target *program) bool {
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		for _, number := range []int{unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_VM_READV} {
			if strings.HasPrefix(string(text), fmt.Sprintf("%d %#x ", number, target.PID)) {
				return true
			}
		}
	}
	return false
}

// Attack 8. Nobody answers for pages of userfaultfd(2). /proc/PID/mem does not
// wait for them. process_vm_writev waits, as the target itself would, until
// somebody answers or the right to answer is given up; nothing but a kill of the
// writer ends the wait.
func TestUserfaultThatNobodyAnswers(t *testing.T) {
	testtarget.Need(t, "userfaultfd")
	t.Parallel() // it mostly waits
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			target := odd(t, "userfault")
			// For so long it is stopped, where it waits and was to be.
			options := append([]machcompat.Option{machcompat.WithStopTimeout(2 * time.Second)}, mode.options...)
			task := taskFor(t, target.PID, options...)
			done := make(chan error, 1)
			data := bytes.Repeat([]byte{'n'}, 2*int(pageSize))
			go func() { done <- task.Write(target.Address+100, data) }()
			if mode.name == "procmem stopped" || mode.name == "atomic" {
				wantCode(t, <-done, machcompat.KERN_MEMORY_ERROR)
				mustBeFree(t, target.PID)
				return
			}
			testtarget.WaitFor(t, "the write to wait", func() bool { return waitsForPage(os.Getpid(), target) })
			// The target goes on meanwhile, though the write wanted it stopped.
			mustBeFree(t, target.PID)
			if len(done) > 0 {
				t.Fatalf("the write did not wait: %v", <-done)
			}
			target.must("release")
			if err := <-done; err != nil {
				t.Errorf("once it was released: %v", err)
			}
			if target.look(100+2*int(pageSize)-1) != 'n' {
				t.Error("the last byte has not arrived")
			}
		})
	}
}

// A write that waits in the stop of a Suspend does not keep the target stopped when
// that is taken back.
func TestUserfaultInASuspend(t *testing.T) {
	testtarget.Need(t, "userfaultfd")
	target := odd(t, "userfault")
	task := taskFor(t, target.PID, machcompat.WithStop(machcompat.StopAlways), machcompat.WithStopTimeout(time.Second))
	if err := task.Suspend(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- task.Write(target.Address+100, bytes.Repeat([]byte{'n'}, 2*int(pageSize))) }()
	testtarget.WaitFor(t, "the write to wait", func() bool { return waitsForPage(os.Getpid(), target) })
	if err := task.Resume(); err != nil {
		t.Fatal(err)
	}
	mustBeFree(t, target.PID)
	target.must("release")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A stopped target can't answer, so what is read and written in its stop does not
// wait for it.
func TestUserfaultThatIsCompared(t *testing.T) {
	testtarget.Need(t, "userfaultfd")
	target := odd(t, "userfault")
	for _, backend := range []machcompat.Backend{machcompat.ProcessVM, machcompat.ProcMem} {
		task := taskFor(t, target.PID, machcompat.WithBackend(backend))
		for name, change := range map[string]machcompat.Change{
			"its old bytes": {Address: target.Address + pageSize, Old: []byte{'o'}, New: []byte{'n'}},
			"its new bytes": {Address: target.Address + pageSize, New: []byte{'n'}},
		} {
			err := task.CompareAndWrite(context.Background(), []machcompat.Change{{Address: target.Address, New: []byte{'n'}}, change})
			if !errors.Is(err, machcompat.KERN_MEMORY_ERROR) {
				t.Errorf("%s, %s: CompareAndWrite = %v; want KERN_MEMORY_ERROR", backend, name, err)
			}
		}
	}
	mustBeFree(t, target.PID)
	if target.look(0) != 'o' {
		t.Error("the first change was not put back")
	}
}

// The thread that answers is the target's own: a write that keeps it stopped for
// ever would wait for ever.
func TestUserfaultThatTheTargetItselfAnswers(t *testing.T) {
	testtarget.Need(t, "userfaultfd")
	t.Parallel() // it mostly waits
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			target := odd(t, "userfault")
			target.must("answer")
			options := append([]machcompat.Option{machcompat.WithStopTimeout(2 * time.Second)}, mode.options...)
			task := taskFor(t, target.PID, options...)
			defer endIfItHangs(target.PID)() // the write, which then fails
			if err := task.Write(target.Address+100, bytes.Repeat([]byte{'n'}, 2*int(pageSize))); err != nil {
				wantCode(t, err, machcompat.KERN_MEMORY_ERROR)
			}
			mustBeFree(t, target.PID)
		})
	}
}

// Attack 8. A writer that waits for a userfault is ended by a kill, and leaves
// the target as it is.
func TestWriterThatWaitsForAUserfaultCanBeKilled(t *testing.T) {
	testtarget.Need(t, "userfaultfd")
	target := odd(t, "userfault")
	p := target.part("watched", "vm_write, process_vm")
	p.Address += pageSize
	writer := testtarget.StartProcess(t, roleCommand(t, p))
	testtarget.WaitFor(t, "the write to wait", func() bool { return waitsForPage(writer.PID, target) })
	writer.End()
	mustBeFree(t, target.PID)
	if target.look(0) != 'o' {
		t.Error("the target has changed")
	}
}

// Attack 8. Guard regions, secret memory, sealed memory: what the map allows and
// what can be faulted in differ.
func TestMemoryThatTheMapSaysCanBeWritten(t *testing.T) {
	for _, c := range []struct {
		name string
		try  func(t *testing.T, target *testtarget.Target, task *machcompat.Task, atomic bool)
	}{
		{"guard regions", func(t *testing.T, target *testtarget.Target, task *machcompat.Task, atomic bool) {
			base := target.Address("layout rw-:3")
			target.Do("guard %#x %d", base+pageSize, pageSize)
			e := wantCode(t, task.Write(base+pageSize-8, make([]byte, 16)), machcompat.KERN_MEMORY_ERROR)
			if e != nil && e.Partial == atomic {
				t.Errorf("over a guard region: partial is %v", e.Partial)
			}
			wantCode(t, task.Write(base+2*pageSize, []byte("beyond")), machcompat.KERN_SUCCESS)
		}},
		{"memfd_secret", func(t *testing.T, target *testtarget.Target, task *machcompat.Task, _ bool) {
			address := target.Address("secret 1")
			wantCode(t, task.Write(address, []byte("told")), machcompat.KERN_MEMORY_ERROR)
			_, err := task.Read(address, 4)
			wantCode(t, err, machcompat.KERN_MEMORY_ERROR)
		}},
		{"mseal", func(t *testing.T, target *testtarget.Target, task *machcompat.Task, _ bool) {
			sealed := target.Address("layout rw-:1,r--:1")
			target.Do("seal %#x %d", sealed, 2*pageSize)
			wantCode(t, task.Write(sealed, []byte("sealed")), machcompat.KERN_SUCCESS)
			wantCode(t, task.Write(sealed+pageSize, []byte("sealed")), machcompat.KERN_PROTECTION_FAILURE)
			wantCode(t, task.Protect(sealed, pageSize, false, machcompat.VM_PROT_READ), machcompat.KERN_PROTECTION_FAILURE)
			wantCode(t, task.Deallocate(sealed, pageSize), machcompat.KERN_PROTECTION_FAILURE)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			testtarget.Need(t, c.name)
			target := testtarget.Start(t)
			for _, mode := range modes {
				t.Run(mode.name, func(t *testing.T) {
					c.try(t, target, taskFor(t, target.PID, mode.options...), mode.name == "atomic")
					mustBeFree(t, target.PID)
				})
			}
		})
	}
}

// Attack 8. As many mappings as a process may have by default, all in one range.
func TestAsManyMappingsAsAProcessMayHave(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/vm/max_map_count")
	most, convErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err := errors.Join(err, convErr); err != nil {
		t.Fatal(err)
	}
	const own = 500 // of the target itself
	count := testtarget.Sized(5000, min(65000, most-own))
	target := testtarget.Start(t)
	base := target.Address("split %d", count)
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			task := taskFor(t, target.PID, mode.options...)
			begin := time.Now()
			err := task.Write(base, bytes.Repeat([]byte{7}, count*int(pageSize)/2))
			if code := machcompat.CodeOf(err); code != machcompat.KERN_SUCCESS && code != machcompat.KERN_PROTECTION_FAILURE {
				t.Error(err)
			}
			t.Logf("%v: %v", time.Since(begin).Round(time.Millisecond), err)
			mustBeFree(t, target.PID)
		})
	}
}
