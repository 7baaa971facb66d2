// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"errors"
	"io"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

func TestErrorMessages(t *testing.T) {
	mapping := func(perms procmaps.Perms, path string) *procmaps.Mapping {
		return &procmaps.Mapping{Start: 0x1000, End: 0x3000, Perms: perms, Path: path}
	}
	for _, c := range []struct {
		err  machcompat.Error
		want string
	}{
		{machcompat.Error{Op: "vm_write", Address: 0x1000, Size: 4, Code: machcompat.KERN_PROTECTION_FAILURE, Fault: 0x1000, Mapping: mapping(procmaps.Read|procmaps.Execute, "/usr/bin/foo"), Err: unix.EFAULT},
			"vm_write 0x1000+4: KERN_PROTECTION_FAILURE (2): 0x1000 is r-xp /usr/bin/foo"},
		{machcompat.Error{Op: "vm_write", Address: 0x1000, Size: 4, Code: machcompat.KERN_INVALID_ADDRESS, Fault: 0x1002, Err: unix.EFAULT},
			"vm_write 0x1000+4: KERN_INVALID_ADDRESS (1): nothing is mapped at 0x1002"},
		{machcompat.Error{Op: "task_for_pid", PID: 4711, Code: machcompat.KERN_FAILURE, Err: unix.ESRCH},
			"task_for_pid 4711: KERN_FAILURE (5): no such process"},
		{machcompat.Error{Op: "vm_write", Address: 0x1000, Size: 8, Written: 3, Partial: true, Code: machcompat.KERN_MEMORY_ERROR, Fault: 0x1003, Mapping: mapping(procmaps.Read|procmaps.Write, "/tmp/f"), Err: unix.EFAULT},
			"vm_write 0x1000+8: KERN_MEMORY_ERROR (10): 0x1003 is rw-p /tmp/f; its page cannot be faulted in: it lies beyond the end of the file, or the file can't be read; 3 of 8 bytes were written"},
		{machcompat.Error{Op: "vm_write", Address: 0x1000, Size: 8, Written: 3, Segment: 2, Partial: true, Code: machcompat.KERN_RESOURCE_SHORTAGE, Err: unix.ENOMEM},
			"vm_write 0x1000+8: KERN_RESOURCE_SHORTAGE (6): cannot allocate memory; 3 of 8 bytes of segment 2 were written, and all segments before it"},
		{machcompat.Error{Op: "vm_write", Address: 0x1000, Size: 4, Code: machcompat.KERN_PROTECTION_FAILURE, Fault: 0x1000, Mapping: mapping(procmaps.Read, "/tmp/\x1b[31mred\xff")},
			`vm_write 0x1000+4: KERN_PROTECTION_FAILURE (2): 0x1000 is r--p /tmp/\x1b[31mred\xff`},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("the message is\n%s\nwant\n%s", got, c.want)
		}
	}
}

func TestErrorServesIsWithTheCodeAndTheErrno(t *testing.T) {
	err := error(&machcompat.Error{Code: machcompat.KERN_PROTECTION_FAILURE, Err: unix.EFAULT})
	if !errors.Is(err, machcompat.KERN_PROTECTION_FAILURE) || !errors.Is(err, unix.EFAULT) {
		t.Error("it is not both KERN_PROTECTION_FAILURE and EFAULT")
	}
	if errors.Is(err, machcompat.KERN_INVALID_ADDRESS) || errors.Is(err, unix.EPERM) {
		t.Error("it is another code or errno too")
	}
	if errors.Is(&machcompat.Error{Code: machcompat.KERN_FAILURE}, unix.EFAULT) {
		t.Error("an error without errno is EFAULT")
	}
	for err, want := range map[error]machcompat.KernReturn{
		nil: machcompat.KERN_SUCCESS, err: machcompat.KERN_PROTECTION_FAILURE, io.EOF: machcompat.KERN_FAILURE,
	} {
		if got := machcompat.CodeOf(err); got != want {
			t.Errorf("CodeOf(%v) = %s; want %s", err, got.String(), want.String())
		}
	}
}

func TestNamesOfOptionsParseBack(t *testing.T) {
	for _, b := range []machcompat.Backend{machcompat.Auto, machcompat.ProcessVM, machcompat.ProcMem} {
		if got, err := machcompat.ParseBackend(b.String()); got != b || err != nil {
			t.Errorf("ParseBackend(%q) = %v, %v", b.String(), got, err)
		}
	}
	for _, p := range []machcompat.StopPolicy{machcompat.StopAuto, machcompat.StopAlways, machcompat.StopNever} {
		if got, err := machcompat.ParseStopPolicy(p.String()); got != p || err != nil {
			t.Errorf("ParseStopPolicy(%q) = %v, %v", p.String(), got, err)
		}
	}
	if _, err := machcompat.ParseBackend("gdb"); err == nil {
		t.Error("ParseBackend(gdb) is no error")
	}
	if _, err := machcompat.ParseStopPolicy("maybe"); err == nil {
		t.Error("ParseStopPolicy(maybe) is no error")
	}
	if text := machcompat.Backend(9).String() + machcompat.StopPolicy(9).String(); text != "Backend(9)StopPolicy(9)" {
		t.Errorf("unknown options are %s", text)
	}
}

func TestStopAlways(t *testing.T) {
	target := testtarget.Start(t)
	// With the time for a stop that a caller has who asks for none.
	task, err := machcompat.TaskForPID(target.PID, machcompat.WithStop(machcompat.StopAlways))
	if err != nil {
		t.Fatal(err)
	}
	defer task.Close()
	if task.PID() != target.PID || task.Backend() != machcompat.ProcessVM {
		t.Errorf("pid %d, backend %v", task.PID(), task.Backend())
	}
	base := target.Address("layout rw-:1")
	if err := task.Write(base, []byte("stopped")); err != nil {
		t.Fatal(err)
	}
	if got := target.Bytes(base, 7); string(got) != "stopped" {
		t.Errorf("%q is there", got)
	}
	if isTraced(t, target.PID) {
		t.Error("the target is still traced")
	}
}
