// SPDX-License-Identifier: Apache-2.0

package ptrace

import (
	"context"
	"sync"
)

// A process can have one tracer only, so the sessions of this program on one
// process take turns.
var turns struct {
	sync.Mutex
	waiting map[int]*turn
	lasting map[int]*trace // what a Hold keeps between the sessions on a process
}

// lastingTrace returns the trace that a [Hold] keeps or kept, nil if there is none. The
// caller has the turn.
func lastingTrace(pid int) *trace {
	turns.Lock()
	defer turns.Unlock()
	return turns.lasting[pid]
}

// last makes the trace one that lasts beyond its session.
func (tr *trace) last() {
	turns.Lock()
	defer turns.Unlock()
	if turns.lasting == nil {
		turns.lasting = map[int]*trace{}
	}
	turns.lasting[tr.pid] = tr
}

// forget is for a trace that has ended.
func (tr *trace) forget() {
	turns.Lock()
	defer turns.Unlock()
	if turns.lasting[tr.pid] == tr {
		delete(turns.lasting, tr.pid)
	}
}

// turn is held by the session on a process, and counts those that want it.
type turn struct {
	free  chan struct{} // holds one token while no session is on the process
	users int
}

// takeTurn waits until no other session of this program is on the process, and
// returns what ends the turn. It fails at the end of ctx, unless none is on it.
func takeTurn(ctx context.Context, pid int) (end func(), err error) {
	turns.Lock()
	t := turns.waiting[pid]
	if t == nil {
		if turns.waiting == nil {
			turns.waiting = map[int]*turn{}
		}
		t = &turn{free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		turns.waiting[pid] = t
	}
	t.users++
	turns.Unlock()

	held := func() { t.leave(pid, true) }
	select {
	case <-t.free: // also when ctx has ended
		return held, nil
	default:
	}
	select {
	case <-t.free:
		return held, nil
	case <-ctx.Done():
		t.leave(pid, false)
		return nil, timeout(ctx.Err(), pid, ErrBusy)
	}
}

func (t *turn) leave(pid int, held bool) {
	turns.Lock()
	defer turns.Unlock()
	if held {
		t.free <- struct{}{}
	}
	if t.users--; t.users == 0 {
		delete(turns.waiting, pid)
	}
}
