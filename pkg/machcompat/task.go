// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmwrite/vmwrite/internal/diagnose"
	"github.com/vmwrite/vmwrite/internal/inject"
	"github.com/vmwrite/vmwrite/internal/poller"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// The names of the operations, as they stand in [Error].
const (
	opTaskForPID = "task_for_pid"
	opWrite      = "vm_write"
	opRead       = "vm_read"
	opCopy       = "vm_copy"
	opRegion     = "vm_region"
	opProtect    = "vm_protect"
	opAllocate   = "vm_allocate"
	opDeallocate = "vm_deallocate"
	opMap        = "vm_map"
	opRemap      = "vm_remap"
	opInherit    = "vm_inherit"
	opBehavior   = "vm_behavior_set"
	opSync       = "vm_msync"
	opAttribute  = "vm_machine_attribute"
	opPageQuery  = "vm_map_page_query"
	opSuspend    = "task_suspend"
	opResume     = "task_resume"
	opTerminate  = "task_terminate"

	opThreads        = "task_threads"
	opThreadSuspend  = "thread_suspend"
	opThreadResume   = "thread_resume"
	opThreadState    = "thread_get_state"
	opSetThreadState = "thread_set_state"
	opThreadInfo     = "thread_info"
)

// isOfMemory reports whether an operation is about a range of memory.
func isOfMemory(op string) bool { return strings.HasPrefix(op, "vm_") }

// Task is an open hold on one process and on one address space: that which the
// process had when [TaskForPID] was called. When the process exits, or runs
// another program, every call fails with KERN_INVALID_ARGUMENT; a Task never
// goes over to a process that got the same pid.
//
// That holds unless a program and the one that follows it have their code, stack
// and heap at the same random addresses, for which the odds are 1 in 2^44 for each
// exec, and 1 in 2^33 for a 32-bit program; or the one that follows says so of
// itself (PR_SET_MM in prctl(2)). Without address space randomization (setarch -R,
// a debugger) it holds unless a program runs itself again with the same arguments
// and environment, erases the random bytes that the kernel gives it, as programs
// written in Go do, and another process is in the middle of a read of its memory
// meanwhile.
//
// All methods may be called at the same time from many goroutines. Of writes that
// overlap in time and place one of the two wins, whole or in part.
//
// Where a call stops the target's threads (see [StopPolicy]), it is their tracer
// for that moment: a wait for the target in this program, such as that of
// os/exec, may take the stop for an end.
//
// A Task that is no longer used is closed by the garbage collector, which ends a
// Suspend, too. It must not be copied.
type Task struct {
	_ noCopy
	*process
	dropped runtime.Cleanup
}

// noCopy has go vet complain about copies.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// process is what a [Task] holds of its process.
type process struct {
	pid      int
	settings settings
	identity identity
	maps     *procmaps.Maps
	vm       pwrite.ProcessVM

	// vmRefused is set once the kernel or a seccomp filter has refused
	// process_vm_writev, or it no longer finds the process, under backend Auto.
	vmRefused atomic.Bool

	memory struct {
		sync.Mutex
		file *pwrite.ProcMem // opened when first needed
	}

	pointerSize atomic.Int32 // 0 until it was asked for

	stops stops
	known inject.Known
	own   sync.Mutex // of system calls that this process makes as the task

	// users counts the owner and the calls that are under way; the last one closes
	// the files. So Close waits for no call, and no call finds a file closed, or
	// its number given to another file.
	users atomic.Int64
}

// closed is set in process.users by Close.
const closed = math.MinInt64

// enter begins a call. It returns false if the Task is closed, as one of zeros is.
func (t *Task) enter() bool { return t != nil && t.process.enter() }

