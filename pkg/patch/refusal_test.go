// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/instruction"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/internal/testtarget/peimage"
	"github.com/vmwrite/vmwrite/internal/unwind"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// startGo starts the target of all tests, a Go program.
func startGo(t testing.TB) (*target, *testtarget.Target) {
	t.Helper()
	program := testtarget.Start(t)
	return ofProcess(t, program.Process, "target"), program
}

// atAddress returns a patch with one change, at an address.
func atAddress(t testing.TB, at uint64, change Change) *Patch {
	t.Helper()
	e, err := address.Parse(fmt.Sprintf("%#x", at))
	if err != nil {
		t.Fatal(err)
	}
	change.At = e
	return &Patch{Name: "test", Changes: []Change{change}}
}

func TestMemoryThatIsNotPatched(t *testing.T) {
	page := machcompat.HostPageSize()
	tests := []struct {
		name      string
		layout    string // command of the target
		offset    uint64
		unprotect bool
		code      machcompat.KernReturn
		message   string
	}{
		{"shared and read-only", "file FILE r-- 1 4096 shared", 0, true, machcompat.KERN_PROTECTION_FAILURE, "the memory is shared"},
		{"of a file that was opened for reading", "readonlyfile FILE", 0, true, machcompat.KERN_PROTECTION_FAILURE, "the memory is shared"},
		{"read-only, and the change does not say unprotect", "layout r--:1", 0, false, machcompat.KERN_PROTECTION_FAILURE, "does not say unprotect"},
		{"read-only in its second page", "layout rw-:1,r--:1", page - 2, false, machcompat.KERN_PROTECTION_FAILURE, "does not say unprotect"},
		{"not mapped", "layout rw-:1", page, false, machcompat.KERN_INVALID_ADDRESS, "nothing is mapped there"},
		{"not mapped from its second byte on", "layout rw-:1", page - 1, false, machcompat.KERN_INVALID_ADDRESS, "nothing is mapped there"},
		{"behind the end of a file", "file FILE rw- 2 1 private", page, false, machcompat.KERN_MEMORY_ERROR, ""},
		{"over the end of a file", "file FILE rw- 2 1 private", page - 2, false, machcompat.KERN_MEMORY_ERROR, ""},
	}
	p, program := startGo(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := p.in(t)
			at := program.Address("%s", strings.ReplaceAll(test.layout, "FILE", filepath.Join(t.TempDir(), "file")))
			readable := uint64(4)
			if test.code != machcompat.KERN_PROTECTION_FAILURE {
				readable = min(4, page-test.offset)
			}
			var before []byte
			if readable > 0 {
				before = p.bytes(at+test.offset, readable)
			}
			old := append(append([]byte{}, before...), 0, 0, 0, 0)[:4]
			change := Change{Old: old, New: []byte("new!"), Unprotect: test.unprotect}
			plan, err := atAddress(t, at+test.offset, change).Resolve(t.Context(), Of(p.task), Options{Journal: p.journal})
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range []error{plan.Check(), plan.Apply(t.Context())} {
				e, ok := errors.AsType[*CheckError](err)
				if !ok || len(e.Findings) != 1 {
					t.Fatalf("error %v; want a *CheckError with one finding", err)
				}
				code := machcompat.CodeOf(e)
				if !errors.Is(e, test.code) && code != test.code || !strings.Contains(e.Error(), test.message) {
					t.Errorf("error %v; want %v that says %q", e, test.code, test.message)
				}
			}
			if readable > 0 && string(p.bytes(at+test.offset, readable)) != string(before) {
				t.Error("the bytes have changed")
			}
			p.wantNoJournal()
		})
	}
}

