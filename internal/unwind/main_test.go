// SPDX-License-Identifier: Apache-2.0

package unwind

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(testtarget.Main(m)) }

// program is a process with one thread, which the test traces.
type program struct {
	tb      testing.TB
	pid     int
	memory  *os.File
	modules []module
}

type module struct {
	Table
	path      string
	functions []elf.Symbol // by address, in memory
}

// start starts a program, which stands before its first instruction then. It must be on
// one thread that the test has for itself.
func start(tb testing.TB, path string, arguments ...string) *program {
	tb.Helper()
	testtarget.Need(tb, "own children")
	runtime.LockOSThread() // and the thread ends with the test
	cmd := exec.Command(path, arguments...)
	cmd.Env = append(os.Environ(), "LD_BIND_NOW=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	p := &program{tb: tb, pid: cmd.Process.Pid}
	tb.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if status := p.wait(); status.StopSignal() != unix.SIGTRAP {
		tb.Fatalf("the program begins with %v", status.StopSignal())
	}
	var err error
	if p.memory, err = os.Open(fmt.Sprintf("/proc/%d/mem", p.pid)); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.memory.Close() })
	return p
}

func (p *program) wait() (status unix.WaitStatus) {
	p.tb.Helper()
	if _, err := unix.Wait4(p.pid, &status, unix.WALL, nil); err != nil {
		p.tb.Fatal(err)
	}
	if !status.Stopped() {
		p.tb.Fatalf("the program has ended: %#x", status)
	}
	return status
}

// run lets the program run up to where it stops for its tracer.
func (p *program) run() {
	p.tb.Helper()
	for signal := 0; ; {
		if err := unix.PtraceCont(p.pid, signal); err != nil {
			p.tb.Fatal(err)
		}
		if signal = int(p.wait().StopSignal()); signal == int(unix.SIGTRAP) {
			break
		}
	}
	p.readModules()
	if machine, pc, _ := p.registers(); machine == elf.EM_AARCH64 {
		p.setPC(pc + sizeOfBRK) // as it is on x86
	}
}

const sizeOfBRK = 4

// setPC is for arm64.
func (p *program) setPC(pc uint64) {
	p.tb.Helper()
	var data [34 * 8]byte
	_, err := linux.PtraceRegisterSet(p.pid, unix.NT_PRSTATUS, data[:])
	if err == nil {
		binary.NativeEndian.PutUint64(data[32*8:], pc)
		err = linux.PtraceSetRegisterSet(p.pid, unix.NT_PRSTATUS, data[:])
	}
	if err != nil {
		p.tb.Fatal(err)
	}
}

// atStop reports whether the thread stands where it stops for its tracer: behind INT3, or
// at BRK.
func (p *program) atStop() bool {
	p.tb.Helper()
	machine, pc, _ := p.registers()
	size, brk := uint64(1), []byte{0xcc}
	if machine == elf.EM_AARCH64 {
		size, brk = 0, []byte{0, 0, 0x20, 0xd4}
	}
	code := make([]byte, len(brk))
	if _, err := p.memory.ReadAt(code, int64(pc-size)); err != nil {
		p.tb.Fatal(err)
	}
	return bytes.Equal(code, brk)
}

// step runs one instruction.
func (p *program) step() {
	p.tb.Helper()
	if err := unix.PtraceSingleStep(p.pid); err != nil {
		p.tb.Fatal(err)
	}
	p.wait()
}

// layouts are where the kernel shows the registers, by how many bytes it shows: their
// places in the order of the DWARF numbers, then that of the program counter.
var layouts = map[int]struct {
	machine elf.Machine
	word    int
	places  []int
	pc      int
}{
	17 * 4: {elf.EM_386, 4, []int{6, 1, 2, 0, 15, 5, 3, 4}, 12},
	27 * 8: {elf.EM_X86_64, 8, []int{10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0}, 16},
	34 * 8: {elf.EM_AARCH64, 8, upTo(31), 32},
}

// registers returns what the thread stands at.
func (p *program) registers() (machine elf.Machine, pc uint64, registers []uint64) {
	p.tb.Helper()
	return registersOf(p.tb, p.pid)
}

