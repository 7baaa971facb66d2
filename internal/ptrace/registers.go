// SPDX-License-Identifier: Apache-2.0

package ptrace

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
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
	Flags    uint64 // RFLAGS of x86, PSTATE of arm64
	// Selectors are cs, ss, ds, es, fs and gs of x86, nil elsewhere. They can't be set.
	Selectors []uint64
	// Sequence is the address of the thread's pointer to the descriptor of the restartable
	// sequence that it runs (rseq(2)): rseq_cs of the uapi header linux/rseq.h. It is 0 if
	// it has registered none, or the kernel can't tell.
	Sequence uint64

	read   uint64 // PC as it was read
	number uint64 // of the system call that is made again, where Again is not 0
	rest   uint64 // where a wait ends that goes on with its rest, by restart_syscall; 0 for none
}

// AtSystemCall returns the registers as they are when the system call that the stop has
// interrupted is about to be made again: with the instruction next that makes it, as the
// kernel of arm64 shows them anyway. One that goes on with the rest of a wait, as can only
// be where the thread stands now, has ended with EINTR instead. These registers can be set
// at any later time.
func (r Registers) AtSystemCall() Registers {
	interrupted := int64(unix.EINTR)
	result := uint64(-interrupted)
	switch {
	case r.rest != 0:
		r.PC = r.rest
	case r.Again != 0:
		r.PC, result = r.Again, r.number
	default:
		return r
	}
	r.Numbered = slices.Clone(r.Numbered)
	switch last := len(r.Numbered) - 1; r.Machine { // x86 has PC there
	case elf.EM_386:
		r.Numbered[0], r.Numbered[last] = uint64(uint32(result)), r.PC
	case elf.EM_X86_64:
		r.Numbered[0], r.Numbered[last] = result, r.PC
	default:
		r.Numbered[0] = result
	}
	r.read, r.Again, r.rest = r.PC, 0, 0
	return r
}

// registerSet is what NT_PRSTATUS shows of a thread of one machine: which it is, is told
// by the size.
type registerSet struct {
	machine          elf.Machine
	words, width     int
	pc               int   // places of registers, in words
	numbered         []int // by DWARF number
	flags            int
	selectors        []int
	original, result int    // the system call, and what it returned; the first is 0 for none
	callNumber       int    // where a system call has its number, by DWARF number
	arguments        []int  // of the system call, by DWARF number
	systemCall       string // the instruction that makes one
	restart          uint64 // the number of restart_syscall
	// Calls that may have waited for part of a time, where the kernel keeps that for itself.
	waits []uint64
	// Bits of the flags that say that a branch has led to the next instruction.
	branched uint64
}

var registerSets = []registerSet{
	{ // user_regs_struct: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ...
		machine: elf.EM_X86_64, words: 27, width: 8, pc: 16,
		numbered: []int{10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16},
		flags:    18, selectors: []int{17, 20, 23, 24, 25, 26},
		original: 15, result: 10, arguments: []int{5, 4, 1, 10, 8, 9}, systemCall: "\x0f\x05", restart: 219,
	},
	{ // ebx ecx edx esi edi ebp eax xds xes xfs xgs orig_eax eip xcs eflags esp xss
		machine: elf.EM_386, words: 17, width: 4, pc: 12,
		numbered: []int{6, 1, 2, 0, 15, 5, 3, 4, 12},
		flags:    14, selectors: []int{13, 16, 7, 8, 9, 10},
		original: 11, result: 6, arguments: []int{3, 1, 2, 6, 7, 5}, systemCall: "\xcd\x80",
	},
	{ // user_pt_regs: x0 to x30 sp pc pstate. The kernel shows a thread that makes a call again as it comes to that.
		machine: elf.EM_AARCH64, words: 34, width: 8, pc: 32,
		numbered: []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31},
		flags:    33, branched: 3 << 10, callNumber: 8, arguments: []int{0, 1, 2, 3, 4, 5}, systemCall: "\x01\x00\x00\xd4", restart: 128,
		waits: []uint64{98, 101, 115, 128}, // futex nanosleep clock_nanosleep restart_syscall
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
	var data [registersRoom]byte
	set, err := readSet(tid, &data)
	if err == nil {
		r = set.read(tid, data[:])
		r.Sequence, _ = linux.PtraceRseqCriticalSection(tid)
	}
	return r, err
}

const registersRoom = 512 // more than any set takes

// readSet reads the registers of a thread as the kernel shows them.
func readSet(tid int, data *[registersRoom]byte) (registerSet, error) {
	size, err := linux.PtraceRegisterSet(tid, unix.NT_PRSTATUS, data[:])
	if err != nil {
		return registerSet{}, err
	}
	for _, set := range registerSets {
		if set.words*set.width == size {
			return set, nil
		}
	}
	return registerSet{}, ErrMachine
}

func (set registerSet) get(data []byte, place int) uint64 {
	if set.width == 4 {
		return uint64(binary.NativeEndian.Uint32(data[place*4:]))
	}
	return binary.NativeEndian.Uint64(data[place*8:])
}

