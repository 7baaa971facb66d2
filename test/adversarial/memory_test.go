package adversarial

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// odd starts a target with one kind of odd memory.
func odd(t *testing.T, kind string) *program {
	t.Helper()
	target := start(t, exec.Command(testtarget.BuildC(t, "testdata/odd.c"), kind))
	if target.Address == 0 {
		// Huge pages must be reserved by the machine's owner; no kernel has them
		// by itself.
		testtarget.Skip(t, "memory of the kind "+kind, "the target can't have it")
	}
	return target
}

// look returns a byte as the target itself reads it.
func (p *program) look(offset int) byte {
	p.t.Helper()
	answer, err := p.command("look %d", offset)
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
	const page, huge = pageSize, 2 << 20
	type access struct {
		offset, size int
		want         machcompat.KernReturn
		partial      bool // some of it arrives, unless the write is atomic
	}
	for _, c := range []struct {
		kind     string
		before   string // a command
		accesses []access
	}{
		{"thp", "", []access{{0, huge, 0, false}, {huge - 10, 20, machcompat.KERN_PROTECTION_FAILURE, false}, {huge + page, huge - page, 0, false}, {0, 2 * huge, machcompat.KERN_PROTECTION_FAILURE, false}}},
		{"hugetlb", "", []access{{0, huge, 0, false}, {huge - 4, 8, machcompat.KERN_INVALID_ADDRESS, false}}},
		{"file", "", []access{{0, 4 * page, 0, false}}},
		{"file", "cut", []access{{0, page, 0, false}, {page, 1, machcompat.KERN_MEMORY_ERROR, false}, {page - 4, 8, machcompat.KERN_MEMORY_ERROR, true}}},
		{"stack", "", []access{{0, 1, machcompat.KERN_INVALID_ADDRESS, false}}},
		{"stack", "grow", []access{{0, 1, 0, false}}},
		{"top", "", []access{{0, page, 0, false}}},
		{"reserved", "", []access{{0, page, 0, false}, {page - 1, 2, machcompat.KERN_PROTECTION_FAILURE, false}, {-page, 8, machcompat.KERN_PROTECTION_FAILURE, false}}},
	} {
		for _, way := range ways {
			t.Run(fmt.Sprintf("%s %s, %s", c.kind, c.before, way.name), func(t *testing.T) {
				target := odd(t, c.kind)
				task := taskFor(t, target.PID, way.options...)
				if c.before != "" {
					if answer, err := target.command("%s", c.before); err != nil {
						t.Fatal(answer, err)
					}
				}
				for _, a := range c.accesses {
					data := bytes.Repeat([]byte{'n'}, a.size)
					e := wantCode(t, task.Write(target.Address+uint64(a.offset), data), a.want)
					if e != nil && e.Partial != (a.partial && way.name != "atomic") {
						t.Errorf("%d bytes at %d: partial is %v: %v", a.size, a.offset, e.Partial, e)
					}
					if a.want == machcompat.KERN_SUCCESS && target.look(a.offset) != 'n' {
						t.Errorf("%d bytes at %d have not arrived", a.size, a.offset)
					}
				}
				mustBeFree(t, target.PID)
			})
		}
	}
}

// Attack 8. Nobody answers for pages of userfaultfd(2). /proc/PID/mem does not
// wait for them. process_vm_writev waits, as the target itself would, until
// somebody answers or the right to answer is given up; nothing but a kill of the
// writer ends the wait.
func TestUserfaultThatNobodyAnswers(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			target := odd(t, "userfault")
			options := append([]machcompat.Option{machcompat.WithStopTimeout(500 * time.Millisecond)}, way.options...)
			task := taskFor(t, target.PID, options...)
			done := make(chan error, 1)
			data := bytes.Repeat([]byte{'n'}, 2*pageSize)
			go func() { done <- task.Write(target.Address+100, data) }()
			waits := way.name != "procmem stopped" && way.name != "atomic"
			select {
			case err := <-done:
				if waits {
					t.Fatalf("the write did not wait: %v", err)
				}
				wantCode(t, err, machcompat.KERN_MEMORY_ERROR)
				mustBeFree(t, target.PID)
				return
			case <-time.After(2 * time.Second):
				if !waits {
					t.Fatal("the write waits")
				}
			}
			// The target goes on meanwhile, though the write wanted it stopped.
			mustBeFree(t, target.PID)
			if answer, err := target.command("release"); answer != "0" || err != nil {
				t.Fatal(answer, err)
			}
			if err := <-done; err != nil {
				t.Errorf("once it was released: %v", err)
			}
			if target.look(100+2*pageSize-1) != 'n' {
				t.Error("the last byte has not arrived")
			}
		})
	}
}

// The thread that answers is the target's own: a write that keeps it stopped for
// ever would wait for ever.
func TestUserfaultThatTheTargetItselfAnswers(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			target := odd(t, "userfault")
			if answer, err := target.command("answer"); answer != "0" || err != nil {
				t.Fatal(answer, err)
			}
			options := append([]machcompat.Option{machcompat.WithStopTimeout(500 * time.Millisecond)}, way.options...)
			task := taskFor(t, target.PID, options...)
			done := make(chan error, 1)
			go func() { done <- task.Write(target.Address+100, bytes.Repeat([]byte{'n'}, 2*pageSize)) }()
			select {
			case err := <-done:
				if err != nil {
					wantCode(t, err, machcompat.KERN_MEMORY_ERROR)
				}
			case <-time.After(10 * time.Second):
				target.kill()
				t.Fatal("the write never ends")
			}
			mustBeFree(t, target.PID)
		})
	}
}