func (p *process) enter() bool {
	for p != nil {
		n := p.users.Load()
		if n < 0 {
			return false
		}
		if p.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

// leave ends a call.
func (p *process) leave() {
	if p.users.Add(-1) == closed {
		p.release()
	}
}

// TaskForPID takes hold of the process pid (Mach's task_for_pid). The kernel
// must allow the caller to trace it (PTRACE_MODE_ATTACH in ptrace(2)), which is
// tried here without changing anything. While the process is about to run a program
// (execve(2)) it is waited for, no longer than a second.
//
// The error is an [*Error] with KERN_FAILURE: no such process, a zombie or a
// kernel thread (ESRCH), or no permission (EPERM, EACCES), which Hint then
// explains; with KERN_NOT_SUPPORTED when the kernel or a sandbox refuses the
// backend that was asked for; or with KERN_INVALID_ARGUMENT for [Atomic] together
// with [StopNever].
func TaskForPID(pid int, opts ...Option) (*Task, error) {
	settings := settings{stopTimeout: DefaultStopTimeout}
	for _, opt := range opts {
		opt(&settings)
	}
	if settings.atomic && settings.stop == StopNever {
		return nil, &Error{Op: opTaskForPID, PID: pid, Code: KERN_INVALID_ARGUMENT, Err: errors.New("atomic writes need the target stopped, and the options forbid to stop it")}
	}
	p, err := openProcess(pid, settings)
	// One that is there all the same is about to run a program, of which nothing can be told yet.
	for end := time.Now().Add(longestStart); errors.Is(err, unix.ESRCH) && isRunning(pid) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
		p, err = openProcess(pid, settings)
	}
	if err != nil {
		e := &Error{Op: opTaskForPID, PID: pid, Code: KERN_FAILURE, Err: err}
		if errors.Is(err, pwrite.ErrRefused) {
			e.Code = KERN_NOT_SUPPORTED
		}
		if reason, ok := diagnose.Why(pid, err); ok {
			e.Hint = reason.Text
		}
		return nil, e
	}
	p.users.Store(1)
	t := &Task{process: p}
	t.dropped = runtime.AddCleanup(t, func(p *process) { go p.close() }, p)
	return t, nil
}

// longestStart is for how long execve(2) is waited for, in the middle of which the program
// has no code yet.
const longestStart = time.Second

// isRunning reports whether a process is there that runs programs, and has not ended.
func isRunning(pid int) bool {
	stat, err := procstatus.ReadStat(pid, pid)
	return err == nil && stat.Flags&procstatus.PF_KTHREAD == 0 && stat.State != 'Z' && stat.State != 'X'
}

func openProcess(pid int, settings settings) (*process, error) {
	p := &process{pid: pid, settings: settings, vm: pwrite.ProcessVM{PID: pid}, identity: identity{stat: -1}}
	p.stops.opening = make(chan struct{}, 1)
	if err := p.acquire(); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// acquire opens what p holds. A pidfd comes first: as long as its process lives,
// the pid was not given to another one, so what was opened by pid meanwhile is of
// the same process.
func (p *process) acquire() error {
	if p.pid <= 0 || p.pid > math.MaxInt32 {
		return unix.ESRCH
	}
	pidfd, err := unix.PidfdOpen(p.pid, 0)
	switch err {
	case nil:
		defer unix.Close(pidfd)
		err = confirmProc(p.pid, pidfd)
	case unix.ENOSYS, unix.EPERM: // before Linux 5.3, or refused by a seccomp filter
		pidfd, err = -1, confirmOwnProc()
	case unix.EINVAL, unix.ENOENT:
		err = fmt.Errorf("%d is a thread, not a process: %w", p.pid, err)
	}
	if err != nil {
		return err
	}
	// What the process is is noted before its mappings are opened, and confirmed
	// afterwards, so that both are of one program.
	if err = p.identity.open(p.pid); err == nil {
		p.maps, err = openMaps(p.pid, p.settings.mapSource)
	}
	if err != nil {
		if errors.Is(err, unix.ESRCH) || (errors.Is(err, unix.ENOENT) && !diagnose.Exists(p.pid)) {
			return unix.ESRCH
		}
		return err
	}
	p.identity.maps = p.maps
	if err := p.tryAccess(); err != nil {
		return err
	}
	if pidfd >= 0 && unix.PidfdSendSignal(pidfd, 0, nil, 0) == unix.ESRCH {
		return unix.ESRCH
	}
	return p.identity.confirm()
}

func (p *process) release() {
	if p.maps != nil {
		p.maps.Close()
	}
	if p.memory.file != nil {
		p.memory.file.Close()
	}
	p.identity.close()
}

var errNoProc = errors.New("no /proc is mounted, or it is of another pid namespace")

// confirmProc makes sure that /proc and the system calls mean the same process
// by the same number: in a container with the host's /proc they do not, and the
// mappings of one process would be checked before a write into another.
func confirmProc(pid, pidfd int) error {
	var text [1024]byte
	n, err := poller.Read("/proc/self/fdinfo/"+strconv.Itoa(pidfd), text[:])
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%w: %w", errNoProc, err)
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text[:n])) {
		if value, ok := strings.CutPrefix(line, "Pid:"); ok {
			switch shown, _ := strconv.Atoi(strings.TrimSpace(value)); shown {
			case pid:
				return nil
			case -1:
				return unix.ESRCH
			}
			return diagnose.ErrForeignProc
		}
	}
	return nil // before Linux 5.4 the line may lack; the pid is confirmed by acquire
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
func (p *process) tryAccess() error {
	if p.settings.backend != ProcMem {
		// EFAULT is the answer to who has the right, so that pwrite need not find out
		// whose memory it was that faulted.
		var b [1]byte
		local, remote := [1]unix.Iovec{{Base: &b[0]}}, [1]unix.RemoteIovec{{Len: 1}}
		local[0].SetLen(1)
		if _, err := unix.ProcessVMReadv(p.pid, local[:], remote[:], 0); err == unix.EFAULT {
			return nil
		}
		_, err := p.vm.Read([]pwrite.Segment{{Address: 0, Data: b[:]}})
		switch {
		case err == nil || errors.Is(err, unix.EFAULT):
			return nil
		case p.settings.backend == ProcessVM && errors.Is(err, pwrite.ErrRefused):
			return err
		case !p.leavesProcessVM(err):
			return errnoOf(err)
		}
	}
	_, err := p.procMem()
	return err
}

// procMem returns the process's memory as a file, opened once.
func (p *process) procMem() (*pwrite.ProcMem, error) {
	p.memory.Lock()
	defer p.memory.Unlock()
	if p.memory.file != nil {
		return p.memory.file, nil
	}
	file, err := openMemory(p.pid)
	if err != nil {
		return nil, err
	}
	// The process still runs the same program, and so it did when the file was
	// opened by pid.
	if err := p.identity.confirm(); err != nil {
		file.Close()
		return nil, err
	}
	p.memory.file = file
	return file, nil
}

// A process lives on when its first thread ends before the others. The kernel
// then finds no memory by the process's number: not in /proc/PID, whose files belong
// to root then, and not for process_vm_writev. It does by the number of a thread that
// lives.

// throughThread opens a file of /proc/PID, and if the first thread has ended,
// that of another thread. A thread that is listed before and after is the same
// one: its number was not given to another process meanwhile.
func throughThread[T io.Closer](pid int, open func(id int) (T, error)) (T, error) {
	file, err := open(pid)
	ended := errors.Is(err, unix.ESRCH)
	if errors.Is(err, unix.EACCES) {
		first, statErr := procstatus.ReadStat(pid, pid)
		ended = statErr == nil && first.State == 'Z'
	}
	if !ended {
		return file, err
	}
	tryThreads(pid, func(tid int) bool {
		other, openErr := open(tid)
		if openErr != nil {
			return false // it has ended too
		}
		if _, statErr := procstatus.ReadStat(pid, tid); statErr != nil {
			other.Close()
			return false
		}
		file, err = other, nil
		return true
	})
	return file, err
}

// tryThreads tries the threads of a process but its first one, until one will do.
// Threads that come and go may leave none to be found in a list of them.
func tryThreads(pid int, try func(tid int) bool) (err error) {
	const lists = 100
	for range lists {
		var tids []int
		tids, err = procstatus.Threads(pid)
		for _, tid := range tids {
			if tid != pid && try(tid) {
				return nil
			}
		}
		if len(tids) < 2 {
			break
		}
	}
	return err
}

func openMaps(pid int, source procmaps.Source) (*procmaps.Maps, error) {
	return throughThread(pid, func(id int) (*procmaps.Maps, error) {
		return procmaps.Open(id, procmaps.WithSource(source))
	})
}

func openMemory(pid int) (*pwrite.ProcMem, error) {
	return throughThread(pid, func(id int) (*pwrite.ProcMem, error) {
		file, err := pwrite.OpenProcMem(id)
		if err != nil {
			return nil, err
		}
		// Some kernels open the file of a thread that has ended, with no memory
		// behind it.
		var b [1]byte
		if _, err := file.Read([]pwrite.Segment{{Address: 0, Data: b[:]}}); errors.Is(err, pwrite.ErrGone) {
			file.Close()
			return nil, err
		}
		return file, nil
	})
}

// PID returns the process id that t was made with.
func (t *Task) PID() int {
	if t == nil || t.process == nil {
		return 0
	}
	return t.pid
}

// Backend returns the backend that a write goes through now: [ProcessVM] or
// [ProcMem].
func (t *Task) Backend() Backend {
	if t.PID() != 0 && !t.usesProcessVM(nil) {
		return ProcMem
	}
	return ProcessVM
}

// Close lets go of the process. Calls that are under way come to their end, and
// Close does not wait for them; later ones fail with an error that wraps
// [ErrClosed], and so does a second Close.
func (t *Task) Close() error {
	if t.PID() == 0 || !t.process.close() {
		return ErrClosed
	}
	t.dropped.Stop()
	return nil
}

// close does so, once. What suspends the task meanwhile finds it closed.
func (p *process) close() bool {
	for {
		n := p.users.Load()
		if n < 0 {
			return false
		}
		if p.users.CompareAndSwap(n, n+closed) {
			break
		}
	}
	for p.resume() {
	}
	p.resumeThreads()
	p.leave()
	return true
}
