// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// Tests that trace end their thread, which lets go of what it has traced. The main
// thread would not end, so it is kept from them.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	if asInjector() {
		return
	}
	os.Exit(testtarget.Main(m))
}

// fileMemory is /proc/PID/mem.
type fileMemory struct{ *os.File }

func (m fileMemory) Read(address uint64, p []byte) error {
	_, err := m.ReadAt(p, int64(address))
	return err
}

func (m fileMemory) Write(address uint64, p []byte) error {
	_, err := m.WriteAt(p, int64(address))
	return err
}

// targetOf is the process of a session. Its files are closed when this program ends.
func targetOf(session *ptrace.Session) (Target, error) {
	tid := session.TIDs()[0] // the files of a thread that has ended are empty
	maps, err := procmaps.Open(tid)
	if err != nil {
		return Target{}, err
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", tid), os.O_RDWR, 0)
	return Target{session, maps, fileMemory{memory}, new(Known)}, err
}

// stopTarget stops a process until the test ends, or resumes it.
func stopTarget(t *testing.T, pid int) Target {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testtarget.Patience)
	defer cancel()
	session, err := ptrace.Stop(ctx, pid)
	if err != nil {
		t.Fatalf("Stop = %v", err)
	}
	t.Cleanup(session.Resume)
	target, err := targetOf(session)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		target.Maps.Close()
		target.Memory.(fileMemory).Close()
	})
	return target
}

// run is Run for what must succeed.
func run(t *testing.T, target Target, f func(*Caller) error) {
	t.Helper()
	if err := Run(t.Context(), target, f); err != nil {
		t.Fatalf("Run = %v", err)
	}
}

var pageSize = uint64(os.Getpagesize())

// mapPage has the process map a page, and returns its address.
func mapPage(t *testing.T, c *Caller) uint64 {
	t.Helper()
	address, err := c.Mmap(0, pageSize, readWrite, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatalf("Mmap = %v", err)
	}
	return address
}

// statesOf reads the registers and the signal mask of every thread of a target.
func statesOf(t *testing.T, target Target) map[int]state {
	t.Helper()
	all := map[int]state{}
	err := target.Session.Do(func() {
		for _, tid := range target.Session.TIDs() {
			all[tid] = readState(t, tid)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
