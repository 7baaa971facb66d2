package machcompat

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/vmwrite/vmwrite/internal/inject"
	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// caller makes system calls in a task: mmap, mprotect and munmap of the memory
// that the task has.
type caller interface {
	Mprotect(start, length uint64, prot procmaps.Perms) error
	Mmap(start, length uint64, flags int) (uint64, error)
	Munmap(start, length uint64) error
}

// withCaller stops the task and runs f with what makes system calls in it. A task
// that is this process needs no stop.
func (t *Task) withCaller(f func(caller) error) error {
	if t.pid == os.Getpid() {
		return f(ownCaller{})
	}
	const attempts = 20
	for i := 0; ; i++ {
		err := t.withRemote(f)
		// Another stop finds the threads elsewhere.
		if !errors.Is(err, inject.ErrNoThread) || i == attempts {
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
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	target := inject.Target{Session: session, Maps: t.maps, Memory: stoppedMemory{t}, Known: &t.known}
	return inject.Run(ctx, target, func(c *inject.Caller) error { return f(c) })
}

// callTimeout is how long the system calls in a task may take.
const callTimeout = 10 * time.Second

// ownCaller makes them in this process.
type ownCaller struct{}

func (ownCaller) Mprotect(start, length uint64, prot procmaps.Perms) error {
	return linux.Mprotect(start, length, int(prot))
}

func (ownCaller) Mmap(start, length uint64, flags int) (uint64, error) {
	return linux.Mmap(start, length, unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
}

func (ownCaller) Munmap(start, length uint64) error { return linux.Munmap(start, length) }

// stoppedMemory is the memory of a stopped task.
type stoppedMemory struct{ *Task }

// Read reads whatever the protection, where the file can be opened for that: with
// CAP_SYS_PTRACE alone that of another user can't.
func (t stoppedMemory) Read(address uint64, p []byte) error {
	memory, err := t.memoryIfAllowed()
	if err == nil {
		_, err = t.readRaw(memory, []pwrite.Segment{{Address: address, Data: p}})
	}
	return err
}

// Write writes what the task may write.
func (t stoppedMemory) Write(address uint64, p []byte) error {
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
