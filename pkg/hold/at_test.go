// SPDX-License-Identifier: Apache-2.0

package hold_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/hold"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

func parse(t *testing.T, format string, args ...any) *address.Expr {
	t.Helper()
	e, err := address.Parse(fmt.Sprintf(format, args...))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// The place of an expression follows its pointers, each of them, in a target of any
// word size.
func TestAt(t *testing.T) {
	for _, goarch := range []string{"", "386"} {
		t.Run("target "+goarch, func(t *testing.T) {
			if goarch != "" {
				testtarget.Need(t, goarch)
			}
			target := testtarget.StartBinary(t, testtarget.Build(t, goarch))
			task := taskFor(t, target.PID)
			base := target.Address("layout rw-:4,gap:1")
			put := func(address, pointer uint64) {
				t.Helper()
				if err := machcompat.WriteValue(task, address, machcompat.Pointer(pointer)); err != nil {
					t.Fatal(err)
				}
			}
			wantAt := func(address uint64, want uint32) {
				t.Helper()
				if got := target.Bytes(address, 4); !bytes.Equal(got, u32(want)) {
					t.Errorf("%x is at %#x; want %d", got, address, want)
				}
			}
			// base -> page 1 + 0x10 -> page 2 + 0x20
			put(base, base+pageSize)
			put(base+pageSize+0x10, base+2*pageSize)
			synctest.Test(t, func(t *testing.T) {
				resolver := address.NewResolver(task)
				h := newHolder(t, task,
					constant("chain", hold.At(resolver, parse(t, "%#x,0x10,0x20", base)), 5),
					constant("address", hold.At(resolver, parse(t, "%#x", base+0x40)), 6))
				h.tick()
				wantAt(base+2*pageSize+0x20, 5)
				wantAt(base+0x40, 6)
				put(base+pageSize+0x10, base+3*pageSize) // the last pointer changes
				h.tick()
				wantAt(base+3*pageSize+0x20, 5)
				put(base+2*pageSize+0x10, base+pageSize+0x100)
				put(base, base+2*pageSize) // the first changes
				h.tick()
				wantAt(base+pageSize+0x120, 5)
				put(base, 0)
				h.tick()
				h.wantEvents("-chain")
				put(base, base+2*pageSize)
				time.Sleep(round)
				h.tick()
				h.wantEvents("+chain")
				if s := h.Summary(); s.Moved != 2 {
					t.Errorf("the summary is %+v", s)
				}
			})
		})
	}
}
