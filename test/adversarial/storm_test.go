// SPDX-License-Identifier: Apache-2.0

package adversarial

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

const stormPages = 64

// stormControl is struct control of testdata/storm.c.
type stormControl struct {
	epoch                 [stormPages]atomic.Uint64
	faults                atomic.Uint64
	faultPage, faultKind  atomic.Uint64
	denials, disturbances atomic.Uint64
}

// stormTarget is a running storm.
type stormTarget struct {
	*program
	control *stormControl
	file    []byte   // what a shared range maps
	memory  *os.File // the target's memory, for a private range
}

// startStorm starts a storm of threads on a range that is shared or private.
func startStorm(t *testing.T, kind string, threads int) *stormTarget {
	t.Helper()
	cmd := exec.Command(testtarget.BuildC(t, "testdata/storm.c"), kind, strconv.Itoa(threads))
	var views [2][]byte
	for i, size := range []uint64{pageSize, stormPages * pageSize} {
		fd, err := unix.MemfdCreate("storm", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(fd), "storm")
		defer file.Close()
		if err := file.Truncate(int64(size)); err != nil {
			t.Fatal(err)
		}
		if views[i], err = unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
			t.Fatal(err)
		}
		view := views[i]
		t.Cleanup(func() { unix.Munmap(view) })
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	s := &stormTarget{program: start(t, cmd), file: views[1]}
	s.control = (*stormControl)(unsafe.Pointer(unsafe.SliceData(views[0])))
	if kind == "private" {
		s.file = nil
		memory, err := os.Open("/proc/" + strconv.Itoa(s.PID) + "/mem")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { memory.Close() })
		s.memory = memory
	}
	return s
}

// page returns what a page of the range holds, wherever the storm has put it.
func (s *stormTarget) page(n int) ([]byte, error) {
	if s.file != nil {
		return s.file[uint64(n)*pageSize:][:pageSize], nil
	}
	data := make([]byte, pageSize)
	deadline := time.Now().Add(testtarget.Patience)
	for {
		_, err := s.memory.ReadAt(data, int64(s.Address+uint64(n)*pageSize))
		if err == nil || !errors.Is(err, unix.EIO) || time.Now().After(deadline) {
			return data, err
		}
	}
}

// stormWriter writes into pages that no other writer writes, so it knows what
// they must hold.
type stormWriter struct {
	storm  *stormTarget
	send   func([]machcompat.Segment) error
	atomic bool
	first  int // its first page
	shadow []byte
	random *rand.Rand

	whole, partial, refused, deniedThroughout int
	faults                                    []string
}

const pagesPerWriter = 16

// write makes one write of a random shape and checks everything that is known
// of it.
func (w *stormWriter) write() {
	segments := w.segments()
	touched := map[int]uint64{}
	for _, s := range segments {
		from, to := s.Address-w.storm.Address, s.Address-w.storm.Address+uint64(len(s.Data))-1
		for page := from / pageSize; page <= to/pageSize; page++ {
			touched[int(page)] = w.storm.control.epoch[page].Load()
		}
	}
	err := w.send(segments)
	denied := map[int]bool{}
	for page, before := range touched {
		if before%2 == 1 && w.storm.control.epoch[page].Load() == before {
			denied[page] = true
		}
	}
	if len(denied) > 0 {
		w.deniedThroughout++
		if err == nil {
			w.fault("success, though page %v could not be written throughout", denied)
		}
	}
	w.apply(segments, err, denied)
	w.compare(touched, err)
}

func (w *stormWriter) fault(format string, arguments ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, arguments...))
}

// segments makes single values, ranges over several pages and batches, in which
// every byte differs from what is there.
func (w *stormWriter) segments() []machcompat.Segment {
	size := func(most int) int { return 1 + w.random.IntN(most) }
	var lengths []int
	switch w.random.IntN(3) {
	case 0:
		lengths = []int{size(8)}
	case 1:
		lengths = []int{size(8 * int(pageSize))}
	default:
		for range 2 + w.random.IntN(12) {
			lengths = append(lengths, size(600))
		}
	}
	var segments []machcompat.Segment
	for _, length := range lengths {
		offset := w.random.IntN(len(w.shadow) - length)
		data := make([]byte, length)
		for i := range data {
			data[i] = w.shadow[offset+i] ^ byte(1+w.random.IntN(255))
		}
		segments = append(segments, machcompat.Segment{Address: w.storm.Address + uint64(w.first)*pageSize + uint64(offset), Data: data})
	}
	return segments
}

