// SPDX-License-Identifier: Apache-2.0

package pwrite_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/internal/testtarget/seccomp"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// sandboxVariable makes this test program one that a seccomp filter refuses both
// calls with the errno of this number.
const sandboxVariable = "VMWRITE_TEST_REFUSED"

// inSandbox is what the test program does when it was started for a sandbox. It
// prints what is wrong.
func inSandbox() bool {
	text := os.Getenv(sandboxVariable)
	if text == "" {
		return false
	}
	number, err := strconv.Atoi(text)
	if err == nil && os.Getuid() == 0 {
		err = errors.Join(syscall.Setresuid(65534, 65534, 0), refusedBoth(unix.EPERM, false), syscall.Setresuid(0, 0, 0))
	}
	errno := unix.Errno(number)
	if err == nil {
		err = seccomp.Refuse(errno, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_VM_READV)
	}
	if err == nil {
		err = refusedBoth(errno, errno != unix.EACCES)
	}
	if err != nil {
		fmt.Println(err)
	}
	return true
}

// refusedBoth tries both calls on the process that started this one.
func refusedBoth(errno unix.Errno, want bool) error {
	memory := pwrite.ProcessVM{PID: os.Getppid()}
	segments := []pwrite.Segment{{Address: 8, Data: make([]byte, 1)}}
	_, writeErr := memory.Write(segments)
	_, readErr := memory.Read(segments)
	for _, err := range []error{writeErr, readErr} {
		if !errors.Is(err, errno) || errors.Is(err, pwrite.ErrRefused) != want {
			return fmt.Errorf("%w; want %w, and ErrRefused: %t", err, errno, want)
		}
	}
	return nil
}

// Before the filter comes, root tries as another user, whom the kernel refuses
// this process but not the call.
func TestACallThatASeccompFilterForbidsIsErrRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		errno unix.Errno
	}{
		{"ENOSYS, as from a kernel that lacks it", unix.ENOSYS},
		{"EPERM, as from a kernel that refuses a process", unix.EPERM},
		{"EACCES, which could mean anything: it is no ErrRefused", unix.EACCES},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), sandboxVariable+"="+strconv.Itoa(int(c.errno)), "GORACE=atexit_sleep_ms=0")
			var out bytes.Buffer
			cmd.Stdout = &out
			if err := testtarget.RunCommand(cmd); err != nil || out.Len() > 0 {
				t.Errorf("%v: %s", err, &out)
			}
		})
	}
}
