package machcompat

import (
	"encoding/binary"
	"errors"
	"os"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// caller makes system calls in a task: mmap, mprotect and munmap of the memory
// that the task has.
type caller interface {
	mprotect(start, length uint64, prot procmaps.Perms) error
	mmap(start, length uint64, flags int) (uint64, error)
	munmap(start, length uint64) error
}

// errNoInstruction means that nothing that the task has mapped can make a system
// call.
var errNoInstruction = errors.New("no system call instruction is mapped in the process")

// withCaller stops the task and runs f with what makes system calls in it, to
// change the memory from start to end. A task that is this process needs no stop.
func (t *Task) withCaller(start, end uint64, f func(caller) error) error {
	if t.pid == os.Getpid() {
		return f(ownCaller{})
	}
	const attempts = 20
	for i := 0; ; i++ {
		err := t.withRemote(start, end, f)
		// Another stop finds the threads elsewhere.
		if !errors.Is(err, ptrace.ErrNoThread) || i == attempts {
			return err
		}
	}
}

func (t *Task) withRemote(start, end uint64, f func(caller) error) error {
	session, release, err := t.stop()
	if err != nil {
		return err
	}
	defer release()
	if err := t.maps.Alive(); err != nil {
		return err
	}
	return f(&remoteCaller{task: t, session: session, start: start, end: end})
}

// remoteCaller makes system calls in a stopped thread of another process. The
// thread is taken when the first call is made.
type remoteCaller struct {
	task       *Task
	session    *ptrace.Session
	start, end uint64 // what the calls change
	thread     *ptrace.Borrowed
	place      uint64
}

func (c *remoteCaller) call(function ptrace.Function, arguments ...uint64) (uint64, error) {
	if c.thread == nil {
		thread, err := c.session.Borrow(c.task.readWord)
		if err != nil {
			return 0, err
		}
		if c.place, err = c.openWayBack(thread); err != nil {
			c.place, err = c.task.code(thread.ABI.Instruction)
		}
		if err != nil {
			return 0, err
		}
		c.thread = thread
	}
	return c.thread.Call(c.place, function, arguments...)
}

func (c *remoteCaller) mprotect(start, length uint64, prot procmaps.Perms) error {
	_, err := c.call(ptrace.Mprotect, start, length, uint64(prot))
	return err
}

func (c *remoteCaller) mmap(start, length uint64, flags int) (uint64, error) {
	const prot, noFile = unix.PROT_READ | unix.PROT_WRITE, ^uint64(0)
	return c.call(ptrace.Mmap, start, length, prot, uint64(flags|unix.MAP_PRIVATE|unix.MAP_ANONYMOUS), noFile, 0)
}

func (c *remoteCaller) munmap(start, length uint64) error {
	_, err := c.call(ptrace.Munmap, start, length)
	return err
}

// ownCaller makes them in this process.
type ownCaller struct{}

func (ownCaller) mprotect(start, length uint64, prot procmaps.Perms) error {
	return linux.Mprotect(start, length, int(prot))
}

func (ownCaller) mmap(start, length uint64, flags int) (uint64, error) {
	return linux.Mmap(start, length, unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
}

func (ownCaller) munmap(start, length uint64) error { return linux.Munmap(start, length) }

// readWord reads 8 bytes of the stopped task.
func (t *Task) readWord(address uint64) (uint64, error) {
	var word [8]byte
	if err := t.peek(address, word[:]); err != nil {
		return 0, err
	}
	return binary.NativeEndian.Uint64(word[:]), nil
}

// peek reads memory of the stopped task whatever its protection, where the file
// can be opened for that: with CAP_SYS_PTRACE alone that of another user can't.
func (t *Task) peek(address uint64, p []byte) error {
	memory, err := t.memoryIfAllowed()
	if err == nil {
		_, err = t.readRaw(memory, []pwrite.Segment{{Address: address, Data: p}})
	}
	return err
}

// poke writes memory of the stopped task that it may write.
func (t *Task) poke(address uint64, p []byte) error {
	memory, err := t.memoryIfAllowed()
	if err != nil {
		return err
	}
	segments := []pwrite.Segment{{Address: address, Data: p}}
	if memory == nil {
		_, err = t.vm.Write(segments)
	} else {
		_, err = memory.Write(segments)
	}
	return err
}

// memoryIfAllowed returns nil where the file can't be opened and
// process_vm_readv and process_vm_writev can stand in for it.
func (t *Task) memoryIfAllowed() (*pwrite.ProcMem, error) {
	memory, err := t.procMem()
	if errors.Is(err, unix.EACCES) && t.settings.backend != ProcMem {
		return nil, nil
	}
	return memory, err
}
