// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// Copies inside a region of pages, one of which cannot be faulted in, though the map
// allows everything. An error says of each byte whether it arrived.
func TestCopySaysWhatArrived(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	const whole, none = 1 << 20, -1
	page := int(pageSize)
	cases := []struct {
		name                      string
		source, size, destination int // in bytes from the beginning of the region
		missing                   int // an offset in the page that lacks
		fromThere                 bool
	}{
		{"nothing lacks, backward", 100, 3*whole + 100, page + 900, none, false},
		{"nothing lacks, backward by a byte", 100, 2*whole + 1, 101, none, false},
		{"nothing lacks, forward", page + 900, 3*whole + 100, 100, none, false},
		{"nothing lacks, onto itself", 100, 2 * whole, 100, none, false},
		{"backward, the end of the destination lacks", 100, 3 * whole, 100 + 2*page, 3*whole + page, false},
		{"backward, all behind the source lacks", 0, 3 * whole, 2 * page, 3 * whole, true},
		{"backward, the middle of the destination lacks, behind the source", 100, 3 * whole, 100 + 5*whole/2, 4*whole + 100, false},
		{"backward, all from the middle of the destination on lacks", 0, 3 * whole, 5 * whole / 2, 4 * whole, true},
		{"backward, the beginning of both lacks", 0, 3 * whole, 2 * page, 3 * page, false},
		{"backward, the middle of both lacks", 100, 3 * whole, page + 900, 3 * whole / 2, false},
		{"backward, the end of both lacks", 100, 3 * whole, page + 900, 3*whole - 2*page, false},
		{"backward, one page, the end lacks", 100, page, 200, page, false},
		{"forward, the beginning of the destination lacks", 3 * page, 3 * whole, 100, page, false},
		{"forward, the middle of the destination lacks, before the source", 3 * whole, 4 * whole, 100, 3 * whole / 2, false},
		{"forward, the middle of both lacks", page + 900, 3 * whole, 100, 3 * whole / 2, false},
		{"apart, the middle of the destination lacks", 0, 3 * whole, 4 * whole, 11 * whole / 2, false},
		{"apart, the middle of the source lacks", 0, 3 * whole, 4 * whole, 3 * whole / 2, false},
	}
	const size = 8 * whole
	before := make([]byte, size)
	random := rand.NewChaCha8([32]byte{})
	random.Read(before)
	for number, hold := range holds {
		t.Run(hold.name, func(t *testing.T) {
			for _, c := range testtarget.Some(cases, 9, number) {
				t.Run(c.name, func(t *testing.T) {
					target := testtarget.Start(t)
					task := taskFor(t, target.PID, hold.options...)
					from, to := size, size // what lacks
					var base uint64
					if c.fromThere {
						from = c.missing
						base = target.Address("file %s rw- %d %d private", filepath.Join(t.TempDir(), "short"), size/page, from)
					} else {
						base = target.Address("map rw- %d", size/page)
					}
					if err := taskFor(t, target.PID).Write(base, before[:from]); err != nil {
						t.Fatal(err)
					}
					if !c.fromThere && c.missing != none {
						testtarget.Need(t, "guard regions")
						from = c.missing &^ (page - 1)
						to = from + page
						target.Do("guard %#x %d", base+uint64(from), page)
					}
					err := task.Copy(base+uint64(c.source), uint64(c.size), base+uint64(c.destination))
					want := bytes.Clone(before)
					moved := before[c.source:][:c.size]
					if c.missing == none {
						if err != nil {
							t.Errorf("Copy = %v", err)
						}
						copy(want[c.destination:], moved)
					} else {
						e := wantError(t, err, machcompat.KERN_MEMORY_ERROR)
						extents := arrived(e, base+uint64(c.destination))
						if e.Partial != (len(extents) > 0) {
							t.Errorf("Partial is %v, and %v arrived", e.Partial, extents)
						}
						if strings.Contains(hold.name, "atomic") && len(extents) > 0 {
							t.Errorf("%v of an atomic copy arrived", extents)
						}
						for _, extent := range extents {
							at := int(extent.Address - base)
							copy(want[at:][:extent.Size], moved[at-c.destination:])
						}
					}
					// Read by other means than the code under test.
					memory, err2 := os.Open(fmt.Sprintf("/proc/%d/mem", target.PID))
					if err2 != nil {
						t.Fatal(err2)
					}
					defer memory.Close()
					for _, part := range [][2]int{{0, from}, {to, size}} {
						got := make([]byte, part[1]-part[0])
						if _, err := memory.ReadAt(got, int64(base)+int64(part[0])); err != nil {
							t.Fatal(err)
						}
						if first, n := differences(got, want[part[0]:part[1]]); n > 0 {
							t.Errorf("%v does not say what arrived: %d bytes differ, the first at %#x", err, n, base+uint64(part[0]+first))
						}
					}
				})
			}
		})
	}
}

// arrived lists what an error says was written, of what went to address.
func arrived(e *machcompat.Error, address uint64) (extents []machcompat.Extent) {
	if e.Written > 0 {
		extents = []machcompat.Extent{{Address: address, Size: e.Written}}
	}
	return append(extents, e.WrittenAfterFault...)
}

// differences returns how many bytes of a and b differ, and which is the first.
func differences(a, b []byte) (first, n int) {
	for i := range a {
		if a[i] != b[i] {
			if n == 0 {
				first = i
			}
			n++
		}
	}
	return first, n
}

// readRole reads SIZE bytes at ADDRESS of the process PID, and prints the code.
func readRole(arguments []string) error {
	var pid int
	var address, size uint64
	if _, err := fmt.Sscan(strings.Join(arguments, " "), &pid, &address, &size); err != nil {
		return err
	}
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		return err
	}
	data, err := task.Read(address, size)
	_, shaped := machcompat.MachVMRead(task, machcompat.MachVMAddress(address), size)
	fmt.Println(len(data), machcompat.CodeOf(err).String(), shaped.String())
	return nil
}

// The memory of a whole machine is not enough, and Go ends a program that asks for
// more than there is.
func TestReadOfMoreThanThereIsMemoryFor(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	const size = uint64(8 << 40)
	for _, prot := range []string{"r--", "rw-"} {
		target := testtarget.Start(t)
		answer := target.Try("map %s %d", prot, size/pageSize)
		for range 100 { // the target's heap may lie there, at random
			if !strings.HasPrefix(answer, "error") {
				break
			}
			target = testtarget.Start(t)
			answer = target.Try("map %s %d", prot, size/pageSize)
		}
		base := parseUint(t, strings.TrimPrefix(answer, "ok "))
		reader := startRole(t, "read", target.PID, base, size)
		reader.Stdin.Close()
		line, err := reader.ReadLine()
		if want := "0 KERN_RESOURCE_SHORTAGE KERN_INVALID_ARGUMENT"; err != nil || line != want {
			t.Errorf("Read of 8 TiB of %s prints %q, %v; want %q", prot, line, err, want)
		}
	}
	// What there is memory for is not too much.
	const large = 32 << 20
	target := testtarget.Start(t)
	base := target.Address("map r-- %d", large/pageSize)
	if data, err := taskFor(t, target.PID).Read(base, large); err != nil || !bytes.Equal(data, make([]byte, large)) {
		t.Errorf("Read of 32 MiB = %d bytes, %v", len(data), err)
	}
}
