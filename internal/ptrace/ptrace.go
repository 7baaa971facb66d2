// Package ptrace stops all threads of another process for a moment and lets
// them go on as they were: ptrace(2) with PTRACE_SEIZE.
//
// The stopped process is never left worse off. Its threads are seized without
// PTRACE_O_EXITKILL and their stops are looked at without being consumed, so
// when this process dies, by kill -9 too, the kernel lets them go on and
// delivers every signal that was on its way.
//
// It knows nothing of memory or of Mach, and must not learn it.
package ptrace

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/vmwrite/vmwrite/internal/linux"
	"golang.org/x/sys/unix"
)

// ErrTimeout means that a thread did not stop in time. It sits in the kernel
// where nothing interrupts it: waiting for a disk, or for the child of a vfork.
var ErrTimeout = errors.New("the thread does not stop")

// StopError says which thread could not be stopped. It wraps the errno of
// ptrace(2) (EPERM: no right, or already traced; ESRCH: no such process), or
// [ErrTimeout].
type StopError struct {
	TID int
	Err error
}

// Error names the thread and the reason.
func (e *StopError) Error() string { return fmt.Sprintf("stopping thread %d: %v", e.TID, e.Err) }

// Unwrap returns the reason.
func (e *StopError) Unwrap() error { return e.Err }

// Session is a process all of whose threads are stopped.
type Session struct {
	pid     int
	threads map[int]*thread
	resume  chan struct{} // closed to let the process go on
	done    chan struct{} // closed when it does, but for what an ended tracer leaves to the kernel
	tracer  int           // our thread that traces, when it ends to let go; else 0
	closed  bool
	endTurn func()
}

// thread is a thread that this session has seized.
type thread struct {
	stopped bool
	signal  unix.Signal // what the stop holds back; delivered when it goes on
}

// Stop stops every thread of the process pid, those too that are created
// meanwhile, and returns when all have stopped. While another session of this
// program is on the process, it waits for that to end. A process that shares the
// memory without being one of the threads (CLONE_VM without CLONE_THREAD, or
// the child of a vfork) is not stopped. On an error all threads go on.
//
// A wait for the process from elsewhere in this program (os/exec's Cmd.Wait)
// can return early while the process is stopped, because the kernel reports
// the stop to it.
func Stop(pid int, timeout time.Duration) (*Session, error) {
	s := &Session{
		pid:     pid,
		threads: map[int]*thread{},
		resume:  make(chan struct{}),
		done:    make(chan struct{}),
		endTurn: takeTurn(pid),
	}
	stopped := make(chan error, 1)
	go s.trace(time.Now().Add(timeout), stopped)
	if err := <-stopped; err != nil {
		s.awaitEnd()
		return nil, err
	}
	return s, nil
}

// Resume lets the process go on and returns when it does. A second call does
// nothing.
func (s *Session) Resume() {
	if !s.closed {
		s.closed = true
		close(s.resume)
		s.awaitEnd()
	}
}

// awaitEnd waits until the process is let go.
func (s *Session) awaitEnd() {
	<-s.done
	for i := 0; i < 1000 && s.tracer != 0 && unix.Tgkill(os.Getpid(), s.tracer, 0) == nil; i++ {
		time.Sleep(time.Millisecond)
	}
	s.endTurn()
}

// trace is the life of a session, on one thread of ours as ptrace(2) wants it.
func (s *Session) trace(deadline time.Time, stopped chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// The main thread can't be ended, which is the last resort below. While
		// it is locked here, the next goroutine runs on another thread.
		go s.trace(deadline, stopped)
		<-s.done
		runtime.UnlockOSThread()
		return
	}
	err := s.stopAll(deadline)
	if err == nil {
		stopped <- nil
		<-s.resume
	}
	if s.release() {
		runtime.UnlockOSThread()
	} else {
		// This goroutine ends with its thread locked, which ends the thread, and
		// the kernel lets go of everything that an ended thread traced.
		s.tracer = unix.Gettid()
	}
	close(s.done)
	if err != nil {
		stopped <- err
	}
}

// stopAll seizes and stops threads until a look at the list shows none that is
// not stopped. A thread that still runs may have created one since the last
// look; a stopped one can't.
func (s *Session) stopAll(deadline time.Time) error {
	for {
		fresh, err := s.seizeNew()
		if err != nil {
			return err
		}
		if len(fresh) == 0 {
			break
		}
		for _, tid := range fresh {
			if err := s.awaitStop(tid, deadline); err != nil {
				return err
			}
		}
	}
	if len(s.threads) == 0 {
		return &StopError{TID: s.pid, Err: unix.ESRCH}
	}
	return nil
}

// seizeNew seizes and interrupts the threads that are not seized yet.
func (s *Session) seizeNew() (fresh []int, err error) {
	tids, err := threadsOf(s.pid)
	if err != nil {
		return nil, err
	}
	for _, tid := range tids {
		if s.threads[tid] != nil {
			continue
		}
		err := unix.PtraceSeize(tid)
		if err == nil {
			s.threads[tid] = &thread{}
			fresh = append(fresh, tid)
			err = unix.PtraceInterrupt(tid)
		}
		if err != nil && err != unix.ESRCH && !isDead(s.pid, tid) {
			return nil, &StopError{TID: tid, Err: err}
		}
	}
	return fresh, nil
}

// awaitStop waits until tid has stopped or is gone.
func (s *Session) awaitStop(tid int, deadline time.Time) error {
	for pause := time.Duration(0); ; pause = min(pause+pause/4+time.Microsecond, time.Millisecond) {
		state, err := linux.PeekChild(tid)
		switch {
		case err == unix.ECHILD || state.Code == linux.CLD_EXITED || state.Code == linux.CLD_KILLED || state.Code == linux.CLD_DUMPED:
			return nil // gone; release sees to what is left of it
		case err != nil && err != unix.EINTR:
			return &StopError{TID: tid, Err: err}
		case state.TID != 0:
			s.threads[tid].stopped = true
			if event := state.Status >> 8; event == 0 {
				s.threads[tid].signal = unix.Signal(state.Status & 0x7f)
			}
			return nil
		}
		if time.Now().After(deadline) {
			return &StopError{TID: tid, Err: ErrTimeout}
		}
		if pause < 20*time.Microsecond {
			runtime.Gosched()
		} else {
			time.Sleep(pause)
		}
	}
}

// release lets all threads go on. It returns false when one of them was not in
// a stop that it could end.
func (s *Session) release() (clean bool) {
	clean = true
	for tid, t := range s.threads {
		if !t.stopped || linux.PtraceDetach(tid, t.signal) != nil {
			clean = false
		}
	}
	return clean
}

// threadsOf lists the threads of a process, dead ones too.
func threadsOf(pid int) ([]int, error) {
	directory, err := os.Open("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return nil, &StopError{TID: pid, Err: err}
	}
	defer directory.Close()
	names, err := directory.Readdirnames(-1)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ESRCH) {
		return nil, &StopError{TID: pid, Err: err}
	}
	tids := make([]int, 0, len(names))
	for _, name := range names {
		if tid, err := strconv.Atoi(name); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids, nil
}
