package machcompat

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vmwrite/vmwrite/internal/diagnose"
	"github.com/vmwrite/vmwrite/internal/inject"
	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// The names of the operations, as they stand in [Error].
const (
	opTaskForPID = "task_for_pid"
	opWrite      = "vm_write"
	opRead       = "vm_read"
	opRegion     = "vm_region"
)

// Task is an open hold on one process and on one address space: that which the
// process had when [TaskForPID] was called. When the process exits, or runs
// another program, every call fails with KERN_INVALID_ARGUMENT; a Task never
// goes over to a process that got the same pid.
//
// All methods may be called at the same time from many goroutines. Writes that
// overlap in time and place leave either's bytes.
//
// Where a call stops the target's threads (see [StopPolicy]), it is their tracer
// for that moment: a wait for the target in this program, such as that of
// os/exec, may take the stop for an end.
type Task struct {
	pid      int
	settings settings
	maps     *procmaps.Maps
	vm       pwrite.ProcessVM

	// vmRefused is set once the kernel or a seccomp filter has refused
	// process_vm_writev, or it no longer finds the process, under backend Auto.
	vmRefused atomic.Bool

	memory struct {
		sync.Mutex
		file *pwrite.ProcMem // opened when first needed
	}

	suspended suspension
	known     inject.Known // what makes system calls in the task

	// open is held for reading by each call, so that Close can't close a file,
	// and another open get its number, under a call.
	open   sync.RWMutex
	closed bool
	pidfd  int // -1 where the kernel has none
}

// TaskForPID takes hold of the process pid (Mach's task_for_pid). The kernel
// must allow the caller to trace it (PTRACE_MODE_ATTACH in ptrace(2)), which is
// tried here without changing anything.
//
// The error is an [*Error] with KERN_FAILURE: no such process, a zombie, a
// kernel thread, or no permission, which Hint then explains; with
// KERN_NOT_SUPPORTED when the kernel or a sandbox refuses the backend that was
// asked for; or with KERN_INVALID_ARGUMENT for options that contradict each
// other.
func TaskForPID(pid int, opts ...Option) (*Task, error) {
	t := &Task{pid: pid, vm: pwrite.ProcessVM{PID: pid}, pidfd: -1}
	t.settings.stopTimeout = DefaultStopTimeout
	for _, opt := range opts {
		opt(&t.settings)
	}
	if t.settings.atomic && t.settings.stop == StopNever {
		return nil, &Error{Op: opTaskForPID, PID: pid, Code: KERN_INVALID_ARGUMENT, Err: errors.New("atomic writes need the target stopped, and the options forbid to stop it")}
	}
	if err := t.acquire(); err != nil {
		t.release()
		e := &Error{Op: opTaskForPID, PID: pid, Code: KERN_FAILURE, Err: err}
		e.explain()
		return nil, e
	}
	return t, nil
}

// acquire opens what t holds. The pidfd comes first: as long as it lives, the
// pid was not given to another process, so what was opened by pid meanwhile is
// of the same one.
func (t *Task) acquire() (err error) {
	if t.pid <= 0 {
		return unix.ESRCH
	}
	if t.pidfd, err = unix.PidfdOpen(t.pid, 0); err != nil {
		t.pidfd = -1
		switch err {
		case unix.ENOSYS, unix.EPERM: // before Linux 5.3, or refused by a seccomp filter
		case unix.EINVAL, unix.ENOENT:
			return fmt.Errorf("%d is a thread, not a process: %w", t.pid, err)
		default:
			return err
		}
	}
	if err := t.confirmProc(); err != nil {
		return err
	}
	if t.maps, err = openMaps(t.pid, t.settings.mapSource); err != nil {
		if errors.Is(err, unix.ESRCH) || (errors.Is(err, unix.ENOENT) && unix.Kill(t.pid, 0) == unix.ESRCH) {
			return unix.ESRCH
		}
		return err
	}
	if err := t.tryAccess(); err != nil {
		return err
	}
	return t.confirmPID()
}

func (t *Task) release() {
	if t.maps != nil {
		t.maps.Close()
	}
	if t.memory.file != nil {
		t.memory.file.Close()
	}
	if t.pidfd >= 0 {
		unix.Close(t.pidfd)
	}
}

var errNoProc = errors.New("no /proc is mounted, or it is of another pid namespace")

