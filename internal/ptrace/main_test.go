// SPDX-License-Identifier: Apache-2.0

package ptrace

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// A test that wants the main thread has it run what it sends here.
var onMainThread = make(chan func())

// The main goroutine stays on the main thread, because it is locked in init.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	if asStopper() {
		return
	}
	code := make(chan int)
	go func() { code <- testtarget.Main(m) }()
	for {
		select {
		case f := <-onMainThread:
			f()
		case code := <-code:
			os.Exit(code)
		}
	}
}

// stop is Stop within a time.
func stop(pid int, timeout time.Duration) (*Session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return Stop(ctx, pid)
}

// mustStop is Stop for a process that can be stopped, and looks whether it is.
func mustStop(t *testing.T, pid int) *Session {
	t.Helper()
	s, err := stop(pid, testtarget.Patience)
	if err != nil {
		t.Fatalf("Stop = %v", err)
	}
	t.Cleanup(s.Resume)
	testtarget.WantStopped(t, pid, os.Getpid())
	return s
}

// onThread runs f on a thread of its own, which then ends.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}
