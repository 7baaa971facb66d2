// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// BenchmarkApplyAndUndo applies changes of 8 bytes, side by side, and undoes them.
func BenchmarkApplyAndUndo(b *testing.B) {
	for _, count := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			target := testtarget.Start(b)
			task, err := machcompat.TaskForPID(target.PID)
			if err != nil {
				b.Fatal(err)
			}
			defer task.Close()
			base := target.Address("map rw- %d", count*8/int(machcompat.HostPageSize())+1)
			p := &Patch{Name: "bench"}
			for i := range count {
				at, err := address.Parse(fmt.Sprintf("%#x", base+uint64(i*8)))
				if err != nil {
					b.Fatal(err)
				}
				p.Changes = append(p.Changes, Change{At: at, Old: target.Bytes(base+uint64(i*8), 8), New: []byte("new byte")})
			}
			plan, err := p.Resolve(context.Background(), Of(task), Options{Journal: &Journal{filepath.Join(b.TempDir(), "journal")}})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := plan.Apply(context.Background()); err != nil {
					b.Fatal(err)
				}
				if err := plan.Undo(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
