// SPDX-License-Identifier: Apache-2.0

package ptrace

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A thread that takes its time to stop is looked at closely. Where that look fails for
// want of room for a file, the thread counted as ended, and with it its process.
func TestThreadIsNotDeadBecauseNoFileCanBeOpened(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	dead := isDead(os.Getpid(), os.Getpid())
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if dead {
		t.Error("this process counts as ended")
	}
	if !isDead(1<<30, 1<<30) {
		t.Error("a process that is not there counts as alive")
	}
}
