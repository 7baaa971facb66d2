// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"context"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// The rates of [Holder.Run], in ticks a second (Hz).
const (
	DefaultRate = 60
	MaxRate     = 1000
)

// Run makes ticks until ctx is done, rate of them a second, the first at once. The
// schedule does not drift: a tick that comes late is followed by the next at its own
// time. Those whose time has passed before they could begin are counted as late, and
// not made up for.
//
// The error is nil when ctx is done, else that of [Holder.Tick]. The summary is of
// all ticks that were made. A rate that is not above 0 and up to [MaxRate] is refused.
func (h *Holder) Run(ctx context.Context, rate float64) (Summary, error) {
	if !(rate > 0 && rate <= MaxRate) {
		return h.summary, fmt.Errorf("a rate of %v a second: want more than 0, and at most %d", rate, MaxRate)
	}
	period := time.Duration(min(float64(time.Second)/rate, math.MaxInt64/2))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next := time.Now(); ctx.Err() == nil; {
		if err := h.Tick(); err != nil {
			return h.summary, err
		}
		next = next.Add(period)
		if behind := time.Since(next); behind >= 0 {
			late := behind/period + 1
			h.summary.Late += uint64(late)
			next = next.Add(late * period)
		}
		waitUntil(ctx, next, timer)
	}
	return h.summary, nil
}

// waitUntil waits until a time, or until ctx is done. The timers of Go may be a
// millisecond late, which is the whole of a short period.
func waitUntil(ctx context.Context, at time.Time, timer *time.Timer) {
	const short = 2 * time.Millisecond
	wait := time.Until(at)
	if wait <= short {
		t := unix.NsecToTimespec(int64(wait))
		for wait > 0 && unix.Nanosleep(&t, &t) == unix.EINTR {
		}
		return
	}
	timer.Reset(wait)
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
