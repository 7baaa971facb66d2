// SPDX-License-Identifier: Apache-2.0

//go:build !race

// The race detector allocates.

package hold_test

import (
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/hold"
)

// A tick in which nothing comes, goes or moves takes no memory, though all is written.
func TestTickDoesNotAllocate(t *testing.T) {
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	base := target.Address("layout rw-:4")
	if err := task.Write(base, u64(base+pageSize)); err != nil {
		t.Fatal(err)
	}
	entries := []hold.Entry{
		constant("chain", pointerChain{task, base, 0, nil}, 1),
		{Place: hold.Fixed(base + 64), Type: hold.Float64, Mode: hold.Minimum, Value: numberOf(hold.Float64, 1)},
		{Place: hold.Fixed(base + 72), Type: hold.Int16, Mode: hold.OnlyUp},
		{Place: hold.Fixed(base + 80), Type: hold.Bytes, Value: []byte("some bytes")},
	}
	for i := range uint64(2000) {
		entries = append(entries, constant("", hold.Fixed(base+2*pageSize+i*4), 3))
	}
	h := newHolder(t, task, entries...)
	zeros := make([]byte, 8000)
	for name, change := range map[string]func(){
		"nothing is written":    func() {},
		"everything is written": func() { task.Write(base+2*pageSize, zeros) },
	} {
		if allocs := testing.AllocsPerRun(20, func() { change(); h.tick() }); allocs > 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
	if s := h.Summary(); s.Writes < 20*2000 {
		t.Errorf("the summary is %+v", s)
	}
}
