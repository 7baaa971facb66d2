// SPDX-License-Identifier: Apache-2.0

package pwrite_test

import (
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// A goroutine's stack moves when it grows, which it does at whatever call comes when it
// is full; so each depth from which a batch is read makes another call the one. Only a
// read shows it: what is written is still to be found where the stack was.
func TestBytesOnAStackThatMoves(t *testing.T) {
	target := testtarget.Start(t)
	base := target.Address("map rw- 1")
	vm := pwrite.ProcessVM{PID: target.PID}
	want := [2]byte{42, 43}
	if _, err := vm.Write([]pwrite.Segment{{Address: base, Data: want[:1]}, {Address: base + 100, Data: want[1:]}}); err != nil {
		t.Fatal(err)
	}
	for depth := range 600 {
		var got [2]byte
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			got, err = readAt(depth, vm, base)
		}()
		<-done
		if err != nil || got != want {
			t.Fatalf("from depth %d: read %v, %v; want %v", depth, got, err, want)
		}
	}
}

// readAt reads two segments, all of it on the stack.
//
//go:noinline
func readAt(depth int, vm pwrite.ProcessVM, base uint64) ([2]byte, error) {
	if depth > 0 {
		got, err := readAt(depth-1, vm, base)
		return got, err
	}
	var to [2]byte
	segments := [2]pwrite.Segment{{Address: base, Data: to[:1]}, {Address: base + 100, Data: to[1:]}}
	_, err := vm.Read(segments[:])
	return to, err
}
