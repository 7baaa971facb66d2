// SPDX-License-Identifier: Apache-2.0

package search

import (
	"context"
	"errors"
	"iter"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

func TestMain(m *testing.M) { os.Exit(testtarget.Main(m)) }

var page = os.Getpagesize()

var (
	errUnreadable = errors.New("the page can't be read")
	errGone       = errors.New("the process is gone")
)

// fake is memory that is made of slices.
type fake struct {
	parts []part
	gone  atomic.Bool
}

// part is a mapping.
type part struct {
	mapping    procmaps.Mapping
	data       []byte
	unreadable []int // pages of it
}

const rw = procmaps.Read | procmaps.Write

// at is a mapping of data at an address. The data's last page may be cut off.
func at(address uint64, data []byte, unreadable ...int) part {
	return part{procmaps.Mapping{Start: address, End: address + uint64(len(data)), Perms: rw, Inode: 1, Path: "/f"}, data, unreadable}
}

func (f *fake) PID() int { return 0 }

func (f *fake) Regions() iter.Seq2[procmaps.Mapping, error] {
	return func(yield func(procmaps.Mapping, error) bool) {
		if f.gone.Load() {
			yield(procmaps.Mapping{}, errGone)
			return
		}
		for _, p := range f.parts {
			if !yield(p.mapping, nil) {
				return
			}
		}
	}
}

func (f *fake) ReadAt(b []byte, offset int64) (n int, err error) {
	for n < len(b) {
		address := uint64(offset) + uint64(n)
		i := slices.IndexFunc(f.parts, func(p part) bool { return p.mapping.Contains(address) })
		if f.gone.Load() || i < 0 {
			return n, errUnreadable
		}
		in := int(address - f.parts[i].mapping.Start)
		if slices.Contains(f.parts[i].unreadable, in/page) {
			return n, errUnreadable
		}
		n += copy(b[n:], f.parts[i].data[in:min(len(f.parts[i].data), (in/page+1)*page)])
	}
	return n, nil
}

func (f *fake) ReadBatch(segments []pwrite.Segment) error {
	for _, s := range segments {
		if _, err := f.ReadAt(s.Data, int64(s.Address)); err != nil {
			return err
		}
	}
	return nil
}

// found is a match with bytes of its own.
type found struct {
	Address, At uint64
	Bytes       string
}

func all(t testing.TB, s *Search) (matches []found) {
	t.Helper()
	for m, err := range s.All() {
		if err != nil {
			t.Fatal(err)
		}
		matches = append(matches, found{m.Address, m.At, string(m.Bytes)})
	}
	return matches
}

func addresses(matches []found) (addresses []uint64) {
	for _, m := range matches {
		addresses = append(addresses, m.Address)
	}
	return addresses
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// search is a search of memory for what is looked for, in the order of addresses.
func search(t testing.TB, m Memory, what Matcher, o Options) []found {
	t.Helper()
	return all(t, First(context.Background(), m, what, o))
}
