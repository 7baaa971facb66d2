// SPDX-License-Identifier: Apache-2.0

package search

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// mixture is memory as programs have it: small numbers, zeros, pointers and noise.
func mixture(size int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, size)
	for i := 0; i+8 <= size; i += 8 {
		word := random.Uint64()
		switch word % 4 {
		case 0:
			word = word >> 32 % 2000
		case 1:
			word = 0
		case 2:
			word = 0x7f00_0000_0000 | word>>32
		}
		binary.NativeEndian.PutUint64(b[i:], word)
	}
	return b
}

// patterns are what is looked for at the speed that is promised, and what takes longer.
var patterns = []struct {
	name string
	what Matcher
}{
	{"four bytes", must(ParsePattern("48 8B 05 ?? C3"))},
	{"i32", must(Equal(int32(123456789)))},
	{"small i32", must(Equal(int32(100)))},
	{"f32", must(ParseValue(F32, "100"))},
	{"f32 near 0", must(ParseValue(F32, "0"))},
	{"range of i32", must(Between(int32(100_000), 200_000))},
	{"half a byte", must(ParsePattern("4? ?? ?? ?7"))},
}

func BenchmarkFirst(b *testing.B) {
	const size = 256 << 20
	target := testtarget.Start(b)
	base := target.Address("map rw- %d", size/page)
	task := must(machcompat.TaskForPID(target.PID))
	defer task.Close()
	for at, part := uint64(0), mixture(16<<20); at < size; at += uint64(len(part)) {
		if err := task.Write(base+at, part); err != nil {
			b.Fatal(err)
		}
	}
	for _, threads := range []int{1, 2} {
		reading := func(name string, m io.ReaderAt) {
			b.Run(fmt.Sprintf("%d threads/%s", threads, name), func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					readAll(b, m, base, size, threads)
				}
			})
		}
		reading("reading", processVM{target.PID})
		reading("reading by Task", task)
		for _, p := range patterns {
			b.Run(fmt.Sprintf("%d threads/%s", threads, p.name), func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					for _, err := range First(context.Background(), task, p.what, Options{Threads: threads, Within: []Range{{base, base + size}}}).All() {
						if err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

type processVM struct{ pid int }

func (p processVM) ReadAt(b []byte, offset int64) (int, error) {
	_, err := pwrite.ProcessVM{PID: p.pid}.Read([]pwrite.Segment{{Address: uint64(offset), Data: b}})
	return len(b), err
}

// readAll reads in the blocks of a search.
func readAll(b *testing.B, m io.ReaderAt, base, size uint64, threads int) {
	var group sync.WaitGroup
	var next atomic.Uint64
	for range threads {
		group.Go(func() {
			block := make([]byte, blockSize)
			for {
				at := next.Add(blockSize) - blockSize
				if at >= size {
					return
				}
				if _, err := m.ReadAt(block, int64(base+at)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func BenchmarkScan(b *testing.B) {
	data := mixture(blockSize)
	for _, p := range patterns {
		b.Run(p.name, func(b *testing.B) {
			s := newScanner(p.what.compiled())
			var found []uint32
			b.SetBytes(blockSize)
			for b.Loop() {
				found = s.scan(found[:0], data, 0, len(data))
			}
			b.ReportMetric(float64(len(found)), "found")
		})
	}
}
