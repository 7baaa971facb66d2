// SPDX-License-Identifier: Apache-2.0

package adversarial

import (
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
)

// Attack 2, the proof that the oracles of the storm see what they are for: with
// the stop waived, with the check left out, and with a byte lost, each of them
// must find a fault.
func TestTheOracleFindsAWriteWithoutTheStop(t *testing.T) {
	testtarget.Need(t, "forced writes")
	storm := startStorm(t, "private", 4)
	task := taskFor(t, storm.PID, machcompat.WithBackend(machcompat.ProcMem), machcompat.WithStop(machcompat.StopNever))
	begin := time.Now()
	runStorm(storm, sender(task), false, func(*stormWriter) bool { return storm.control.faults.Load() > 0 })
	if storm.control.faults.Load() == 0 {
		t.Fatal("no byte arrived in a page that could not be written, though nothing was stopped")
	}
	t.Logf("the target found a fault after %v", time.Since(begin).Round(time.Millisecond))
}

func TestTheOracleFindsAWriteWithoutTheCheck(t *testing.T) {
	testtarget.Need(t, "forced writes")
	storm := startStorm(t, "private", 4)
	memory, err := pwrite.OpenProcMem(storm.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	unchecked := func(segments []machcompat.Segment) error {
		place, err := memory.Write(segments)
		if err == nil {
			return nil
		}
		s := segments[place.Segment]
		at := s.Address + uint64(place.Offset)
		return &machcompat.Error{Segment: place.Segment, Address: s.Address, Size: uint64(len(s.Data)), Written: uint64(place.Offset),
			Partial: place.Moved(segments) > 0, Fault: at, Code: machcompat.KERN_INVALID_ADDRESS}
	}
	mustFind(t, storm, unchecked, "could not be written throughout", 1)
}

func TestTheOracleFindsALostByte(t *testing.T) {
	storm := startStorm(t, "shared", 4)
	task := taskFor(t, storm.PID)
	careless := func(segments []machcompat.Segment) error {
		last := &segments[len(segments)-1]
		if len(last.Data) == 1 {
			return sender(task)(segments)
		}
		shorter := append([]machcompat.Segment(nil), segments...)
		shorter[len(segments)-1].Data = last.Data[:len(last.Data)-1]
		return sender(task)(shorter)
	}
	mustFind(t, storm, careless, "are not what was reported", 0)
}

// mustFind storms until each writer has found a fault of a kind, and the target as
// many as it must.
func mustFind(t *testing.T, storm *stormTarget, send func([]machcompat.Segment) error, want string, faultsOfTarget uint64) {
	t.Helper()
	found := func(w *stormWriter) bool {
		return storm.control.faults.Load() >= faultsOfTarget && strings.Contains(strings.Join(w.faults, "\n"), want)
	}
	for i, w := range runStorm(storm, send, false, found) {
		if !found(w) {
			t.Errorf("writer %d found no fault that says %q: %q; the target found %d", i, want, w.faults, storm.control.faults.Load())
		}
	}
}

// Attack 2. One page at a time changes hands quickly while ranges of all pages
// are written: the time in which a byte can be on its way is as long as it gets.
// Where the target is stopped, none may arrive late. Where it is not, the kernel
// looks at the protection of up to 1024 pages and then copies, so a byte can
// arrive in a page that was protected meanwhile: never in one that was protected
// when the call began.
func TestNoByteArrivesInAnEpochThatForbidsIt(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			storm := startStorm(t, "private", 1)
			task := taskFor(t, storm.PID, mode.options...)
			w := &stormWriter{storm: storm, first: 0}
			refused, whole := 0, 0
			data := make([]byte, stormPages*pageSize)
			met := func() bool { return whole > 0 && storm.control.denials.Load() > 0 }
			end, deadline := time.Now().Add(testtarget.Chance()), time.Now().Add(testtarget.Patience)
			for (!met() || time.Now().Before(end)) && time.Now().Before(deadline) {
				for i := range data {
					data[i]++
				}
				var denied []int
				epochs := w.epochs()
				err := task.Write(storm.Address, data)
				for page, after := range w.epochs() {
					if after%2 == 1 && after == epochs[page] {
						denied = append(denied, page)
					}
				}
				switch {
				case err == nil && len(denied) > 0:
					t.Fatalf("success, though pages %v could not be written throughout", denied)
				case err == nil:
					whole++
				default:
					refused++
				}
			}
			late := int(storm.control.faults.Load())
			t.Logf("%d whole writes of %d pages, %d refused; %d epochs, in %d of them a byte arrived", whole, stormPages, refused, storm.control.denials.Load(), late)
			if mode.stops && late > 0 {
				t.Errorf("in %d epochs in which the page could not be written, a byte arrived", late)
			}
			if !met() {
				t.Error("the storm and the writes did not meet")
			}
			if err := storm.verdict(); err != nil {
				t.Error(err)
			}
		})
	}
}

// epochs returns the epoch of every page now.
func (w *stormWriter) epochs() (epochs [stormPages]uint64) {
	for page := range epochs {
		epochs[page] = w.storm.control.epoch[page].Load()
	}
	return epochs
}
