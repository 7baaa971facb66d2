package ptrace

import "sync"

// A process can have one tracer only, so the sessions of this program on one
// process take turns.
var turns struct {
	sync.Mutex
	waiting map[int]*turn
}

// turn is held by the session on a process, and counts those that want it.
type turn struct {
	sync.Mutex
	users int
}

// takeTurn waits until no other session of this program is on the process, and
// returns what ends the turn.
func takeTurn(pid int) (end func()) {
	turns.Lock()
	t := turns.waiting[pid]
	if t == nil {
		if turns.waiting == nil {
			turns.waiting = map[int]*turn{}
		}
		t = &turn{}
		turns.waiting[pid] = t
	}
	t.users++
	turns.Unlock()
	t.Lock()
	return func() {
		t.Unlock()
		turns.Lock()
		if t.users--; t.users == 0 {
			delete(turns.waiting, pid)
		}
		turns.Unlock()
	}
}
