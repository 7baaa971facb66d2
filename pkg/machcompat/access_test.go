// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

var (
	_ io.WriterAt = (*machcompat.Task)(nil)
	_ io.ReaderAt = (*machcompat.Task)(nil)
)

// selfPID is this process.
var selfPID = os.Getpid()

func addressOf(b []byte) uint64 { return uint64(linux.AddressOf(b)) }

func TestReadAt(t *testing.T) {
	cases := []struct {
		name   string
		layout string
		offset uint64
		size   int
		want   machcompat.KernReturn
		n      int
	}{
		{"all of a mapping", "rw-:2", 0, int(2 * pageSize), machcompat.KERN_SUCCESS, int(2 * pageSize)},
		{"nothing, anywhere", "rw-:1", 1 << 40, 0, machcompat.KERN_SUCCESS, 0},
		{"over several readable mappings", "rw-:1,r--:1,r-x:1", 100, int(3*pageSize - 200), machcompat.KERN_SUCCESS, int(3*pageSize - 200)},
		{"up to a gap", "rw-:1,gap:1,rw-:1", pageSize - 96, 200, machcompat.KERN_INVALID_ADDRESS, 96},
		{"up to memory without read permission", "rw-:1,---:1", pageSize - 96, 200, machcompat.KERN_PROTECTION_FAILURE, 96},
		{"memory that may only be written", "-w-:1", 0, 8, machcompat.KERN_PROTECTION_FAILURE, 0},
		{"memory without any permission", "---:1", 0, 8, machcompat.KERN_PROTECTION_FAILURE, 0},
		{"a gap", "rw-:1,gap:1", pageSize, 8, machcompat.KERN_INVALID_ADDRESS, 0},
	}
	eachRun(t, func(t *testing.T, options ...machcompat.Option) {
		target := testtarget.Start(t)
		task := taskFor(t, target.PID, options...)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				base := target.Address("layout %s", c.layout)
				p := make([]byte, c.size)
				n, err := task.ReadAt(p, int64(base+c.offset))
				if n != c.n || machcompat.CodeOf(err) != c.want {
					t.Fatalf("ReadAt = %d, %v; want %d and %s", n, err, c.n, c.want.String())
				}
				if n > 0 && !bytes.Equal(p[:n], target.Bytes(base+c.offset, n)) {
					t.Error("it did not read what is there")
				}
				if err != nil {
					e := wantError(t, err, c.want)
					if e.Fault != base+c.offset+uint64(n) || e.Written != uint64(n) {
						t.Errorf("fault at %#x after %d bytes; want %#x after %d", e.Fault, e.Written, base+c.offset+uint64(n), n)
					}
				}
			})
		}
	})
}

func TestWriteAtReturnsHowManyBytesArrived(t *testing.T) {
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	base := target.Address("layout rw-:1,gap:1")
	if n, err := task.WriteAt([]byte("four"), int64(base)); n != 4 || err != nil {
		t.Errorf("WriteAt = %d, %v; want 4 and no error", n, err)
	}
	if n, err := task.WriteAt([]byte("four"), int64(base+pageSize-2)); n != 0 || machcompat.CodeOf(err) != machcompat.KERN_INVALID_ADDRESS {
		t.Errorf("WriteAt over the end = %d, %v; want 0 and KERN_INVALID_ADDRESS", n, err)
	}
	if n, err := task.WriteAt([]byte("x"), -1); n != 0 || machcompat.CodeOf(err) != machcompat.KERN_INVALID_ADDRESS {
		t.Errorf("WriteAt(-1) = %d, %v; want 0 and KERN_INVALID_ADDRESS", n, err)
	}
}

