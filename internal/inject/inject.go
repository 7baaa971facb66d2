// SPDX-License-Identifier: Apache-2.0

// Package inject makes system calls in a process that is stopped: in one of its
// own threads, with an instruction that it has mapped, never one that we wrote.
// The thread is then made what it was.
//
// It stops nothing, which is package ptrace's part, and knows nothing of Mach.
package inject

import (
	"bytes"
	"context"
	"errors"
	"math"
	"time"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// Errors of a call that was not made.
var (
	// ErrNoThread means that every thread is in a state in which it can't be
	// made to do anything: a signal is on its way to it, it runs a restartable
	// sequence, or its system calls are dispatched to itself. Another stop, a moment later, finds another state.
	ErrNoThread = errors.New("no thread of the process is fit to make a system call")
	// ErrSeccomp means that a seccomp filter of the process would or might end
	// it, or refuse, if it made the system call.
	ErrSeccomp = errors.New("a seccomp filter of the process may refuse the call")
	// ErrNoInstruction means that nothing that the process has mapped can make a
	// system call.
	ErrNoInstruction = errors.New("no system call instruction is mapped in the process")
)

// Memory is the memory of a stopped process. Read reads whatever the protection,
// if it can; Write writes what the process itself could write.
type Memory interface {
	Read(address uint64, p []byte) error
	Write(address uint64, p []byte) error
}

// Target is a stopped process.
type Target struct {
	Session *ptrace.Session
	Maps    *procmaps.Maps
	Memory  Memory
	Known   *Known
}

// Caller makes system calls in a stopped process, to change its memory.
//
// An errno of the system call itself is returned as a unix.Errno; EOVERFLOW also
// for an argument that is wider than the thread's word, and ENOSYS for a thread of
// an architecture for which no call can be made. A [ptrace.StopError] says that
// the thread was lost: it was killed, or the call takes longer than the context of
// [Run], whose error it then wraps.
type Caller struct {
	ctx    context.Context
	end    context.CancelFunc // of ctx
	target Target
	thread *thread // nil until the first call
}

// patience bounds what must be done though the context is done.
const patience = 10 * time.Second

// Run runs f, which makes system calls in the target. The first one takes a
// thread, which is given back when f returns, with its registers, its signal mask
// and the system call that the stop interrupted. Run returns the error of f, joined
// with that of giving the thread back.
//
// If this process is killed meanwhile, the thread becomes what it was by its
// restore frame. One that can't have a frame runs on from the wrong place if that
// happens in the middle of a call, and has all signals blocked if it happens before
// the end of f.
//
// Where the caller is the tracer (see [ptrace.Adopt]), the thread is stopped again
// where it was, by a stop that needs no wait. Its last ptrace event message
// (PTRACE_GETEVENTMSG) is lost. A SIGSTOP that comes from elsewhere during a call
// takes effect without the tracer being asked. Without PTRACE_O_TRACESYSGOOD, which
// is the tracer's to set, a kill of this process during a call kills the target.
func Run(ctx context.Context, t Target, f func(*Caller) error) (err error) {
	c := &Caller{ctx: ctx, end: func() {}, target: t}
	defer func() {
		c.end()
		if c.thread == nil {
			return
		}
		if doErr := t.Session.Do(func() { c.giveBack(&err) }); err == nil {
			err = doErr
		}
	}()
	return f(c)
}

// Insist lets the calls that follow be made though the context is done, because what
// was begun must be undone or finished.
func (c *Caller) Insist() {
	c.end()
	c.ctx, c.end = context.WithTimeout(context.WithoutCancel(c.ctx), patience)
}

// Mprotect is mprotect(2).
func (c *Caller) Mprotect(start, length uint64, prot procmaps.Perms) error {
	_, err := c.call(mprotect, start, length, uint64(prot))
	return err
}

// Mmap is mmap(2) of anonymous memory, for which flags say whether it is private.
func (c *Caller) Mmap(start, length uint64, prot procmaps.Perms, flags int) (uint64, error) {
	const noFile = math.MaxUint64
	return c.call(mmap, start, length, uint64(prot), uint64(flags|unix.MAP_ANONYMOUS), noFile, 0)
}

// Munmap is munmap(2).
func (c *Caller) Munmap(start, length uint64) error {
	_, err := c.call(munmap, start, length)
	return err
}

// Madvise is madvise(2).
func (c *Caller) Madvise(start, length uint64, advice int) error {
	_, err := c.call(madvise, start, length, uint64(advice))
	return err
}

// Msync is msync(2).
func (c *Caller) Msync(start, length uint64, flags int) error {
	_, err := c.call(msync, start, length, uint64(flags))
	return err
}

// call has a thread change the memory that its first two arguments describe.
func (c *Caller) call(f function, arguments ...uint64) (result uint64, err error) {
	doErr := c.target.Session.Do(func() { result, err = c.callHere(f, arguments) })
	if doErr != nil {
		return 0, doErr
	}
	return result, err
}

func (c *Caller) callHere(f function, arguments []uint64) (uint64, error) {
	start, length := arguments[0], arguments[1]
	if c.thread != nil && c.thread.frame != nil && c.thread.frame.overlaps(start, length) {
		var err error
		if c.giveBack(&err); err != nil {
			return 0, err
		}
	}
	for c.thread == nil {
		thread, err := c.target.choose()
		if err != nil {
			return 0, err
		}
		if err := thread.begin(); err != nil {
			return 0, err
		}
		settled, err := thread.settle(c.ctx)
		if err != nil {
			return 0, err
		}
		if settled {
			thread.layFrame(start, length)
			c.thread = thread
		}
	}
	return c.thread.call(c.ctx, f, arguments)
}

// giveBack makes the thread what it was, and adds its error to err.
func (c *Caller) giveBack(err *error) {
	// It takes no longer than the thread needs to be scheduled, and must be done
	// though the context has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), patience)
	defer cancel()
	backErr := c.thread.giveBack(ctx)
	c.thread = nil
	if backErr != nil && !errors.Is(*err, backErr) {
		*err = errors.Join(*err, backErr)
	}
}

// choose chooses a thread for system calls: one that sits in a system call before
// any other, because it is between two instructions by any reckoning, and the first
// thread before any other of those.
func (t Target) choose() (*thread, error) {
	var best *thread
	bestFitness := 0
	for _, tid := range t.Session.TIDs() {
		one := &thread{target: t, tid: tid}
		if !one.mayRun() || one.isDispatched() {
			continue
		}
		known, err := one.saved.read(tid)
		if err != nil {
			continue // it died, as a stopped thread may
		}
		if !known {
			return nil, unix.ENOSYS
		}
		if streaming := one.saved.abi.isStreaming; streaming != nil && streaming(tid) {
			continue
		}
		fitness := one.fitness()
		if fitness <= bestFitness {
			continue
		}
		if one.atSystemCall() || !one.inRestartableSequence() {
			best, bestFitness = one, fitness
		}
		if fitness == fittest {
			break
		}
	}
	if best == nil {
		return nil, ErrNoThread
	}
	return best, nil
}

const fittest = 5

// fitness says how well a thread fits a call. One of 32 bits comes last: in a 64-bit
// process, there may be no code for it. Before it comes one that has waited for part
// of a time that it wants to wait: it can't be made to wait for the rest of it by what
// a restore frame restores.
func (t *thread) fitness() int {
	r := &t.saved
	switch in := t.atSystemCall(); {
	case r.abi.word == 4 && !in:
		return 1
	case r.abi.word == 4:
		return 2
	case !in:
		return 4
	case r.callNumber() == r.abi.restart, t.waits():
		return 3
	}
	return fittest
}

// waits reports whether the thread may be in a system call that has waited for part of
// its time, and not yet be about to go on with that by restart_syscall.
func (t *thread) waits() bool {
	const restartsWithBlock = 516 // ERESTART_RESTARTBLOCK of linux/errno.h
	r := &t.saved
	if r.abi.hiddenRestart != nil {
		return r.abi.hiddenRestart(t)
	}
	return r.inSystemCall() && -int64(r.get(r.abi.result)) == restartsWithBlock && r.callNumber() != r.abi.restart
}

// atSystemCall reports whether the thread was stopped in a system call, or right
// before one, as far as can be told.
func (t *thread) atSystemCall() bool {
	if t.saved.abi.original != 0 {
		return t.saved.inSystemCall()
	}
	next := make([]byte, len(t.saved.abi.instruction))
	err := t.target.Memory.Read(t.saved.get(t.saved.abi.pc), next)
	return err == nil && bytes.Equal(next, t.saved.abi.instruction)
}

// mayRun reports whether the thread can be let run without an effect of its own:
// it must not be about to take a signal, nor in the middle of a system call. A
// debugger's own signals, of a breakpoint or of its stop, are for no one else.
func (t *thread) mayRun() bool {
	var err error
	t.before, err = linux.PtraceStopInfo(t.tid)
	if !t.target.Session.Adopted() {
		return err == nil && t.before.IsEvent()
	}
	if told, err := linux.PeekChild(t.tid); err != nil || told.TID != 0 {
		return false // the debugger has not seen this stop
	}
	if err != nil {
		return err == unix.EINVAL // a group-stop without PTRACE_SEIZE
	}
	own := t.before.Signal == int32(unix.SIGTRAP) || t.before.Signal == int32(unix.SIGSTOP)
	return t.before.IsEvent() || own && t.before.IsSignal()
}

// inRestartableSequence reports whether the thread may be in a sequence of
// rseq(2), of which the kernel forgets the place if the thread goes elsewhere.
func (t *thread) inRestartableSequence() bool {
	address, err := linux.PtraceRseqCriticalSection(t.tid)
	if err != nil || address == 0 {
		return false // before Linux 5.13, or none is registered
	}
	var sequence [8]byte
	err = t.target.Memory.Read(address, sequence[:])
	return err != nil || sequence != [8]byte{}
}
