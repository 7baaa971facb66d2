package machcompat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"sync"

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

// callPlace remembers where a system call instruction lies in the task.
type callPlace struct {
	sync.Mutex
	address uint64
}

// errNoInstruction means that nothing that the task has mapped can make a system
// call.
var errNoInstruction = errors.New("no system call instruction is mapped in the process")

// withCaller stops the task and runs f with what makes system calls in it. A
// task that is this process needs no stop.
func (t *Task) withCaller(f func(caller) error) error {
	if t.pid == os.Getpid() {
		return f(ownCaller{})
	}
	const attempts = 20
	for i := 0; ; i++ {
		err := t.withRemote(f)
		// Another stop finds the threads elsewhere.
		if !errors.Is(err, ptrace.ErrNoThread) || i == attempts {
			return err
		}
	}
}

func (t *Task) withRemote(f func(caller) error) error {
	session, release, err := t.stop()
	if err != nil {
		return err
	}
	defer release()
	if err := t.maps.Alive(); err != nil {
		return err
	}
	return f(&remoteCaller{task: t, session: session})
}

// remoteCaller makes system calls in a stopped thread of another process. The
// thread is taken when the first call is made.
type remoteCaller struct {
	task    *Task
	session *ptrace.Session
	thread  *ptrace.Borrowed
	place   uint64
}

func (c *remoteCaller) call(function ptrace.Function, arguments ...uint64) (uint64, error) {
	if c.thread == nil {
		thread, err := c.session.Borrow(c.task.readWord)
		if err != nil {
			return 0, err
		}
		if c.place, err = c.task.instruction(thread.ABI.Instruction); err != nil {
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
	memory, err := t.procMem()
	if err != nil && (!errors.Is(err, unix.EACCES) || t.settings.backend == ProcMem) {
		return err
	}
	_, err = t.readRaw(memory, []pwrite.Segment{{Address: address, Data: p}})
	return err
}

// instruction returns where the bytes of an instruction lie in executable memory
// of the stopped task: where they were last time, or in the first mapping that
// has them. The vdso is looked at first, because every program has it.
func (t *Task) instruction(pattern []byte) (uint64, error) {
	t.calls.Lock()
	defer t.calls.Unlock()
	if t.calls.address != 0 {
		found := make([]byte, len(pattern))
		span, ok, err := t.maps.Next(t.calls.address)
		if err == nil && ok && span.Contains(t.calls.address) && span.Perms&procmaps.Execute != 0 && t.peek(t.calls.address, found) == nil && bytes.Equal(found, pattern) {
			return t.calls.address, nil
		}
	}
	var mappings []procmaps.Mapping
	for mapping, err := range t.maps.All() {
		if err != nil {
			return 0, err
		}
		switch {
		case mapping.Perms&procmaps.Execute == 0:
		case mapping.Path == "[vdso]":
			mappings = append([]procmaps.Mapping{mapping}, mappings...)
		default:
			mappings = append(mappings, mapping)
		}
	}
	for _, mapping := range mappings {
		if address, ok := t.search(mapping, pattern); ok {
			t.calls.address = address
			return address, nil
		}
	}
	return 0, errNoInstruction
}

// search looks for pattern in a mapping, page by page.
func (t *Task) search(mapping procmaps.Mapping, pattern []byte) (uint64, bool) {
	page := make([]byte, HostPageSize())
	for at := mapping.Start; at < mapping.End; at += HostPageSize() {
		if t.peek(at, page) != nil {
			continue // beyond the end of its file, say
		}
		if i := bytes.Index(page, pattern); i >= 0 {
			return at + uint64(i), true
		}
	}
	return 0, false
}
