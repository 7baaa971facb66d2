// SPDX-License-Identifier: Apache-2.0

package pwrite_test

import (
	"errors"
	"math"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// endings are the ways in which a process loses its address space.
var endings = []struct {
	name string
	exec bool
	end  func(t *testing.T, target *testtarget.Target)
}{
	{"killed and a zombie", false, func(t *testing.T, target *testtarget.Target) { target.Kill() }},
	{"exited and waited for", false, func(t *testing.T, target *testtarget.Target) { target.End() }},
	{"running another program", true, func(t *testing.T, target *testtarget.Target) {
		if line := target.Try("execself"); line != "ready" {
			t.Fatalf("after exec the target says %q; want ready", line)
		}
	}},
}

func TestADeadTarget(t *testing.T) {
	for _, ending := range endings {
		t.Run(ending.name, func(t *testing.T) {
			target := testtarget.Start(t)
			segments := runOf(target.Address("map rw- 1"), 3, 5)
			vm, mem := pwrite.ProcessVM{PID: target.PID}, procMem(t, target.PID)
			if _, err := mem.Write(segments); err != nil {
				t.Fatal(err)
			}
			ending.end(t, target)
			for range 2 { // what is gone stays gone
				place, err := mem.Write(segments)
				wantStop(t, segments, place, err, pwrite.Position{}, "pwrite", pwrite.ErrGone)
				place, err = mem.Read(segments)
				wantStop(t, segments, place, err, pwrite.Position{}, "pread", pwrite.ErrGone)
				if !errors.Is(err, unix.ESRCH) {
					t.Errorf("%v does not wrap ESRCH", err)
				}
			}
			// The kernel finds the process by its number, so after exec it is the
			// new program, which has nothing mapped there.
			reason := pwrite.ErrNotFound
			if ending.exec {
				reason = unix.EFAULT
			}
			place, err := vm.Write(segments)
			wantStop(t, segments, place, err, pwrite.Position{}, "process_vm_writev", reason)
			place, err = vm.Read(segments)
			wantStop(t, segments, place, err, pwrite.Position{}, "process_vm_readv", reason)
			if !ending.exec && !errors.Is(err, unix.ESRCH) {
				t.Errorf("%v does not wrap ESRCH", err)
			}
		})
	}
}

func TestOpenProcMemOfNoProcessIsENOENT(t *testing.T) {
	target := testtarget.StartBystander(t, testtarget.Build(t, ""))
	target.End()
	for _, pid := range []int{target.PID, 0, -1, math.MaxInt32} {
		memory, err := pwrite.OpenProcMem(pid)
		if !errors.Is(err, unix.ENOENT) || memory != nil {
			t.Errorf("OpenProcMem(%d) = %v, %v; want ENOENT", pid, memory, err)
		}
	}
}
