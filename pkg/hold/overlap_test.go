// SPDX-License-Identifier: Apache-2.0

package hold_test

import (
	"errors"
	"testing"

	"github.com/vmwrite/vmwrite/pkg/hold"
)

func TestNewRefusesValuesThatOverlap(t *testing.T) {
	for _, c := range []struct {
		name  string
		where []uint64 // of values of 4 bytes
		wrong int      // -1 for none
	}{
		{"apart", []uint64{0x1008, 0x1000, 0x1004}, -1},
		{"at one address", []uint64{0x2000, 0x1000, 0x2000}, 2},
		{"in part", []uint64{0x1003, 0x2000, 0x1000}, 2},
		{"at the end of all addresses", []uint64{0xfffffffffffffffc, 0}, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var entries []hold.Entry
			for _, at := range c.where {
				entries = append(entries, constant("value", hold.Fixed(at), 5))
			}
			_, err := hold.New(nil, entries)
			refused, ok := errors.AsType[*hold.EntryError](err)
			if (c.wrong < 0) != (err == nil) || (ok && refused.Entry != c.wrong) {
				t.Errorf("the error is %v; want one of entry %d", err, c.wrong)
			}
		})
	}
}
