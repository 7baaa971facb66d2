// SPDX-License-Identifier: Apache-2.0

package pwrite_test

import (
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

func TestWriteOnceOfNothing(t *testing.T) {
	target := testtarget.Start(t)
	base := target.Address("map rw- 1")
	for _, data := range [][]byte{nil, {}} {
		for _, address := range []uint64{base, 0, ^uint64(0)} {
			if n, err := (pwrite.ProcessVM{PID: target.PID}).WriteOnce(address, data); n != 0 || err != nil {
				t.Errorf("WriteOnce(%#x, %#v) = %d, %v; want 0 and no error", address, data, n, err)
			}
		}
	}
}
