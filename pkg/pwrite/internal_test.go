// SPDX-License-Identifier: Apache-2.0

package pwrite

import (
	"errors"
	"io"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// script is a move that answers as the kernel rarely does.
type script []struct {
	n   int
	err error
}

func (s *script) move(places *[]Position) func(Position) (int, error) {
	return func(p Position) (int, error) {
		*places = append(*places, p)
		step := (*s)[0]
		*s = (*s)[1:]
		return step.n, step.err
	}
}

func TestTransferGoesOnFromTheFirstMissingByte(t *testing.T) {
	segments := []Segment{{Address: 0x1000, Data: make([]byte, 10)}, {}, {Address: 0x2000, Data: make([]byte, 5)}, {}}
	tests := []struct {
		name   string
		script script
		places []Position // where each call begins
		end    Position
		err    error
	}{
		{"all in one call", script{{15, nil}}, []Position{{0, 0}}, Position{4, 0}, nil},
		{"a byte at a time at the seam", script{{9, nil}, {1, nil}, {1, nil}, {4, nil}}, []Position{{0, 0}, {0, 9}, {2, 0}, {2, 1}}, Position{4, 0}, nil},
		{"a short count over the seam", script{{12, nil}, {3, nil}}, []Position{{0, 0}, {2, 2}}, Position{4, 0}, nil},
		{"a signal before the first byte, twice", script{{-1, unix.EINTR}, {-1, unix.EINTR}, {15, nil}}, []Position{{0, 0}, {0, 0}, {0, 0}}, Position{4, 0}, nil},
		{"a signal in the middle", script{{3, nil}, {-1, unix.EINTR}, {12, nil}}, []Position{{0, 0}, {0, 3}, {0, 3}}, Position{4, 0}, nil},
		{"an error after a short count", script{{10, nil}, {-1, unix.EFAULT}}, []Position{{0, 0}, {2, 0}}, Position{2, 0}, unix.EFAULT},
		{"a call that moves nothing and says nothing", script{{3, nil}, {0, nil}}, []Position{{0, 0}, {0, 3}}, Position{0, 3}, io.ErrNoProgress},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var places []Position
			end, err := transfer("call", segments, test.script.move(&places))
			if end != test.end || !errors.Is(err, test.err) || !slices.Equal(places, test.places) {
				t.Errorf("transfer = %v, %v by calls at %v; want %v, %v at %v", end, err, places, test.end, test.err, test.places)
			}
			transferError, failed := errors.AsType[*TransferError](err)
			if failed != (test.err != nil) {
				t.Fatalf("%v is no TransferError", err)
			}
			if address, _ := end.next(append(segments, Segment{})); failed && transferError.Address != address {
				t.Errorf("%v; want address %#x", err, address)
			}
		})
	}
}
