// SPDX-License-Identifier: Apache-2.0

package linux

import "testing"

// A stack moves when it grows, at whatever call comes when it is full, those too that
// -race and -d=checkptr add.
func TestHiddenBytesMoveWithTheStack(t *testing.T) {
	for depth := range 2000 {
		same := make(chan bool)
		go func() { same <- hidesAt(depth) }()
		if !<-same {
			t.Fatalf("from depth %d what is hidden lies elsewhere", depth)
		}
	}
}

//go:noinline
func hidesAt(depth int) bool {
	if depth > 0 {
		same := hidesAt(depth - 1)
		return same
	}
	return hides()
}

//go:noinline
func hides() bool {
	var b [8]byte
	hidden := Hide(b[:])
	hidden[1] = 9
	return &hidden[0] == &b[0] && b[1] == 9
}