// confirmProc makes sure that /proc and the system calls mean the same process
// by the same number: in a container with the host's /proc they do not, and the
// mappings of one process would be checked before a write into another.
func (t *Task) confirmProc() error {
	if t.pidfd < 0 {
		return confirmOwnProc()
	}
	file, err := linux.Open("/proc/self/fdinfo/"+strconv.Itoa(t.pidfd), unix.O_RDONLY)
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%w: %w", errNoProc, err)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(info)) {
		if value, ok := strings.CutPrefix(line, "Pid:"); ok {
			switch shown, _ := strconv.Atoi(strings.TrimSpace(value)); shown {
			case t.pid:
				return nil
			case -1:
				return unix.ESRCH
			}
			return diagnose.ErrForeignProc
		}
	}
	return nil // before Linux 5.4 the line may lack; the pid is confirmed by confirmPID
}

// confirmOwnProc does so where the kernel has no pidfd, by this process alone.
func confirmOwnProc() error {
	self, err := os.Readlink("/proc/self")
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: %w", errNoProc, err)
	case self != strconv.Itoa(os.Getpid()):
		return diagnose.ErrForeignProc
	}
	return nil
}

// tryAccess asks for the right to change the process with a call that can't
// change it: a read of a page that no process has.
func (t *Task) tryAccess() error {
	if t.settings.backend != ProcMem {
		var b [1]byte
		_, err := t.vm.Read([]pwrite.Segment{{Address: 0, Data: b[:]}})
		switch {
		case err == nil || errors.Is(err, unix.EFAULT):
			return nil
		case !processVMRefused(err) && (t.settings.backend == ProcessVM || !t.missesThread(err)):
			return errnoOf(err)
		case t.settings.backend == ProcessVM:
			return err
		}
		t.vmRefused.Store(true)
	}
	_, err := t.procMem()
	return err
}

// confirmPID makes sure that the pid still means the process that is held.
func (t *Task) confirmPID() error {
	if t.pidfd >= 0 {
		if err := unix.PidfdSendSignal(t.pidfd, 0, nil, 0); err == unix.ESRCH {
			return err
		}
	}
	return t.maps.Alive()
}

// procMem returns the process's memory as a file, opened once.
func (t *Task) procMem() (*pwrite.ProcMem, error) {
	t.memory.Lock()
	defer t.memory.Unlock()
	if t.memory.file != nil {
		return t.memory.file, nil
	}
	file, err := openMemory(t.pid)
	if err != nil {
		return nil, err
	}
	// The mappings still live, so the process has not run another program, and
	// what was opened by pid is the memory that they describe.
	if err := t.confirmPID(); err != nil {
		file.Close()
		return nil, err
	}
	t.memory.file = file
	return file, nil
}

// PID returns the process id that t was made with.
func (t *Task) PID() int { return t.pid }

// Backend returns the backend that a write goes through now: [ProcessVM] or
// [ProcMem].
func (t *Task) Backend() Backend { return t.chooseWay().backend }

// Close lets go of the process, after the calls that are under way. A second
// Close returns an error that wraps [ErrClosed].
func (t *Task) Close() error {
	t.open.Lock()
	defer t.open.Unlock()
	if t.closed {
		return ErrClosed
	}
	t.closed = true
	t.suspended.Lock()
	t.suspended.end()
	t.suspended.Unlock()
	t.release()
	return nil
}

// Regions yields the mappings of the task in address order, and stops after an
// error, which is an [*Error]: KERN_INVALID_ARGUMENT when the task is gone,
// KERN_FAILURE when the mappings can't be read.
func (t *Task) Regions() iter.Seq2[procmaps.Mapping, error] {
	return func(yield func(procmaps.Mapping, error) bool) {
		t.open.RLock()
		defer t.open.RUnlock()
		if t.closed {
			yield(procmaps.Mapping{}, &Error{Op: opRegion, PID: t.pid, Code: KERN_INVALID_ARGUMENT, Err: ErrClosed})
			return
		}
		for mapping, err := range t.maps.All() {
			if err != nil {
				err = &Error{Op: opRegion, PID: t.pid, Address: mapping.Start, Code: codeOfErrno(err), Err: err}
			}
			if !yield(mapping, err) {
				return
			}
		}
	}
}