func (set registerSet) put(data []byte, place int, value uint64) {
	if set.width == 4 {
		binary.NativeEndian.PutUint32(data[place*4:], uint32(value))
		return
	}
	binary.NativeEndian.PutUint64(data[place*8:], value)
}

func (set registerSet) read(tid int, data []byte) Registers {
	r := Registers{Machine: set.machine, PC: set.get(data, set.pc), Flags: set.get(data, set.flags)}
	r.read = r.PC
	for _, place := range set.numbered {
		r.Numbered = append(r.Numbered, set.get(data, place))
	}
	for _, place := range set.selectors {
		r.Selectors = append(r.Selectors, set.get(data, place))
	}
	switch made := set.original != 0 && int32(set.get(data, set.original)) >= 0; {
	case made && restarts(int32(set.get(data, set.result))):
		r.Again, r.number = r.PC-uint64(len(set.systemCall)), set.get(data, set.original)
		if r.number == set.restart {
			r.rest = r.PC
		}
	case !made && r.Numbered[set.callNumber] == set.restart && comesTo(tid, r.PC, set.systemCall):
		r.rest = r.PC + uint64(len(set.systemCall))
	}
	return r
}

// comesTo reports whether a thread comes to an instruction.
func comesTo(tid int, pc uint64, instruction string) bool {
	var code [8]byte
	n, err := unix.PtracePeekText(tid, uintptr(pc), code[:len(instruction)])
	return err == nil && string(code[:n]) == instruction
}

// ErrRegisters means that registers are none that a thread can have.
var ErrRegisters = errors.New("the thread can't have such registers")

// ErrWaits means that a thread of arm64 waits for a time where it is to make another system
// call, by the same instruction. The kernel would go on with the wait instead.
var ErrWaits = errors.New("the thread waits for a time by the instruction that is to make another system call")

// SetRegisters sets PC, Flags and Numbered, but for another PC in that, of a stopped
// thread. What was read and is not changed sets the thread back to where it was, also into
// a system call that the stop interrupted: see AtSystemCall. Where PC is changed, no call
// is made again. The error is a [StopError].
func (s *Session) SetRegisters(tid int, r Registers) (err error) {
	doErr := s.Do(func() {
		if err = writeRegisters(tid, r); err != nil {
			err = &StopError{TID: tid, Err: err}
		}
	})
	return errors.Join(doErr, err)
}

func writeRegisters(tid int, r Registers) error {
	var data [registersRoom]byte
	set, err := readSet(tid, &data)
	switch {
	case err != nil:
		return err
	case r.Machine != set.machine || len(r.Numbered) != len(set.numbered):
		return ErrRegisters
	}
	now := set.read(tid, data[:])
	if r.PC == r.read && (r.rest != 0 || restarts(int32(r.Numbered[0]))) {
		r = r.AtSystemCall()
	}
	// Where the thread is, it may go on with the rest of a wait. Else the kernel would make
	// the system call again that the stop has interrupted.
	goesOn := set.goesOn(now, r)
	differs := func(n int) bool { return r.Numbered[n] != now.Numbered[n] }
	if !goesOn && r.PC == now.PC && slices.Contains(set.waits, now.Numbered[set.callNumber]) && comesTo(tid, now.PC, set.systemCall) &&
		(differs(set.callNumber) || slices.ContainsFunc(set.arguments, differs)) {
		return ErrWaits
	}
	for i, place := range set.numbered {
		set.put(data[:], place, r.Numbered[i])
	}
	if r.PC != now.PC {
		r.Flags &^= set.branched
	}
	set.put(data[:], set.flags, r.Flags)
	set.put(data[:], set.pc, r.PC)
	if goesOn {
		set.put(data[:], set.pc, now.PC)
		set.put(data[:], set.result, now.Numbered[0])
	} else if set.original != 0 {
		set.put(data[:], set.original, ^uint64(0))
	}
	err = linux.PtraceSetRegisterSet(tid, unix.NT_PRSTATUS, data[:set.words*set.width])
	if err == unix.EINVAL || err == unix.EIO {
		err = fmt.Errorf("%w: %w", ErrRegisters, err)
	}
	return err
}

// goesOn reports whether registers stand where a thread is that is about to make a system
// call again.
func (set registerSet) goesOn(now, r Registers) bool {
	shown := now.AtSystemCall()
	differs := func(n int) bool { return r.Numbered[n] != shown.Numbered[n] }
	return (now.Again != 0 || now.rest != 0) && r.PC == shown.PC && !differs(0) && !slices.ContainsFunc(set.arguments, differs)
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

// ErrHeld means that a [Hold] keeps a thread stopped.
var ErrHeld = errors.New("the thread is suspended")

// RunThread lets one thread run for about that time, and stops it again, with every thread
// that it has created meanwhile. It may run another program afterwards, or have ended. A
// single step would be shorter, but leaves a SIGTRAP behind by which the process dies if
// this program is killed before it has told the kernel that it saw the stop.
//
// The error is a [StopError]: [ErrJobControl], [ErrHeld], [ErrNotAdopted] in a stop of the caller's
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
	switch {
	case t == nil:
		return &StopError{TID: tid, Err: unix.ESRCH}
	case t.holds > 0:
		return &StopError{TID: tid, Err: ErrHeld}
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