// The caller's own file has become shorter: the target is not blamed.
func TestWriteFromMemoryThatCannotBeFaultedIn(t *testing.T) {
	testtarget.Need(t, "populate")
	path := t.TempDir() + "/file"
	if err := os.WriteFile(path, make([]byte, 2*pageSize), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	source, err := unix.Mmap(int(file.Fd()), 0, int(2*pageSize), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(source)
	if err := os.Truncate(path, int64(pageSize)); err != nil {
		t.Fatal(err)
	}
	target := testtarget.Start(t)
	base := target.Address("layout rw-:2")
	before := target.Bytes(base, int(2*pageSize))
	eachRun(t, func(t *testing.T, options ...machcompat.Option) {
		task := taskFor(t, target.PID, options...)
		for _, data := range [][]byte{source, source[pageSize:], source[pageSize+900:][:1], source[pageSize-4:][:8]} {
			err := task.Write(base, data)
			if machcompat.CodeOf(err) != machcompat.KERN_FAILURE || !errors.Is(err, unix.EFAULT) || !errors.Is(err, pwrite.ErrLocalFault) {
				t.Errorf("Write of %d bytes = %v; want KERN_FAILURE and ErrLocalFault", len(data), err)
			}
		}
		if !bytes.Equal(target.Bytes(base, int(2*pageSize)), before) {
			t.Error("some of it was written")
		}
	})
}

func TestCheckSaysWhatAWriteWould(t *testing.T) {
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	base := target.Address("layout rw-:1,r--:1,gap:1")
	for _, c := range []struct {
		address, size uint64
		want          machcompat.KernReturn
	}{
		{base, pageSize, machcompat.KERN_SUCCESS},
		{base, pageSize + 1, machcompat.KERN_PROTECTION_FAILURE},
		{base + 2*pageSize, 1, machcompat.KERN_INVALID_ADDRESS},
		{0, 0, machcompat.KERN_SUCCESS},
		{base, ^uint64(0), machcompat.KERN_INVALID_ADDRESS},
	} {
		if err := task.Check(c.address, c.size); machcompat.CodeOf(err) != c.want {
			t.Errorf("Check(%#x, %d) = %v; want %s", c.address, c.size, err, c.want.String())
		}
	}
}

// The target's threads are stopped for a write through /proc/PID/mem, and can't
// be when someone else traces them.
func TestProcMemWriteToATracedProcess(t *testing.T) {
	target := testtarget.Start(t)
	base := target.Address("layout rw-:1")
	before := target.Bytes(base, 4)
	task := taskFor(t, target.PID, machcompat.WithBackend(machcompat.ProcMem))

	// The tracer is a thread of this program, which ptrace(2) wants to stay one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PtraceSeize(target.PID); err != nil {
		t.Fatal(err)
	}
	e := wantError(t, task.Write(base, []byte("new!")), machcompat.KERN_FAILURE)
	if !strings.Contains(e.Hint, "already traced by") {
		t.Errorf("the hint is %q", e.Hint)
	}
	waived := taskFor(t, target.PID, machcompat.WithBackend(machcompat.ProcMem), machcompat.WithStop(machcompat.StopNever))
	waivedErr := waived.Write(base+8, []byte("new!"))
	if err := unix.PtraceInterrupt(target.PID); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Wait4(target.PID, nil, unix.WALL, nil); err != nil {
		t.Fatal(err)
	}
	if err := unix.PtraceDetach(target.PID); err != nil {
		t.Fatal(err)
	}
	if got := target.Bytes(base, 4); !bytes.Equal(got, before) {
		t.Errorf("a write that was refused changed % x to % x", before, got)
	}
	if got := target.Bytes(base+8, 4); waivedErr != nil || string(got) != "new!" {
		t.Errorf("a write without the stop = %v, and %q is there", waivedErr, got)
	}
}

func TestWriteFromManyGoroutines(t *testing.T) {
	const writers, rounds = 16, 200
	eachRun(t, func(t *testing.T, options ...machcompat.Option) {
		target := testtarget.Start(t)
		task := taskFor(t, target.PID, options...)
		base := target.Address("layout rw-:16,r--:1")
		n := rounds
		if task.Backend() == machcompat.ProcMem {
			n = rounds / 20 // each stops the target, and one stops it at a time
		}
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				at := base + uint64(w)*pageSize
				for i := range n {
					value := []byte{byte(w), byte(i), byte(i >> 8)}
					err := task.Write(at, value)
					if err != nil {
						t.Errorf("writer %d: %v", w, err)
						return
					}
					if code := machcompat.CodeOf(task.Write(base+16*pageSize, value)); code == machcompat.KERN_SUCCESS {
						t.Error("a write to a read-only page succeeded")
					}
				}
			})
		}
		group.Wait()
	})
}

func TestWriteDoesNotAllocate(t *testing.T) {
	target := testtarget.Start(t)
	base := target.Address("layout rw-:4")
	segments := make([]machcompat.Segment, 1024)
	for i := range segments {
		segments[i] = machcompat.Segment{Address: base + uint64(i*16), Data: make([]byte, 4)}
	}
	eachRun(t, func(t *testing.T, options ...machcompat.Option) {
		task := taskFor(t, target.PID, append(options, machcompat.WithStop(machcompat.StopNever))...)
		for name, write := range map[string]func() error{
			"Write of 8 bytes from the stack": func() error {
				var value [8]byte
				return task.Write(base, value[:])
			},
			"ReadAt of 8 bytes to the stack": func() error {
				var value [8]byte
				_, err := task.ReadAt(value[:], int64(base))
				return err
			},
			"WriteBatch of 1024": func() error { return task.WriteBatch(segments) },
		} {
			var err error
			if n := testing.AllocsPerRun(50, func() { err = write() }); n > 0 && !raceEnabled {
				t.Errorf("%s makes %v allocations; want 0", name, n)
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