// apply notes what must have arrived, by what the write reports.
func (w *stormWriter) apply(segments []machcompat.Segment, err error, denied map[int]bool) {
	arrived := segments
	if err == nil {
		w.whole++
	} else {
		e, ok := errors.AsType[*machcompat.Error](err)
		switch {
		case !ok:
			w.fault("the error is no *Error: %v", err)
			return
		case e.Code != machcompat.KERN_INVALID_ADDRESS && e.Code != machcompat.KERN_PROTECTION_FAILURE && e.Code != machcompat.KERN_MEMORY_ERROR:
			w.fault("%v", err)
		case e.Partial && w.atomic:
			w.fault("an atomic write is partial: %v", err)
		case e.Partial && e.Fault != e.Address+e.Written:
			w.fault("%d bytes at %#x were written, and the first that was not is at %#x", e.Written, e.Address, e.Fault)
		case e.Fault < e.Address || e.Fault >= e.Address+e.Size:
			w.fault("the first byte that was not written is at %#x, outside of %#x+%d", e.Fault, e.Address, e.Size)
		}
		arrived = nil
		w.refused++
		if e.Partial {
			w.partial++
			last := segments[e.Segment]
			arrived = append(arrived, segments[:e.Segment]...)
			arrived = append(arrived, machcompat.Segment{Address: last.Address, Data: last.Data[:e.Written]})
		}
	}
	base := w.storm.Address + uint64(w.first)*pageSize
	for _, s := range arrived {
		for i := range s.Data {
			if page := w.first + int((s.Address-base+uint64(i))/pageSize); denied[page] {
				w.fault("page %d could not be written throughout, and %v is reported", page, err)
				return
			}
		}
		copy(w.shadow[s.Address-base:], s.Data)
	}
}

// compare makes sure that exactly the bytes arrived that were reported.
func (w *stormWriter) compare(touched map[int]uint64, err error) {
	for page := range touched {
		got, readErr := w.storm.page(page)
		if readErr != nil {
			w.fault("reading page %d: %v", page, readErr)
			return
		}
		want := w.shadow[uint64(page-w.first)*pageSize:][:pageSize]
		if !bytes.Equal(got, want) {
			n := 0
			for i := range got {
				if got[i] != want[i] {
					n++
				}
			}
			w.fault("%d bytes of page %d are not what was reported: %v", n, page, err)
			copy(want, got)
		}
	}
}

// sender returns what makes a write through a task.
func sender(task *machcompat.Task) func([]machcompat.Segment) error {
	return func(segments []machcompat.Segment) error {
		if len(segments) == 1 {
			return task.Write(segments[0].Address, segments[0].Data)
		}
		return task.WriteBatch(segments)
	}
}

// runStorm lets four writers write into a storm, each until it has enough.
func runStorm(storm *stormTarget, send func([]machcompat.Segment) error, atomic bool, enough func(*stormWriter) bool) []*stormWriter {
	var writers []*stormWriter
	var group sync.WaitGroup
	deadline := time.Now().Add(testtarget.Patience)
	for i := range stormPages / pagesPerWriter {
		w := &stormWriter{storm: storm, send: send, atomic: atomic, first: i * pagesPerWriter, shadow: make([]byte, pagesPerWriter*pageSize)}
		w.random = rand.New(rand.NewPCG(uint64(i), uint64(time.Now().UnixNano())))
		writers = append(writers, w)
		group.Go(func() {
			for !enough(w) && time.Now().Before(deadline) {
				w.write()
			}
		})
	}
	group.Wait()
	return writers
}

// untilChanceIsOver is enough of a storm that the writers met, or of faults.
func untilChanceIsOver() func(*stormWriter) bool {
	end := time.Now().Add(testtarget.Chance())
	return func(w *stormWriter) bool {
		return len(w.faults) >= 10 || w.met() && time.Now().After(end)
	}
}

// met reports whether the storm let a write through, and another not.
func (w *stormWriter) met() bool {
	return w.whole > 0 && w.refused > 0 && w.storm.control.denials.Load() > 0
}

// report fails the test for each fault that the writers found, and for a storm
// in which nothing happened.
func report(t *testing.T, storm *stormTarget, writers []*stormWriter) {
	t.Helper()
	var whole, partial, refused, denied int
	for i, w := range writers {
		for _, fault := range w.faults {
			t.Errorf("writer %d: %s", i, fault)
		}
		if !w.met() {
			t.Errorf("the storm and writer %d did not meet", i)
		}
		whole, partial, refused, denied = whole+w.whole, partial+w.partial, refused+w.refused, denied+w.deniedThroughout
	}
	t.Logf("%d whole writes, %d refused, %d of those in part, %d with a page denied throughout; %d epochs, %d disturbances, %d epochs in which a byte arrived",
		whole, refused, partial, denied, storm.control.denials.Load(), storm.control.disturbances.Load(), storm.control.faults.Load())
}

// Attack 1. Everything that is reported of a write is compared with what arrived,
// for every write.
func TestMappingStorm(t *testing.T) {
	for _, kind := range []string{"shared", "private"} {
		for _, mode := range modes {
			t.Run(kind+", "+mode.name, func(t *testing.T) {
				t.Parallel()
				storm := startStorm(t, kind, 4)
				task := taskFor(t, storm.PID, mode.options...)
				writers := runStorm(storm, sender(task), mode.name == "atomic", untilChanceIsOver())
				report(t, storm, writers)
				if err := storm.verdict(); err != nil {
					t.Error(err)
				}
				if faults := storm.control.faults.Load(); mode.stops && faults > 0 {
					t.Errorf("in %d epochs in which a page could not be written, a byte arrived; the last was page %d, denied by %d",
						faults, storm.control.faultPage.Load(), storm.control.faultKind.Load())
				}
			})
		}
	}
}
