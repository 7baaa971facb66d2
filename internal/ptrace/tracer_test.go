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

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// stopperVariable makes this test program one that stops a process and holds it:
// "PID stop", "PID SIGNAL" to hold it where it is about to take that signal, or
// "PID borrow STEP" and more, which is of wayback_test.go.
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
	} else if strings.Contains(variable, " borrow ") {
		err = borrowUpTo(pid, variable)
	} else {
		_, err = Stop(pid, testtarget.Patience)
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
	wantStopped(t, target.PID, stopper)
	session, err := Stop(target.PID, testtarget.Patience)
	if session != nil || !errors.Is(err, unix.EPERM) {
		t.Errorf("Stop = %v, %v; want EPERM", session, err)
	}
	wantStopped(t, target.PID, stopper)
	kill()
	mustStop(t, target.PID).Resume()
	wantRunning(t, target)
}

func TestKillOfTheTracerLeavesTheProcessRunning(t *testing.T) {
	target := signalTarget(t)
	stopper, kill := startStopper(t, target.PID, "stop")
	send(t, target.PID, unix.SIGUSR1)
	wantStopped(t, target.PID, stopper)
	kill()
	wantRunning(t, target)
	wantCaught(t, target, unix.SIGUSR1)
}

func TestKillOfTheTracerLosesNoSignalInDelivery(t *testing.T) {
	target := signalTarget(t)
	stopper, kill := startStopper(t, target.PID, int(unix.SIGUSR1))
	wantStopped(t, target.PID, stopper)
	kill()
	wantRunning(t, target)
	wantCaught(t, target, unix.SIGUSR1)
}

func TestKillOfTheTracerLeavesAStoppedProcessStopped(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 10")
	send(t, target.PID, unix.SIGSTOP)
	waitForStates(t, target.PID, "T")
	stopper, kill := startStopper(t, target.PID, "stop")
	wantStopped(t, target.PID, stopper)
	kill()
	waitForStates(t, target.PID, "T")
	wantFree(t, target.PID)
	send(t, target.PID, unix.SIGCONT)
	wantRunning(t, target)
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
	wantRunning(t, target)
}