// Attack 8. A writer that waits for a userfault is ended by a kill, and leaves
// the target as it is.
func TestWriterThatWaitsForAUserfaultCanBeKilled(t *testing.T) {
	target := odd(t, "userfault")
	cmd := roleCommand(t, part{Role: "watched", PID: target.PID, Address: target.Address + pageSize, Way: 0})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	cmd.Process.Kill()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the writer does not end")
	}
	mustBeFree(t, target.PID)
	if target.look(0) != 'o' {
		t.Error("the target has changed")
	}
}

// Attack 8. Guard regions, secret memory, sealed memory: what the map allows and
// what can be had differ.
func TestMemoryThatTheMapSaysCanBeWritten(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			target := testtarget.Start(t)
			task := taskFor(t, target.PID, way.options...)
			base := target.Address("layout rw-:3")
			if answer := target.Try("guard %#x 4096", base+pageSize); answer == "ok" {
				e := wantCode(t, task.Write(base+pageSize-8, make([]byte, 16)), machcompat.KERN_MEMORY_ERROR)
				if e != nil && e.Partial == (way.name == "atomic") {
					t.Errorf("over a guard region: partial is %v", e.Partial)
				}
				wantCode(t, task.Write(base+2*pageSize, []byte("beyond")), machcompat.KERN_SUCCESS)
			}
			secret := target.Try("secret 1")
			var address uint64
			if _, err := fmt.Sscanf(secret, "ok %v", &address); err == nil {
				wantCode(t, task.Write(address, []byte("told")), machcompat.KERN_MEMORY_ERROR)
				_, err := task.Read(address, 4)
				wantCode(t, err, machcompat.KERN_MEMORY_ERROR)
			}
			sealed := target.Address("layout rw-:1,r--:1")
			if answer := target.Try("seal %#x 8192", sealed); answer == "ok" {
				wantCode(t, task.Write(sealed, []byte("sealed")), machcompat.KERN_SUCCESS)
				wantCode(t, task.Write(sealed+pageSize, []byte("sealed")), machcompat.KERN_PROTECTION_FAILURE)
				wantCode(t, task.Protect(sealed, pageSize, false, machcompat.VM_PROT_READ), machcompat.KERN_PROTECTION_FAILURE)
				wantCode(t, task.Deallocate(sealed, pageSize), machcompat.KERN_PROTECTION_FAILURE)
			}
			mustBeFree(t, target.PID)
		})
	}
}

// Attack 8. As many mappings as a process may have by default, all in one range.
func TestAsManyMappingsAsAProcessMayHave(t *testing.T) {
	target := testtarget.Start(t)
	const count = 65000
	answer := target.Try("split %d", count)
	var base uint64
	if _, err := fmt.Sscanf(answer, "ok %v", &base); err != nil {
		testtarget.Skip(t, "kernel", "the target can't have so many mappings: "+answer)
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			task := taskFor(t, target.PID, way.options...)
			begin := time.Now()
			err := task.Write(base, bytes.Repeat([]byte{7}, count*pageSize/2))
			if code := machcompat.CodeOf(err); code != machcompat.KERN_SUCCESS && code != machcompat.KERN_PROTECTION_FAILURE {
				t.Error(err)
			}
			t.Logf("%v: %v", time.Since(begin).Round(time.Millisecond), err)
			mustBeFree(t, target.PID)
		})
	}
}

// Attack 8. A 32-bit target, from a 64-bit writer.
func TestThirtyTwoBitTarget(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("32-bit targets are written from amd64")
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			target := testtarget.StartBinary(t, testtarget.Build(t, "386"))
			base := target.Address("layout rw-:1,r--:1,gap:1")
			task := taskFor(t, target.PID, way.options...)
			wantCode(t, task.Write(base, []byte("narrow")), machcompat.KERN_SUCCESS)
			wantCode(t, task.Write(base+pageSize, []byte("narrow")), machcompat.KERN_PROTECTION_FAILURE)
			wantCode(t, task.Write(base+2*pageSize, []byte("narrow")), machcompat.KERN_INVALID_ADDRESS)
			for _, address := range []uint64{1<<32 - 1, 1 << 32, base | 1<<32, 1 << 40} {
				wantCode(t, task.Write(address, []byte("wide")), machcompat.KERN_INVALID_ADDRESS)
			}
			wantCode(t, task.Protect(base, pageSize, false, machcompat.VM_PROT_READ), machcompat.KERN_SUCCESS)
			wantCode(t, task.Write(base, []byte("closed")), machcompat.KERN_PROTECTION_FAILURE)
			if got := target.Bytes(base, 6); string(got) != "narrow" {
				t.Errorf("%q is there", got)
			}
			mustBeFree(t, target.PID)
		})
	}
}
