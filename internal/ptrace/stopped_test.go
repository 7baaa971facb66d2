// SPDX-License-Identifier: Apache-2.0

package ptrace

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

func TestAwaitStop(t *testing.T) {
	for _, test := range []struct {
		name    string
		timeout time.Duration
		happens func(pid int)
		want    []error
	}{
		{"of a thread that does not stop ends with the context", 20 * time.Millisecond, func(int) {}, []error{ErrTimeout, context.DeadlineExceeded}},
		{"of a thread that is killed", testtarget.Patience, func(pid int) { unix.Kill(pid, unix.SIGKILL) }, []error{unix.ESRCH}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cat := testtarget.StartProcess(t, exec.Command("cat"))
			session := mustStop(t, cat.PID)
			ctx, cancel := context.WithTimeout(context.Background(), test.timeout)
			defer cancel()
			var err error
			doErr := session.Do(func() {
				if err = unix.PtraceCont(cat.PID, 0); err == nil {
					test.happens(cat.PID)
					_, err = session.AwaitStop(ctx, cat.PID)
				}
			})
			stopError, ok := errors.AsType[*StopError](err)
			if doErr != nil || !ok || stopError.TID != cat.PID || slices.ContainsFunc(test.want, func(want error) bool { return !errors.Is(err, want) }) {
				t.Errorf("AwaitStop = %v, %v; want %v", err, doErr, test.want)
			}
			session.Resume()
			testtarget.WantFree(t, cat.PID)
		})
	}
}

func TestThreadsOfAStoppedProcess(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 5")
	session := mustStop(t, target.PID)
	threads, err := session.Threads()
	if err != nil || len(threads) != len(testtarget.Tasks(t, target.PID)) || threads[0].TID != target.PID {
		t.Errorf("Threads = %+v, %v; want all, the first one first", threads, err)
	}
	for _, thread := range threads {
		if thread.PC == 0 || thread.SP == 0 {
			t.Errorf("thread %d stands at %#x with its stack at %#x", thread.TID, thread.PC, thread.SP)
		}
	}
	session.Resume()
	if threads, err := session.Threads(); len(threads) != 0 || !errors.Is(err, unix.ESRCH) {
		t.Errorf("Threads after the session = %v, %v; want ESRCH", threads, err)
	}
}