// TestWhatHappensMeanwhile patches a process to which something happens after its places
// were found.
func TestWhatHappensMeanwhile(t *testing.T) {
	tests := []struct {
		name    string
		happens func(t *testing.T, program *testtarget.Target, at uint64)
		lives   bool // and its bytes can be compared
		want    string
		code    machcompat.KernReturn
	}{
		{"it runs another program", func(_ *testing.T, program *testtarget.Target, _ uint64) { program.Try("execself") }, false, "", machcompat.KERN_INVALID_ARGUMENT},
		{"it was killed", func(_ *testing.T, program *testtarget.Target, _ uint64) { program.Kill() }, false, "", machcompat.KERN_INVALID_ARGUMENT},
		{"it has ended", func(_ *testing.T, program *testtarget.Target, _ uint64) { program.End() }, false, "", machcompat.KERN_INVALID_ARGUMENT},
		{"the page was unmapped", func(_ *testing.T, program *testtarget.Target, at uint64) {
			program.Do("unmap %#x %d", at, machcompat.HostPageSize())
		}, false, "", machcompat.KERN_INVALID_ADDRESS},
		{"the page was made read-only", func(_ *testing.T, program *testtarget.Target, at uint64) {
			program.Do("protect %#x %d r--", at, machcompat.HostPageSize())
		}, true, "", machcompat.KERN_PROTECTION_FAILURE},
		{"another traces it", func(t *testing.T, program *testtarget.Target, _ uint64) {
			done, seized := make(chan struct{}), make(chan error)
			t.Cleanup(func() { close(done) })
			go func() {
				runtime.LockOSThread()
				seized <- unix.PtraceSeize(program.PID)
				<-done
			}()
			if err := <-seized; err != nil {
				t.Fatal(err)
			}
		}, true, "traced by", machcompat.KERN_FAILURE},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, program := startGo(t)
			at := program.Address("layout rw-:1")
			old := p.bytes(at, 4)
			plan, err := atAddress(t, at, Change{Old: old, New: []byte("new!")}).Resolve(t.Context(), Of(p.task), Options{Journal: p.journal})
			if err == nil {
				err = plan.Check()
			}
			if err != nil {
				t.Fatal(err)
			}
			test.happens(t, program, at)
			err = plan.Apply(t.Context())
			if e, ok := errors.AsType[*machcompat.Error](err); !ok || e.Code != test.code || !strings.Contains(e.Error()+e.Hint, test.want) {
				t.Errorf("Apply = %v; want %v that says %q", err, test.code, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("Apply = %q; want one line", err)
			}
			if test.lives && string(p.bytes(at, 4)) != string(old) {
				t.Error("the bytes have changed")
			}
			p.wantNoJournal()
		})
	}
}

// TestAProcessThatIsKilledMeanwhile kills a process at each step of a patch.
func TestAProcessThatIsKilledMeanwhile(t *testing.T) {
	was := step
	defer func() { step = was }()
	for _, at := range []string{"prepared", "stopped", "written"} {
		t.Run(at, func(t *testing.T) {
			p, program := startGo(t)
			page := program.Address("layout rw-:1")
			c := code{page, page + 4, p.bytes(page, 4), []byte("new!")}
			step = func(name string) {
				if name == at {
					program.Kill()
				}
			}
			err := p.try(c, Options{}, (*Plan).Apply)
			if machcompat.CodeOf(err) != machcompat.KERN_INVALID_ARGUMENT {
				t.Errorf("Apply = %v; want KERN_INVALID_ARGUMENT", err)
			}
			program.End()
			if at != "written" { // else nobody knows what was put back
				p.wantNoJournal()
				return
			}
			all, err := p.journal.Recover(t.Context(), nil, RecoverOptions{})
			if err != nil || len(all) != 1 || all[0].Outcome != Gone {
				t.Errorf("Recover = %+v, %v; want one patch of a process that is gone", all, err)
			}
			p.wantNoJournal()
		})
	}
}

// TestAProcessThatJobControlStops patches data of such a process, which stays stopped.
func TestAProcessThatJobControlStops(t *testing.T) {
	p, program := startGo(t)
	for _, test := range []struct{ name, layout string }{
		{"memory that it may write", "layout rw-:1"},
		{"memory that it may not", "layout r--:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := program.Address("%s", test.layout)
			c := code{at, at + 4, p.bytes(at, 4), []byte("new!")}
			testtarget.Send(t, p.PID, unix.SIGSTOP)
			testtarget.WaitForStates(t, p.PID, "T")
			p := p.in(t)
			p.make(c, Options{}, (*Plan).Apply)
			testtarget.WaitForStates(t, p.PID, "T")
			if got := p.bytes(at, 4); string(got) != "new!" {
				t.Errorf("there is %q", got)
			}
			p.make(c, Options{}, (*Plan).Undo)
			testtarget.WaitForStates(t, p.PID, "T")
			testtarget.Send(t, p.PID, unix.SIGCONT)
			if got := program.Bytes(at, 4); string(got) != string(c.old) {
				t.Errorf("there is %q; want % x", got, c.old)
			}
			p.wantNoJournal()
		})
	}
}

