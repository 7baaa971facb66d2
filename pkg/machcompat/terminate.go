// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"os"

	"golang.org/x/sys/unix"
)

// Terminate kills the process of the task with SIGKILL: task_terminate. It does not wait
// for the end of the process; a task that is this process does not return from it. Where
// the process has ended, or runs another program since the task was opened, nothing is
// killed, whoever has its number now. A program that it begins to run during the call is
// killed with it.
//
// The error is an [*Error]: KERN_INVALID_ARGUMENT when the task has ended, KERN_FAILURE
// when this process may not kill it.
func (t *Task) Terminate() error {
	if !t.enter() {
		return t.closedError(opTerminate)
	}
	defer t.leave()
	if err := t.kill(); err != nil {
		return t.newError(opTerminate, 0, 0, fault{}, err)
	}
	return nil
}

func (p *process) kill() error {
	if p.pid == os.Getpid() {
		return unix.Kill(p.pid, unix.SIGKILL)
	}
	pidfd, err := unix.PidfdOpen(p.pid, 0)
	switch err {
	case nil:
		defer unix.Close(pidfd)
		// A process that lives after the pidfd was made had its number before.
		if err := p.identity.confirm(); err != nil {
			return err
		}
		return unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	case unix.ENOSYS, unix.EPERM: // before Linux 5.3, or refused by a seccomp filter
		return p.killStopped()
	}
	return err
}

// killStopped kills by the number, which nobody else gets while we trace the process.
func (p *process) killStopped() error {
	s, err := p.openOwn(nil)
	if err != nil {
		return err
	}
	defer s.leave()
	return unix.Kill(p.pid, unix.SIGKILL)
}
