// SPDX-License-Identifier: Apache-2.0

package pwrite_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if inSandbox() {
		return
	}
	os.Exit(testtarget.Main(m))
}

// page is the size of a page of this machine, and so of every target.
var page = os.Getpagesize()

// backends are the two ways, which must move the same bytes and count them
// alike. They differ in their name for a page that cannot be faulted in.
var backends = []struct {
	name        string
	open        func(tb testing.TB, pid int) pwrite.Backend
	write, read string     // the calls, as errors name them
	fault       unix.Errno // of a page that cannot be faulted in
}{
	{"process_vm", openProcessVM, "process_vm_writev", "process_vm_readv", unix.EFAULT},
	{"proc_mem", openProcMem, "pwrite", "pread", unix.EIO},
}

func openProcessVM(_ testing.TB, pid int) pwrite.Backend { return pwrite.ProcessVM{PID: pid} }

func openProcMem(tb testing.TB, pid int) pwrite.Backend { return procMem(tb, pid) }

func procMem(tb testing.TB, pid int) *pwrite.ProcMem {
	tb.Helper()
	memory, err := pwrite.OpenProcMem(pid)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { memory.Close() })
	return memory
}

// pattern returns size bytes that no shift or mix of segments leaves alike.
func pattern(size, seed int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*7 + i/251 + seed*31 + 1)
	}
	return data
}

// runOf is a list of segments side by side, of the given sizes.
func runOf(address uint64, sizes ...int) (segments []pwrite.Segment) {
	for i, size := range sizes {
		segments = append(segments, pwrite.Segment{Address: address, Data: pattern(size, i)})
		address += uint64(size)
	}
	return segments
}

// apply writes the first moved bytes of segments into memory, which stands for
// what is at base.
func apply(memory []byte, base uint64, segments []pwrite.Segment, moved uint64) []byte {
	memory = bytes.Clone(memory)
	for _, s := range segments {
		part := s.Data[:min(uint64(len(s.Data)), moved)]
		if len(part) > 0 {
			copy(memory[s.Address-base:], part)
		}
		moved -= uint64(len(part))
	}
	return memory
}

// wantStop checks where a transfer of segments ended and what it says of that.
func wantStop(t *testing.T, segments []pwrite.Segment, got pwrite.Position, err error, want pwrite.Position, call string, reason error) {
	t.Helper()
	if got != want {
		t.Errorf("it ended at %v; want %v", got, want)
	}
	transferError, ok := errors.AsType[*pwrite.TransferError](err)
	if !ok {
		t.Fatalf("%v is no TransferError", err)
	}
	address := segments[want.Segment].Address + uint64(want.Offset)
	if transferError.Call != call || transferError.Address != address || !errors.Is(err, reason) {
		t.Errorf("%v; want %s at %#x: %v", err, call, address, reason)
	}
	if errors.Is(err, pwrite.ErrLocalFault) && !errors.Is(reason, pwrite.ErrLocalFault) {
		t.Errorf("%v blames the caller's memory", err)
	}
	if text := fmt.Sprintf("%s at %#x: %v", call, address, reason); err.Error() != text {
		t.Errorf("Error() = %q; want %q", err, text)
	}
}
