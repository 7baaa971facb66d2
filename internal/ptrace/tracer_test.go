// SPDX-License-Identifier: Apache-2.0

package ptrace

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// stopperVariable makes this test program one that stops a process and holds it:
// "PID stop", "PID hold" to hold its first thread alone, or "PID SIGNAL" to hold it where it
// is about to take that signal.
const stopperVariable = "VMWRITE_TEST_STOPPER"

// asStopper is what the test program does when it was started as a stopper. It
// ends with its standard input, or by kill -9.
func asStopper() bool {
	variable, ok := os.LookupEnv(stopperVariable)
	if !ok {
		return false
	}
	var pid, signal int
	var err error
	if n, _ := fmt.Sscanf(variable, "%d %d", &pid, &signal); n == 2 {
		_, err = seizeInDelivery(pid, unix.Signal(signal))
	} else if strings.HasSuffix(variable, "hold") {
		_, err = holdThread(pid, pid)
	} else {
		_, err = stop(pid, testtarget.Patience)
	}
	if err != nil {
		fmt.Println(err)
		return true
	}
	fmt.Println("stopped")
	io.Copy(io.Discard, os.Stdin)
	return true
}

// startStopper starts this program as one that stops a process, and returns how
// to kill it.
func startStopper(t *testing.T, pid int, what any) (stopper int, kill func()) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %v", stopperVariable, pid, what))
	p := testtarget.StartProcess(t, cmd)
	if line := p.Line(); line != "stopped" {
		t.Fatalf("the stopper says %q", line)
	}
	return p.PID, p.End
}

func TestAProcessThatAnotherOneTracesIsEPERM(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 10")
	stopper, kill := startStopper(t, target.PID, "stop")
	testtarget.WantStopped(t, target.PID, stopper)
	session, err := stop(target.PID, testtarget.Patience)
	if session != nil || !errors.Is(err, unix.EPERM) {
		t.Errorf("Stop = %v, %v; want EPERM", session, err)
	}
	testtarget.WantStopped(t, target.PID, stopper)
	kill()
	mustStop(t, target.PID).Resume()
	testtarget.WantRunning(t, target)
}

func TestKillOfTheTracerLeavesTheProcessRunning(t *testing.T) {
	target := testtarget.StartCatching(t)
	stopper, kill := startStopper(t, target.PID, "stop")
	testtarget.Send(t, target.PID, unix.SIGUSR1)
	testtarget.WantStopped(t, target.PID, stopper)
	kill()
	testtarget.WantRunning(t, target)
	testtarget.WantCaught(t, target, unix.SIGUSR1)
}

func TestKillOfTheTracerLosesNoSignalInDelivery(t *testing.T) {
	target := testtarget.StartCatching(t)
	stopper, kill := startStopper(t, target.PID, int(unix.SIGUSR1))
	testtarget.WantStopped(t, target.PID, stopper)
	kill()
	testtarget.WantRunning(t, target)
	testtarget.WantCaught(t, target, unix.SIGUSR1)
}

func TestKillOfTheTracerLeavesAStoppedProcessStopped(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 10")
	testtarget.Send(t, target.PID, unix.SIGSTOP)
	testtarget.WaitForStates(t, target.PID, "T")
	stopper, kill := startStopper(t, target.PID, "stop")
	testtarget.WantStopped(t, target.PID, stopper)
	kill()
	testtarget.WaitForStates(t, target.PID, "T")
	testtarget.WantFree(t, target.PID)
	testtarget.Send(t, target.PID, unix.SIGCONT)
	testtarget.WantRunning(t, target)
}

// A program may wait for its child while it stops it, and then takes the news of
// the stop away from the tracer.
func TestAnotherWaitOfThisProgramDoesNotHideTheStop(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 3")
	const enough = 20
	var taken atomic.Int32
	waiter := make(chan struct{})
	go func() {
		defer close(waiter)
		for taken.Load() < enough {
			var status unix.WaitStatus
			if _, err := unix.Wait4(target.PID, &status, unix.WUNTRACED, nil); err != nil && err != unix.EINTR {
				return
			} else if err == nil && status.Stopped() {
				taken.Add(1)
			}
		}
	}()
	testtarget.WaitFor(t, "the other wait to take stops away", func() bool {
		session := mustStop(t, target.PID)
		session.Resume()
		return taken.Load() >= enough
	})
	<-waiter
	testtarget.WantRunning(t, target)
}

func TestTracerOfIsTheThreadThatTraces(t *testing.T) {
	target := testtarget.Start(t)
	if tracer := procstatus.TracerOf(target.PID); tracer != 0 {
		t.Errorf("TracerOf a process that runs = %d; want 0", tracer)
	}
	session := mustStop(t, target.PID)
	if tracer, want := procstatus.TracerOf(target.PID), testtarget.Tasks(t, target.PID)[0].Tracer; tracer != want || tracer == 0 {
		t.Errorf("TracerOf a process that is stopped = %d; want %d", tracer, want)
	}
	session.Resume()
	target.End()
	if tracer := procstatus.TracerOf(target.PID); tracer != 0 {
		t.Errorf("TracerOf a process that is no more = %d; want 0", tracer)
	}
}
