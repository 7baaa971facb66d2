// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/patch"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// memory is a byte slice as what a patch is for: at an address, and of no process.
type memory struct {
	address uint64
	data    []byte
}

func (m memory) PID() int { return 0 }

func (m memory) Regions() iter.Seq2[procmaps.Mapping, error] {
	return func(yield func(procmaps.Mapping, error) bool) {
		all := procmaps.Mapping{}
		all.Start, all.End, all.Perms = m.address, m.address+uint64(len(m.data)), procmaps.Read|procmaps.Write
		yield(all, nil)
	}
}

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.data).ReadAt(p, off-int64(m.address))
}

func (m memory) ReadBatch(segments []machcompat.Segment) error {
	for _, s := range segments {
		if n, err := m.ReadAt(s.Data, int64(s.Address)); n < len(s.Data) {
			return errors.Join(io.ErrUnexpectedEOF, err)
		}
	}
	return nil
}

func (m memory) Stopped(_ context.Context, f func(patch.Stopped) error) error { return f(m) }

func (m memory) CompareAndWrite(changes []machcompat.Change) error {
	for _, c := range changes {
		if at := m.data[c.Address-m.address:]; !bytes.HasPrefix(at, c.Old) {
			return machcompat.ErrMismatch
		}
	}
	for _, c := range changes {
		copy(m.data[c.Address-m.address:], c.New)
	}
	return nil
}

func (memory) Protect(uint64, uint64, bool, machcompat.VMProt) error { return nil }
func (memory) Threads() ([]machcompat.Thread, error)                 { return nil, nil }
func (memory) ThreadState(int) (s machcompat.ThreadState, err error) { return s, nil }
func (memory) RunThread(int, time.Duration) error                    { return nil }
