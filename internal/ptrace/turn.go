package ptrace

import (
	"sync"
	"time"
)

// A process can have one tracer only, so the sessions of this program on one
// process take turns.
var turns struct {
	sync.Mutex
	waiting map[int]*turn
}

// turn is held by the session on a process, and counts those that want it.
type turn struct {
	free  chan struct{} // holds one token while no session is on the process
	users int
}

// takeTurn waits until no other session of this program is on the process, and
// returns what ends the turn. It fails at the deadline.
func takeTurn(pid int, deadline time.Time) (end func(), err error) {
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
	case <-t.free: // however little time was given
		return held, nil
	default:
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-t.free:
		return held, nil
	case <-timer.C:
		t.leave(pid, false)
		return nil, &StopError{TID: pid, Err: ErrBusy}
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
