// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// A page that cannot be faulted in, which the map does not show, in the middle of what
// several threads write: the error says of each byte whether it arrived, and
// nothing stays of an atomic write.
func TestWriteBySeveralThreadsThatEndsHalfWay(t *testing.T) {
	testtarget.Need(t, "64-bit tests", "guard regions")
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	const size = 24 << 20
	hole := 9<<20 + 3*pageSize
	target := testtarget.Start(t)
	base := target.Address("map rw- %d", size/pageSize)
	target.Do("guard %#x %d", base+hole, pageSize)
	// parts reads what is on both sides of the page.
	reader := taskFor(t, target.PID)
	parts := func() []byte {
		p := make([]byte, size)
		for _, part := range [][2]uint64{{0, hole}, {hole + pageSize, size}} {
			if _, err := reader.ReadAt(p[part[0]:part[1]], int64(base+part[0])); err != nil {
				t.Fatal(err)
			}
		}
		return p
	}
	data := bytes.Repeat([]byte("vmwrite."), size/8)

	task := taskFor(t, target.PID, machcompat.Atomic())
	before := parts()
	e, ok := errors.AsType[*machcompat.Error](task.Write(base, data))
	if !ok || e.Code != machcompat.KERN_MEMORY_ERROR || e.Partial || e.Written != 0 || e.WrittenAfterFault != nil || e.Fault != base+hole {
		t.Errorf("an atomic write = %+v", e)
	}
	if !bytes.Equal(parts(), before) {
		t.Error("something stays of an atomic write")
	}

	task = taskFor(t, target.PID)
	e, ok = errors.AsType[*machcompat.Error](task.Write(base, data))
	if !ok || e.Code != machcompat.KERN_MEMORY_ERROR || !e.Partial || e.Written != hole || e.Fault != base+hole {
		t.Fatalf("Write = %+v", e)
	}
	want := bytes.Clone(before)
	copy(want[:hole], data)
	for _, extent := range e.WrittenAfterFault {
		copy(want[extent.Address-base:][:extent.Size], data[extent.Address-base:])
	}
	if !bytes.Equal(parts(), want) {
		t.Errorf("%v does not say what arrived", e)
	}
	if len(e.WrittenAfterFault) > 0 && !strings.Contains(e.Error(), "bytes were written, and ") {
		t.Errorf("%v does not tell of %v", e, e.WrittenAfterFault)
	}
}
