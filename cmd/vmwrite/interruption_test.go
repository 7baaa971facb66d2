// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A call that the kernel holds is made of a channel here; test/adversarial has
// the real one.
func TestWhichSignalEndsWhichCall(t *testing.T) {
	// The first watch of a program starts a goroutine that stays: not in a bubble.
	watchSignals().stop()
	errOfCall := errors.New("the call's own")
	const never = time.Hour
	for _, c := range []struct {
		name    string
		ends    ending
		signals int
		takes   time.Duration // how long the call takes after the signals
		want    error
		notes   string
		after   time.Duration // when it returns
	}{
		{"no signal", endsSoon, 0, 0, errOfCall, "", 0},
		{"a look is left at once", endsAtOnce, 1, never, errGivenUp, "", promptly},
		{"a write that ends soon is waited for", endsSoon, 1, patience / 10, errOfCall, "", patience / 10},
		{"a write is left after some time", endsSoon, 1, never, errGivenUp, "", promptly + patience},
		{"a write is left at once the second time", endsSoon, 2, never, errGivenUp, "", promptly},
		{"what must be whole is waited for", endsWhenForced, 1, 2 * patience, errOfCall, "must come to its end", 2 * patience},
		{"what must be whole is left the second time", endsWhenForced, 2, never, errGivenUp, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var notes bytes.Buffer
				i, made := watchSignals(), caller{streams: streams{err: &notes}}
				defer i.stop()
				begin := time.Now()
				for range c.signals {
					i.signals <- os.Interrupt
				}
				err := made.make(i, c.ends, func() error {
					time.Sleep(c.takes)
					return errOfCall
				})
				if !errors.Is(err, c.want) {
					t.Errorf("the error is %v; want %v", err, c.want)
				}
				if !strings.Contains(notes.String(), c.notes) || (c.notes == "") != (notes.Len() == 0) {
					t.Errorf("the notes are %q; want %q", notes.String(), c.notes)
				}
				took := time.Since(begin)
				time.Sleep(c.takes) // the call that was left behind must end in the bubble
				if took != c.after {
					t.Errorf("it took %v; want %v", took, c.after)
				}
			})
		})
	}
}

func TestPanicInACallIsABug(t *testing.T) {
	i, made := watchSignals(), caller{streams: streams{err: io.Discard}}
	defer i.stop()
	err := made.make(i, endsSoon, func() error { panic("a fault of ours") })
	if exitStatus(err) != exitBug || !strings.Contains(err.Error(), "a fault of ours") || !strings.Contains(err.Error(), "interruption_test.go") {
		t.Errorf("the error is %v; want a bug with its place", err)
	}
}

// A signal ends the program as long as it does not watch, and what must not be left
// half done would be.
func TestACallThatMustNotEndHalfDoneIsWatched(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	i, made := newInterruption(), caller{streams: streams{err: io.Discard}}
	defer i.stop()
	watched := true
	err := made.make(i, endsWhenForced, func() error {
		i.begin.Do(func() { watched = false })
		return nil
	})
	if err != nil || !watched {
		t.Errorf("make = %v; signals are watched during the call: %v", err, watched)
	}
}