// TestAGoProgram patches the code of one, of which no table says who called it.
func TestAGoProgram(t *testing.T) {
	p, program := startGo(t)
	program.Do("threads 8")
	at := p.at("main.execSelf")
	c := code{at, at + 16, p.bytes(at, 16), make([]byte, 16)}
	err := p.try(c, Options{}, (*Plan).Apply)
	e, ok := errors.AsType[*InTheWayError](err)
	if !ok || !errors.Is(e.Obstacles[0].Err, unwind.ErrUnknown) {
		t.Errorf("Apply = %v; want an unknown caller", err)
	}
	p.wantNoJournal()
	p.make(c, Options{Force: true}, (*Plan).Apply)
	if got := p.bytes(at, 16); string(got) != string(c.new) {
		t.Errorf("there is % x; want % x", got, c.new)
	}
	if err := p.try(c, Options{}, (*Plan).Undo); err == nil {
		t.Error("Undo without Force was not refused")
	}
	p.make(c, Options{Force: true}, (*Plan).Undo)
	if got := p.bytes(at, 16); string(got) != string(c.old) {
		t.Errorf("there is % x; want % x", got, c.old)
	}
	testtarget.WantRunning(t, program)
	p.wantNoJournal()
}

// TestOneInstructionOfAGoProgram patches what no thread can be in the middle of: its symbol
// tells where the function begins.
func TestOneInstructionOfAGoProgram(t *testing.T) {
	p, program := startGo(t)
	program.Do("threads 8")
	at := p.at("main.execSelf")
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "386": elf.EM_386, "arm64": elf.EM_AARCH64}[runtime.GOARCH]
	one, err := instruction.Next(machine, p.bytes(at, 16), at)
	if err != nil {
		t.Fatal(err)
	}
	new := bytes.Repeat([]byte{0x90}, one.Size) // nop
	if machine == elf.EM_AARCH64 {
		new = []byte{0x1f, 0x20, 0x03, 0xd5}
	}
	c := code{at, at + uint64(one.Size), p.bytes(at, uint64(one.Size)), new}
	if err := p.try(c, Options{}, (*Plan).Apply); err != nil {
		t.Errorf("%q: %v", one.Text, err)
	}
	testtarget.WantRunning(t, program)
}

// TestMemoryThatBecomesCode patches memory that the process may run afterwards.
func TestMemoryThatBecomesCode(t *testing.T) {
	p, program := startGo(t)
	at, page := program.Address("layout rw-:1"), machcompat.HostPageSize()
	c := code{at, at + 8, p.bytes(at, 8), []byte("new code")} // more than one instruction
	p.make(c, Options{}, (*Plan).Apply)
	program.Do("protect %#x %d r-x", at, page)
	if _, ok := errors.AsType[*InTheWayError](p.try(c, Options{}, (*Plan).Undo)); !ok {
		t.Error("Undo was not refused")
	}
	program.Do("protect %#x %d rw-", at, page)
	p.make(c, Options{}, (*Plan).Undo)
	p.wantNoJournal()
}

// TestAModuleOfWindows patches one, by the distance from its start.
func TestAModuleOfWindows(t *testing.T) {
	testtarget.Need(t, "4k pages", "64-bit tests")
	p, program := startGo(t)
	path := filepath.Join(t.TempDir(), "game.exe")
	base := program.Address("pe %x 64 %#x whole", path, uint64(0x140000000))
	for _, test := range []struct {
		name   string
		offset uint64
		size   int
		forced bool
	}{
		{"one byte of code", peimage.Text, 1, false},
		{"more than one instruction", peimage.Text + 8, 8, true},
		{"data", peimage.Data + 0x40, 4, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := p.in(t)
			old := p.bytes(base+test.offset, uint64(test.size))
			e, err := address.Parse(fmt.Sprintf("game.exe+%#x", test.offset))
			if err != nil {
				t.Fatal(err)
			}
			new := bytes.Repeat([]byte{0x90}, test.size) // nop
			one := &Patch{Name: "test", Changes: []Change{{At: e, Old: old, New: new, Unprotect: true}}}
			for _, force := range []bool{false, true} {
				ctx, cancel := context.WithTimeout(t.Context(), testtarget.Patience)
				defer cancel()
				resolve := func() *Plan {
					plan, err := one.Resolve(ctx, once{Of(p.task), func() {}}, Options{Journal: p.journal, Force: force})
					if err != nil {
						t.Fatal(err)
					}
					return plan
				}
				if test.forced && !force {
					plan := resolve()
					plan.process = once{Of(p.task), cancel}
					if _, ok := errors.AsType[*InTheWayError](plan.Apply(ctx)); !ok {
						t.Error("Apply was not refused")
					}
					continue
				}
				if err := resolve().Apply(ctx); err != nil {
					t.Fatal(err)
				}
				if got := p.bytes(base+test.offset, uint64(test.size)); !bytes.Equal(got, new) {
					t.Errorf("there is % x; want % x", got, new)
				}
				if err := resolve().Undo(ctx); err != nil {
					t.Fatal(err)
				}
				if got := p.bytes(base+test.offset, uint64(test.size)); !bytes.Equal(got, old) {
					t.Errorf("there is % x; want % x", got, old)
				}
			}
			p.wantNoJournal()
		})
	}
}
