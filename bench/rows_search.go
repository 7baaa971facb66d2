// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"github.com/vmwrite/vmwrite/pkg/search"
)

// What is looked for is once in the memory, at its end.
const (
	soughtNumber  = 123456789
	soughtPattern = "48 8B 05 ?? C3"
)

// searching is row 14.
func (b *bench) searching() (row, error) {
	size := b.bulk()
	r := row{
		number: 14, title: "searching " + byteCount(float64(size)),
		setup: "`search.First` for an aligned i32 and for a pattern with four fixed bytes, in memory of small numbers, zeros, pointers and noise, against C that reads the same memory in as large blocks, with as many threads, and looks at nothing; and against gdb and scanmem as whole programs, which stop the target meanwhile. What is looked for is there once, at the end, and each must find it.",
	}
	v, err := b.victimWith(nil, "region %d touched", size)
	if err != nil {
		return r, err
	}
	if err := fillForSearch(v, size); err != nil {
		return r, err
	}
	number, err := search.Equal(int32(soughtNumber))
	if err != nil {
		return r, err
	}
	pattern, err := search.ParsePattern(soughtPattern)
	if err != nil {
		return r, err
	}
	threads := []int{1}
	if b.severalCores() {
		threads = append(threads, runtime.GOMAXPROCS(0))
	}
	for _, n := range threads {
		before := runtime.GOMAXPROCS(n + 1) // as vmwrite scan does: see search.Options
		all, err := b.measure(&r, b.bulkRounds(size), fmt.Sprintf("threads: %d", n),
			once("search.First, i32", nil, v.search(b, number, size, n)),
			once("search.First, pattern", nil, v.search(b, pattern, size, n)),
			aside(once("C: process_vm_readv, 256 KiB a call", nil, v.raw.timed("readall %#x %d %d", v.address, size, n))),
			aside(once("Go: process_vm_readv, 256 KiB a call", nil, v.readAll(size, n))))
		runtime.GOMAXPROCS(before)
		if err != nil {
			return r, err
		}
		for i, what := range []string{"an i32", "a pattern"} {
			r.atLeast(fmt.Sprintf("searching for %s, %d threads, throughput to reading", what, n), all[i].timesOver(all[2]), 0.75)
			r.dependsOn("how fast memory is copied, against the comparison of what is in the cache")
		}
	}
	return r, b.searchPrograms(&r, v, number, size)
}

// fillForSearch makes the memory what that of a program is like.
func fillForSearch(v victim, size int) error {
	random := rand.New(rand.NewPCG(1, 2))
	block := make([]byte, min(size, 16<<20))
	for at := 0; at < len(block); at += 8 {
		word := random.Uint64()
		switch word % 4 {
		case 0:
			word = word >> 32 % 2000
		case 1:
			word = 0
		case 2:
			word = 0x7f00_0000_0000 | word>>32
		}
		binary.NativeEndian.PutUint64(block[at:], word)
	}
	for at := 0; at < size; at += len(block) {
		if err := v.task.Write(v.address+uint64(at), block[:min(len(block), size-at)]); err != nil {
			return err
		}
	}
	last := []byte{0x48, 0x8b, 0x05, 0xff, 0xc3, 0, 0, 0, 0, 0, 0, 0}
	binary.NativeEndian.PutUint32(last[8:], soughtNumber)
	return v.task.Write(v.address+uint64(size-len(last)), last)
}

// search makes a timed of first searches that must find one match.
func (v victim) search(b *bench, what search.Matcher, size, threads int) timed {
	return repeat(func() error {
		o := search.Options{Threads: threads, Within: []search.Range{{Start: v.address, End: v.address + uint64(size)}}}
		found := 0
		for _, err := range search.First(b.ctx, v.task, what, o).All() {
			if err != nil {
				return err
			}
			found++
		}
		if found != 1 {
			return fmt.Errorf("%d were found; want 1", found)
		}
		return nil
	})
}

// readAll makes a timed of what "readall" of the C program does. What is between the two
// is Go's.
func (v victim) readAll(size, threads int) timed {
	const block = 256 << 10
	return repeat(func() error {
		var next atomic.Int64
		ends := make(chan error, threads)
		work := func() (err error) {
			memory := make([]byte, block)
			for at := int(next.Add(block)) - block; at < size && err == nil; at = int(next.Add(block)) - block {
				part := []pwrite.Segment{{Address: v.address + uint64(at), Data: memory[:min(block, size-at)]}}
				_, err = pwrite.ProcessVM{PID: v.pid()}.Read(part)
			}
			return err
		}
		for range threads {
			go func() { ends <- work() }()
		}
		var err error
		for range threads {
			err = errors.Join(err, <-ends)
		}
		return err
	})
}

// searchPrograms compares a search for the number with those of programs.
func (b *bench) searchPrograms(r *row, v victim, number *search.Value, size int) error {
	pid := strconv.Itoa(v.pid())
	contenders := []contender{once("search.First, i32", nil, v.search(b, number, size, 0))}
	peers := []struct {
		name  string
		least float64
		sign  string // of success, in the output
		args  []string
	}{
		{"gdb", 2, "1 pattern found", []string{"-p", pid, "-batch", "-nx", "-ex", fmt.Sprintf("find /w %#x, +%d, %d", v.address, size, soughtNumber)}},
		{"scanmem", 5, "we currently have 1 match", []string{"-p", pid, "-c", fmt.Sprintf("option scan_data_type int32;option region_scan_level 3;%d;exit", soughtNumber)}},
	}
	present := peers[:0]
	for _, p := range peers {
		if !b.tools.has(p.name) {
			continue
		}
		present = append(present, p)
		contenders = append(contenders, once(p.name, nil, func(int) (time.Duration, error) {
			start := time.Now()
			out, err := exec.Command(b.tools.peers[p.name], p.args...).CombinedOutput()
			took := time.Since(start)
			if err == nil && !strings.Contains(string(out), p.sign) {
				err = fmt.Errorf("it found something else: %s", out)
			}
			return took, err
		}))
	}
	if len(present) == 0 {
		return nil
	}
	all, err := b.measure(r, b.size.longRounds, "to other programs, an i32", contenders...)
	if err != nil {
		return err
	}
	for i, p := range present {
		r.atLeast("searching for an i32, speed to "+p.name, all[0].timesOver(all[i+1]), p.least)
		r.dependsOn("the cores: the others use one")
	}
	return nil
}
