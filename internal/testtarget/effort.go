// SPDX-License-Identifier: Apache-2.0

package testtarget

import (
	"fmt"
	"iter"
	"os"
	"slices"
	"time"
)

// EffortVariable names the environment variable that says how much of what could be
// tried a run tries:
//
//   - quick, the default: each promise once, at the size that proves it;
//   - ci: every case at its full size, and 3 s for each test that counts on chance;
//   - long: 2 minutes for each of those.
const EffortVariable = "VMWRITE_TEST_EFFORT"

// chances are how long each effort gives a test that counts on chance.
var chances = map[string]time.Duration{"quick": 200 * time.Millisecond, "ci": 3 * time.Second, "long": 2 * time.Minute}

// effort is that of this run.
var effort = func() string {
	effort := os.Getenv(EffortVariable)
	if effort == "" {
		return "quick"
	}
	if _, ok := chances[effort]; !ok {
		fmt.Fprintf(os.Stderr, "%s is %q; want quick, ci or long\n", EffortVariable, effort)
		os.Exit(2)
	}
	return effort
}()

// Full reports whether every case is tried, at its full size.
func Full() bool { return effort != "quick" }

// Chance returns how long a test that counts on chance goes on: a storm, a search
// for the moment in which something fails.
func Chance() time.Duration { return chances[effort] }

// Rounds yields 0, 1, 2 and so on: as many as least, then more until the time for
// chance is over.
func Rounds(least int) iter.Seq[int] {
	return func(yield func(int) bool) {
		end := time.Now().Add(Chance())
		for round := 0; round < least || time.Now().Before(end); round++ {
			if !yield(round) {
				return
			}
		}
	}
}

// Sized returns the full size of something, or its small twin in a quick run.
func Sized[T any](small, full T) T {
	if Full() {
		return full
	}
	return small
}

// Some returns all cases, or in a quick run as many as few of them, spread evenly.
// Which ones turns with the number of the caller, so that callers with the same
// cases and other numbers try others.
func Some[T any](cases []T, few, number int) []T {
	if Full() || few >= len(cases) {
		return cases
	}
	var some []T
	for i := range few {
		some = append(some, cases[(i*len(cases)/few+number)%len(cases)])
	}
	return slices.Clip(some)
}
