// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// Each case works on three pages, rw-, r-x and r--, and a gap behind them. "old" is
// what stands there, whatever that is.
func TestCompareAndWrite(t *testing.T) {
	code, data, gap := pageSize, 2*pageSize, 3*pageSize
	eachRun(t, func(t *testing.T, options ...machcompat.Option) {
		target := testtarget.Start(t)
		base := target.Address("layout rw-:1,r-x:1,r--:1,gap:1")
		task := taskFor(t, target.PID, options...)
		old := target.Bytes(base, int(3*pageSize))
		at := func(offset, size uint64) []byte { return bytes.Clone(old[offset : offset+size]) }
		flipped := func(offset uint64) []byte { return []byte{^old[offset]} }
		for _, c := range []struct {
			name       string
			changes    []machcompat.Change // of offsets
			want       machcompat.KernReturn
			mismatches []machcompat.Mismatch // of offsets
		}{
			{"all as expected", []machcompat.Change{
				{Address: 0, Old: at(0, 2), New: []byte("ab")},
				{Address: 100, Old: at(100, 3), New: []byte("c")},
			}, 0, nil},
			{"a place is not, of several", []machcompat.Change{
				{Address: 0, Old: at(0, 1), New: []byte("a")},
				{Address: 8, Old: flipped(8), New: []byte("b")},
				{Address: 16, Old: append(at(16, 1), ^old[17]), New: []byte("c")},
			}, machcompat.KERN_FAILURE, []machcompat.Mismatch{{1, 8, at(8, 1)}, {2, 16, at(16, 2)}}},
			{"bits that the mask leaves out may differ", []machcompat.Change{
				{Address: 8, Old: []byte{old[8] ^ 0xf0}, Mask: []byte{0x0f}, New: []byte("b")},
			}, 0, nil},
			{"bits that the mask holds may not", []machcompat.Change{
				{Address: 8, Old: []byte{old[8] ^ 0x10}, Mask: []byte{0x10}, New: []byte("b")},
			}, machcompat.KERN_FAILURE, []machcompat.Mismatch{{0, 8, at(8, 1)}}},
			{"a mask of another length", []machcompat.Change{
				{Address: 8, Old: at(8, 2), Mask: []byte{1}, New: []byte("b")},
			}, machcompat.KERN_INVALID_ARGUMENT, nil},
			{"nothing to compare", []machcompat.Change{{Address: 8, New: []byte("b")}}, 0, nil},
			{"nothing to write", []machcompat.Change{{Address: code, Old: at(code, 8)}}, 0, nil},
			{"nothing at all", nil, 0, nil},
			{"protected memory", []machcompat.Change{
				{Address: 0, New: []byte("a")}, {Address: code, New: []byte("b")},
			}, machcompat.KERN_PROTECTION_FAILURE, nil},
			{"protected memory that may be changed", []machcompat.Change{
				{Address: 0, Old: at(0, 1), New: []byte("a")},
				{Address: code, Old: at(code, 1), New: []byte("b"), Unprotect: true},
				{Address: code + 8, New: []byte("c"), Unprotect: true},
				{Address: data - 2, New: []byte("over"), Unprotect: true},
			}, 0, nil},
			{"a gap behind it", []machcompat.Change{
				{Address: 0, New: []byte("a")},
				{Address: code, New: []byte("b"), Unprotect: true},
				{Address: gap, New: []byte("c")},
			}, machcompat.KERN_INVALID_ADDRESS, nil},
			{"a gap to be compared", []machcompat.Change{
				{Address: 0, New: []byte("a")}, {Address: gap, Old: []byte("c")},
			}, machcompat.KERN_INVALID_ADDRESS, nil},
			{"a gap that may be changed", []machcompat.Change{
				{Address: 0, New: []byte("a")}, {Address: gap, New: []byte("c"), Unprotect: true},
			}, machcompat.KERN_INVALID_ADDRESS, nil},
			{"a range that wraps", []machcompat.Change{
				{Address: 0, New: []byte("a")}, {Address: -base - 1, New: []byte("ab"), Unprotect: true},
			}, machcompat.KERN_INVALID_ADDRESS, nil},
		} {
			t.Run(c.name, func(t *testing.T) {
				want := bytes.Clone(old)
				changes := slices.Clone(c.changes)
				for i := range changes {
					if c.want == machcompat.KERN_SUCCESS {
						copy(want[changes[i].Address:], changes[i].New)
					}
					changes[i].Address += base
				}
				err := task.CompareAndWrite(context.Background(), changes)
				if machcompat.CodeOf(err) != c.want {
					t.Fatalf("CompareAndWrite = %v; want %v", err, c.want.String())
				}
				if e, ok := errors.AsType[*machcompat.Error](err); ok && e.Segment != max(len(changes)-1, 0) && c.mismatches == nil {
					t.Errorf("change %d is named; want the last", e.Segment)
				}
				mismatch, _ := errors.AsType[*machcompat.MismatchError](err)
				if errors.Is(err, machcompat.ErrMismatch) != (c.mismatches != nil) {
					t.Errorf("CompareAndWrite = %v; want a mismatch: %v", err, c.mismatches != nil)
				}
				if mismatch != nil {
					for i := range mismatch.Mismatches {
						mismatch.Mismatches[i].Address -= base
					}
					if got, want := fmt.Sprint(mismatch.Mismatches), fmt.Sprint(c.mismatches); got != want {
						t.Errorf("the mismatches are %s; want %s", got, want)
					}
				}
				if got := target.Bytes(base, int(3*pageSize)); !bytes.Equal(got, want) {
					t.Errorf("the memory is not as wanted, from %d on", firstDifference(got, want))
				}
				for i, prot := range []machcompat.VMProt{3, 5, 1} {
					if r, err := task.Region(base + uint64(i)*pageSize); err != nil || r.Protection != prot {
						t.Errorf("page %d is %v, %v; want %v", i, r.Protection, err, prot)
					}
				}
				for i := range changes { // as before
					if len(changes[i].New) > 0 && c.want == machcompat.KERN_SUCCESS {
						changes[i].Old, changes[i].Mask, changes[i].New = nil, nil, at(c.changes[i].Address, uint64(len(changes[i].New)))
					}
				}
				if c.want == machcompat.KERN_SUCCESS {
					if err := task.CompareAndWrite(context.Background(), changes); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	})
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// The target counts up meanwhile. What is compared is what is replaced.
func TestCompareAndWriteIsOneStop(t *testing.T) {
	target := testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/counter.c")))
	address := parseUint(t, target.Line())
	task := taskFor(t, target.PID)
	swapped := 0
	for range testtarget.Rounds(300) {
		var old [8]byte
		if err := task.Stopped(context.Background(), func(s *machcompat.Stopped) error {
			if err := s.Read(address, old[:]); err != nil {
				return err
			}
			// Most often the target runs before the next stop, and always may.
			if swapped%2 == 0 {
				return s.CompareAndWrite(mark(address, old))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		err := task.CompareAndWrite(context.Background(), mark(address, old))
		if err != nil && !errors.Is(err, machcompat.ErrMismatch) {
			t.Fatal(err)
		}
		swapped++
	}
	target.Stdin.Close()
	line := target.Line()
	if _, bad, _ := strings.Cut(line, " "); bad != "0" || strings.HasPrefix(line, "0 ") {
		t.Errorf("the target found %q writes to be made of what stood there, and not", line)
	}
}

func mark(address uint64, old [8]byte) []machcompat.Change {
	marked := binary.NativeEndian.AppendUint64(nil, binary.NativeEndian.Uint64(old[:])|1<<63)
	return []machcompat.Change{{Address: address, Old: old[:], New: marked}}
}

// Calls that share the stop of Suspend are made one after the other.
func TestCompareAndWriteFromManyGoroutines(t *testing.T) {
	target := testtarget.Start(t)
	base := target.Address("layout rw-:1")
	for _, suspended := range []bool{true, false} {
		t.Run(fmt.Sprintf("suspended=%v", suspended), func(t *testing.T) {
			task := taskFor(t, target.PID)
			if err := task.Write(base, make([]byte, 8)); err != nil {
				t.Fatal(err)
			}
			if suspended {
				if err := task.Suspend(); err != nil {
					t.Fatal(err)
				}
			}
			const goroutines, each = 4, 25
			var group sync.WaitGroup
			for range goroutines {
				group.Go(func() {
					for n := 0; n < each; {
						var old [8]byte
						if err := task.ReadOverwrite(base, old[:]); err != nil {
							t.Error(err)
							return
						}
						next := binary.NativeEndian.AppendUint64(nil, binary.NativeEndian.Uint64(old[:])+1)
						err := task.CompareAndWrite(context.Background(), []machcompat.Change{{Address: base, Old: old[:], New: next}})
						switch {
						case err == nil:
							n++
						case !errors.Is(err, machcompat.ErrMismatch):
							t.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			if got, err := task.Read(base, 8); err != nil || binary.NativeEndian.Uint64(got) != goroutines*each {
				t.Errorf("the sum is %d, %v; want %d", got, err, goroutines*each)
			}
			if suspended {
				if err := task.Resume(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
