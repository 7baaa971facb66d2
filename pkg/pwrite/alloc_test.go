// SPDX-License-Identifier: Apache-2.0

//go:build !race

// With the race detector pwrite(2) moves its bytes to the heap.

package pwrite_test

import (
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

func TestMovingAllocatesNothing(t *testing.T) {
	target := testtarget.Start(t)
	base := target.Address("map rw- 16")
	vm, mem := pwrite.ProcessVM{PID: target.PID}, procMem(t, target.PID)
	many := tiny(pwrite.MaxSegments)(base)
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		f    func()
	}{
		{"process_vm_writev of bytes on the stack", func() {
			data := [8]byte{1, 2, 3}
			segments := [1]pwrite.Segment{{Address: base, Data: data[:]}}
			_, err := vm.Write(segments[:])
			check(err)
		}},
		{"process_vm_writev of pages on the stack", func() {
			data := [3 << 14]byte{1, 2, 3}
			segments := [1]pwrite.Segment{{Address: base, Data: data[:]}}
			_, err := vm.Write(segments[:])
			check(err)
		}},
		{"process_vm_readv to the stack", func() {
			var data [8]byte
			segments := [1]pwrite.Segment{{Address: base, Data: data[:]}}
			_, err := vm.Read(segments[:])
			check(err)
		}},
		{"process_vm_writev of a few segments on the stack", func() {
			data := [8]byte{1, 2, 3}
			segments := [2]pwrite.Segment{{Address: base, Data: data[:4]}, {Address: base + 100, Data: data[4:]}}
			_, err := vm.Write(segments[:])
			check(err)
		}},
		{"process_vm_writev of as many segments as a call takes", func() {
			_, err := vm.Write(many)
			check(err)
		}},
		{"pwrite of bytes on the stack", func() {
			data := [8]byte{1, 2, 3}
			segments := [1]pwrite.Segment{{Address: base, Data: data[:]}}
			_, err := mem.Write(segments[:])
			check(err)
		}},
		{"pwrite of many segments", func() {
			_, err := mem.Write(many)
			check(err)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if allocations := testing.AllocsPerRun(100, test.f); allocations != 0 {
				t.Errorf("%v allocations; want 0", allocations)
			}
		})
	}
}
