// SPDX-License-Identifier: Apache-2.0

package hold_test

import (
	"encoding/binary"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/hold"
)

// A library is unloaded, the process maps other memory in its place, and loads the
// library again elsewhere.
func TestModuleThatMoves(t *testing.T) {
	for _, chain := range []bool{false, true} {
		t.Run(map[bool]string{false: "an offset", true: "a chain"}[chain], func(t *testing.T) {
			target := testtarget.Start(t)
			task := taskFor(t, target.PID)
			path := filepath.Join(t.TempDir(), "lib.so")
			base := target.Address("file %s rw- 1 4096 private", path)
			object := target.Address("map rw- 1")
			other := target.Address("map rw- 1")
			write := func(at uint64, b []byte) {
				if err := task.Write(at, b); err != nil {
					t.Fatal(err)
				}
			}
			text := "lib.so+0x10"
			if chain {
				text = "lib.so+0x20,0x10"
				write(base+0x20, u64(object))
			}
			e, err := address.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			r := address.NewResolver(task)
			synctest.Test(t, func(t *testing.T) {
				h := newHolder(t, task, hold.Entry{Name: text, Place: hold.At(r, e), Type: hold.Uint32, Value: u32(999)})
				h.tick()
				target.Do("unmap %#x 4096", base)
				target.Do("mapat %#x rw- 1", base) // malloc of the process
				write(base+0x20, u64(other))
				again := target.Address("file %s rw- 1 4096 private", path)
				write(again+0x20, u64(object))
				for range 5 {
					time.Sleep(round)
					h.tick()
				}
				got := func(at uint64) uint32 { return binary.NativeEndian.Uint32(target.Bytes(at+0x10, 4)) }
				if got(base) != 0 || got(other) != 0 {
					t.Errorf("it was written to the wrong place; events %v", h.events)
				}
				if place := map[bool]uint64{false: again, true: object}[chain]; got(place) != 999 {
					t.Errorf("%d is where the module lies now; want 999", got(place))
				}
			})
		})
	}
}