func registersOf(tb testing.TB, tid int) (machine elf.Machine, pc uint64, registers []uint64) {
	tb.Helper()
	var data [512]byte
	n, err := linux.PtraceRegisterSet(tid, unix.NT_PRSTATUS, data[:])
	if err != nil {
		tb.Fatal(err)
	}
	l, ok := layouts[n]
	if !ok {
		tb.Fatalf("the kernel shows %d bytes of registers", n)
	}
	get := func(place int) uint64 {
		if l.word == 4 {
			return uint64(binary.NativeEndian.Uint32(data[place*4:]))
		}
		return binary.NativeEndian.Uint64(data[place*8:])
	}
	for _, place := range l.places {
		registers = append(registers, get(place))
	}
	return l.machine, get(l.pc), registers
}

// readModules finds the programs and libraries in the memory.
func (p *program) readModules() {
	p.tb.Helper()
	p.modules = modulesOf(p.tb, p.pid, p.memory)
}

func modulesOf(tb testing.TB, pid int, memory io.ReaderAt) (modules []module) {
	tb.Helper()
	maps, err := procmaps.Open(pid)
	if err != nil {
		tb.Fatal(err)
	}
	defer maps.Close()
	for m, err := range maps.All() {
		if err != nil {
			tb.Fatal(err)
		}
		if m.Offset != 0 || m.Path != "[vdso]" && !strings.HasPrefix(m.Path, "/") {
			continue
		}
		var file io.ReaderAt = io.NewSectionReader(memory, int64(m.Start), math.MaxInt64)
		if m.Path != "[vdso]" {
			opened, err := os.Open(fmt.Sprintf("/proc/%d/root%s", pid, m.Path))
			if err != nil {
				continue
			}
			defer opened.Close()
			file = opened
		}
		if image, err := elf.NewFile(file); err == nil {
			modules = append(modules, moduleOf(image, m.Start, m.Path))
		}
	}
	return modules
}

func moduleOf(image *elf.File, start uint64, path string) module {
	m := module{path: path, Table: Table{Base: start}}
	bias, first := uint64(0), true
	for _, segment := range image.Progs {
		switch {
		case segment.Type == elf.PT_LOAD && first:
			bias, first = start-(segment.Vaddr-segment.Off), false
			fallthrough
		case segment.Type == elf.PT_LOAD:
			m.Size = max(m.Size, bias+segment.Vaddr+segment.Memsz-start)
		case segment.Type == elf.PT_GNU_EH_FRAME:
			m.Header, m.HeaderSize = segment.Vaddr, segment.Memsz
		}
	}
	if m.Header != 0 {
		m.Header += bias
	}
	symbols, _ := image.Symbols()
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Value != 0 {
			s.Value += bias
			m.functions = append(m.functions, s)
		}
	}
	slices.SortFunc(m.functions, func(a, b elf.Symbol) int { return cmp.Compare(a.Value, b.Value) })
	return m
}

// module returns the module that an address lies in. That of the kernel may lie in a gap of
// another one.
func (p *program) module(pc uint64) *module {
	for i := len(p.modules) - 1; i >= 0; i-- {
		if m := &p.modules[i]; pc-m.Base < m.Size {
			return m
		}
	}
	return nil
}

func (p *program) table(pc uint64) (Table, bool) {
	m := p.module(pc)
	if m == nil {
		return Table{}, false
	}
	return m.Table, true
}

// function is the name of the function that a frame is of, "" if there is no symbol for it.
func (p *program) function(f Frame) string {
	pc := f.PC
	if !f.Interrupted {
		pc--
	}
	m := p.module(pc)
	if m == nil {
		return ""
	}
	for _, s := range m.functions {
		if pc-s.Value < s.Size {
			return s.Name
		}
	}
	return ""
}

// frames returns the frames of the thread, with the error that came at last.
func (p *program) frames(u *Unwinder) (frames []Frame, err error) {
	p.tb.Helper()
	_, pc, registers := p.registers()
	for f, err := range u.Frames(pc, registers) {
		frames = append(frames, f)
		if err != nil {
			return frames, err
		}
	}
	return frames, nil
}

func (p *program) unwinder() *Unwinder {
	p.tb.Helper()
	machine, _, _ := p.registers()
	return New(machine, p.memory, p.table)
}

// calls names the functions of frames, without those of libraries.
func (p *program) calls(frames []Frame) string {
	var names []string
	for _, f := range frames {
		if name := p.function(f); strings.HasPrefix(name, "f_") || name == "main" || name == "_start" {
			if f.Interrupted {
				name = "!" + name
			}
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}
