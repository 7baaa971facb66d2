// SPDX-License-Identifier: Apache-2.0

package pwrite_test

import (
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// A goroutine's stack moves when it grows, which it does at whatever call comes when it
// is full; so each depth from which a batch is moved makes another call the one.
func TestBytesOnAStackThatMoves(t *testing.T) {
	target := testtarget.Start(t)
	base := target.Address("map rw- 1")
	vm := pwrite.ProcessVM{PID: target.PID}
	for depth := range 600 {
		var answer [2]byte
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			answer, err = exchangeAt(depth, vm, base)
		}()
		<-done
		if want := [2]byte{byte(depth), byte(depth + 1)}; err != nil || answer != want {
			t.Fatalf("from depth %d: read %v, %v; want %v", depth, answer, err, want)
		}
	}
}

// exchangeAt writes two segments and reads them, all of it on the stack.
//
//go:noinline
func exchangeAt(depth int, vm pwrite.ProcessVM, base uint64) ([2]byte, error) {
	if depth > 0 {
		answer, err := exchangeAt(depth-1, vm, base)
		answer[0]++
		answer[1]++
		return answer, err
	}
	from, to := [2]byte{0, 1}, [2]byte{}
	segments := [2]pwrite.Segment{{Address: base, Data: from[:1]}, {Address: base + 100, Data: from[1:]}}
	if _, err := vm.Write(segments[:]); err != nil {
		return to, err
	}
	segments[0].Data, segments[1].Data = to[:1], to[1:]
	_, err := vm.Read(segments[:])
	return to, err
}
