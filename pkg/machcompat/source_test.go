// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// truncatedMapping returns a mapping of ours of size bytes, whose pages from there on
// lack: the file was cut after it was mapped.
func truncatedMapping(t *testing.T, size, there int) []byte {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "cut"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(bytes.Repeat([]byte("s"), size)); err != nil {
		t.Fatal(err)
	}
	data, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(data) })
	if err := file.Truncate(int64(there)); err != nil {
		t.Fatal(err)
	}
	return data
}

// wantOwnFault wants an error that blames the caller's memory, not the task's.
func wantOwnFault(t *testing.T, call string, err error) {
	t.Helper()
	if !errors.Is(err, unix.EFAULT) {
		t.Errorf("%s = %v; want EFAULT", call, err)
	}
	switch code := machcompat.CodeOf(err); code {
	case machcompat.KERN_SUCCESS, machcompat.KERN_MEMORY_ERROR, machcompat.KERN_INVALID_ADDRESS, machcompat.KERN_PROTECTION_FAILURE:
		t.Errorf("%s gives %s, as if the task were to blame", call, code.String())
	}
	if e, ok := errors.AsType[*machcompat.Error](err); ok && (e.Written > 0 || e.Partial || len(e.WrittenAfterFault) > 0) {
		t.Errorf("%s says that %d bytes and %v were written", call, e.Written, e.WrittenAfterFault)
	}
}

// What is to be written lies in memory of ours that cannot be faulted in: nothing
// arrives.
func TestWriteOfBytesThatCannotBeRead(t *testing.T) {
	page := int(pageSize)
	for _, c := range []struct {
		name        string
		size, there int // in bytes
		from        int // where in the mapping the bytes begin
	}{
		{"a few bytes", page, 0, 0},
		{"a page", page, 0, 0},
		{"the second of two pages", 2 * page, page, 0},
		{"behind a few bytes", 2 * page, page, page - 3},
		{"all of many pages but the first", 64 * page, page, 0},
		{"the last of many pages", 600 * page, 599 * page, 0},
		{"the end of what several threads write", 24 << 20, 20 << 20, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := truncatedMapping(t, c.size, c.there)[c.from:]
			if c.name == "a few bytes" {
				data = data[:8]
			}
			for _, hold := range holds {
				t.Run(hold.name, func(t *testing.T) {
					target := testtarget.Start(t)
					task := taskFor(t, target.PID, hold.options...)
					base := target.Address("map rw- %d", c.size/page+1)
					wantOwnFault(t, "Write", task.Write(base, data))
					n, err := task.WriteAt(data, int64(base))
					wantOwnFault(t, "WriteAt", err)
					if n != 0 {
						t.Errorf("WriteAt = %d", n)
					}
					wantOwnFault(t, "WriteBatch", task.WriteBatch([]machcompat.Segment{
						{Address: base + uint64(len(data)), Data: []byte("first")},
						{Address: base, Data: data},
					}))
					got, err := taskFor(t, target.PID).Read(base, uint64(c.size+page))
					if err != nil {
						t.Fatal(err)
					}
					if first, n := differences(got, make([]byte, len(got))); n > 0 {
						t.Errorf("%d bytes arrived, the first at offset %d", n, first)
					}
				})
			}
		})
	}
}

// What is read goes to memory of ours that can't take it.
func TestReadIntoMemoryThatCannotBeWritten(t *testing.T) {
	page := int(pageSize)
	readOnly, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(readOnly)
	for name, p := range map[string][]byte{"read-only": readOnly, "beyond the end of its file": truncatedMapping(t, 2*page, 0)} {
		for _, hold := range holds {
			t.Run(name+", "+hold.name, func(t *testing.T) {
				target := testtarget.Start(t)
				task := taskFor(t, target.PID, hold.options...)
				base := target.Address("map rw- 2")
				n, err := task.ReadAt(p, int64(base))
				wantOwnFault(t, "ReadAt", err)
				if n != 0 {
					t.Errorf("ReadAt = %d", n)
				}
				wantOwnFault(t, "ReadOverwrite", task.ReadOverwrite(base, p))
			})
		}
	}
}

// An offset of io.ReaderAt is signed, an address is not.
func TestNegativeOffsetsAreAddressesThatNothingHas(t *testing.T) {
	eachRun(t, func(t *testing.T, options ...machcompat.Option) {
		task := taskFor(t, testtarget.Start(t).PID, options...)
		for _, offset := range []int64{-1, -8, -4096, math.MinInt64, math.MaxInt64} {
			for _, size := range []int{1, 8, 8192} {
				n, err := task.ReadAt(make([]byte, size), offset)
				if n != 0 || machcompat.CodeOf(err) != machcompat.KERN_INVALID_ADDRESS {
					t.Errorf("ReadAt(%d bytes, %d) = %d, %v; want 0 and KERN_INVALID_ADDRESS", size, offset, n, err)
				}
				n, err = task.WriteAt(make([]byte, size), offset)
				if n != 0 || machcompat.CodeOf(err) != machcompat.KERN_INVALID_ADDRESS {
					t.Errorf("WriteAt(%d bytes, %d) = %d, %v; want 0 and KERN_INVALID_ADDRESS", size, offset, n, err)
				}
			}
		}
	})
}
