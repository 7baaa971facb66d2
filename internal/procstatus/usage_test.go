// SPDX-License-Identifier: Apache-2.0

package procstatus

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// The name of a thread may hold blanks and parentheses.
func TestReadUsage(t *testing.T) {
	runtime.LockOSThread() // for good, so that the name goes with the thread
	const name = "a) R (b"
	if err := os.WriteFile("/proc/thread-self/comm", []byte(name), 0); err != nil {
		t.Fatal(err)
	}
	u, err := ReadUsage(os.Getpid(), unix.Gettid())
	if err != nil || u.Name != name || u.State != 'R' || u.Start == 0 || u.Policy != unix.SCHED_NORMAL {
		t.Errorf("ReadUsage = %+v, %v", u, err)
	}
	if _, err := ReadUsage(os.Getpid(), 1); !errors.Is(err, unix.ENOENT) && os.Getpid() != 1 {
		t.Errorf("ReadUsage of another process's thread = %v; want ENOENT", err)
	}
}
