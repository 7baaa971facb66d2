// SPDX-License-Identifier: Apache-2.0

package ptrace

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"time"

	"github.com/vmwrite/vmwrite/internal/linux"
	"golang.org/x/sys/unix"
)

// Registers are those of a stopped thread.
type Registers struct {
	Machine elf.Machine // of the code that the thread runs: EM_X86_64, EM_386 or EM_AARCH64
	PC      uint64      // the instruction that comes next
	// Again is the instruction that comes next if the system call in which the thread was
	// stopped is made again; 0 if it is not.
	Again uint64
	// Numbered are the general registers by the numbers that DWARF gives them, up to the
	// return address of x86 and the stack pointer of arm64: the processor supplements of
	// the System V ABI, "DWARF for the Arm 64-bit Architecture".
	Numbered []uint64
	// Sequence is the address of the thread's pointer to the descriptor of the restartable
	// sequence that it runs (rseq(2)): rseq_cs of the uapi header linux/rseq.h. It is 0 if
	// it has registered none, or the kernel can't tell.
	Sequence uint64
}

// registerSet is what NT_PRSTATUS shows of a thread of one machine: which it is, is told
// by the size.
type registerSet struct {
	machine          elf.Machine
	words, width     int
	pc               int   // places of registers, in words
	numbered         []int // by DWARF number
	original, result int   // the system call, and what it returned; both 0 for none
	systemCallSize   uint64
}

var registerSets = []registerSet{
	{ // user_regs_struct: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ...
		machine: elf.EM_X86_64, words: 27, width: 8, pc: 16,
		numbered: []int{10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16},
		original: 15, result: 10, systemCallSize: 2,
	},
	{ // ebx ecx edx esi edi ebp eax xds xes xfs xgs orig_eax eip xcs eflags esp xss
		machine: elf.EM_386, words: 17, width: 4, pc: 12,
		numbered: []int{6, 1, 2, 0, 15, 5, 3, 4, 12},
		original: 11, result: 6, systemCallSize: 2,
	},
	{ // user_pt_regs: x0 to x30 sp pc pstate. The kernel shows a thread that makes a call again as it comes to that.
		machine: elf.EM_AARCH64, words: 34, width: 8, pc: 32,
		numbered: []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31},
	},
}

// ErrMachine means that a thread runs code of a machine that is not known here.
var ErrMachine = errors.New("the registers of the thread are those of an unknown machine")

// Registers returns the registers of a stopped thread. The error is a [StopError].
func (s *Session) Registers(tid int) (r Registers, err error) {
	doErr := s.Do(func() {
		if r, err = readRegisters(tid); err != nil {
			err = &StopError{TID: tid, Err: err}
		}
	})
	return r, errors.Join(doErr, err)
}

func readRegisters(tid int) (r Registers, err error) {
	var data [512]byte
	size, err := linux.PtraceRegisterSet(tid, unix.NT_PRSTATUS, data[:])
	if err != nil {
		return r, err
	}
	for _, set := range registerSets {
		if set.words*set.width == size {
			r = set.read(data[:size])
			r.Sequence, _ = linux.PtraceRseqCriticalSection(tid)
			return r, nil
		}
	}
	return r, ErrMachine
}

func (set registerSet) read(data []byte) Registers {
	get := func(place int) uint64 {
		if set.width == 4 {
			return uint64(binary.NativeEndian.Uint32(data[place*4:]))
		}
		return binary.NativeEndian.Uint64(data[place*8:])
	}
	r := Registers{Machine: set.machine, PC: get(set.pc)}
	for _, place := range set.numbered {
		r.Numbered = append(r.Numbered, get(place))
	}
	if set.original != 0 && int32(get(set.original)) >= 0 && restarts(int32(get(set.result))) {
		r.Again = r.PC - set.systemCallSize
	}
	return r
}

// restarts reports whether a result is one by which the kernel makes a system call again
// that a stop has interrupted: ERESTARTSYS and its like of the kernel's linux/errno.h.
func restarts(result int32) bool {
	switch -result {
	case 512, 513, 514, 516:
		return true
	}
	return false
}

// ErrJobControl means that job control keeps a thread stopped, which only a SIGCONT may
// end.
var ErrJobControl = errors.New("job control keeps the thread stopped")

// RunThread lets one thread run for about that time, and stops it again, with every thread
// that it has created meanwhile. It may run another program afterwards, or have ended. A
// single step would be shorter, but leaves a SIGTRAP behind by which the process dies if
// this program is killed before it has told the kernel that it saw the stop.
//
// The error is a [StopError]: [ErrJobControl], [ErrNotAdopted] in a stop of the caller's
// own, or that of a thread that does not stop before the end of ctx, which then runs.
func (s *Session) RunThread(ctx context.Context, tid int, d time.Duration) (err error) {
	if s.adopted {
		return &StopError{TID: tid, Err: ErrNotAdopted}
	}
	doErr := s.Do(func() { err = s.runThread(ctx, tid, d) })
	return errors.Join(doErr, err)
}

func (s *Session) runThread(ctx context.Context, tid int, d time.Duration) error {
	t := s.threads[tid]
	if t == nil {
		return &StopError{TID: tid, Err: unix.ESRCH}
	}
	stop, err := linux.PtraceStopInfo(tid)
	if err == nil && stop.IsEvent() && stop.Signal != int32(unix.SIGTRAP) {
		err = ErrJobControl
	}
	if err == nil {
		err = unix.PtraceCont(tid, int(t.signal))
	}
	if err != nil {
		return &StopError{TID: tid, Err: err}
	}
	t.stopped, t.signal = false, 0
	if d > 0 {
		pause := unix.NsecToTimespec(d.Nanoseconds())
		_ = unix.Nanosleep(&pause, nil)
	}
	_ = unix.PtraceInterrupt(tid) // if it is gone by now, the next look finds that
	var w waiter
	for !w.long() {
		if gone, err := t.look(s.pid, tid, false); gone || err != nil {
			break
		}
		if t.stopped {
			if s.isWhole() {
				return nil // which is all there is to find out where it has begun no other
			}
			break
		}
		w.wait()
	}
	return s.stopAll(ctx.Err)
}
