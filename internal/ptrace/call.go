package ptrace

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/vmwrite/vmwrite/internal/linux"
	"golang.org/x/sys/unix"
)

// Errors of [Session.Borrow].
var (
	// ErrNoThread means that every thread is in a state in which it can't be
	// made to do anything: a signal is on its way to it, or it runs a
	// restartable sequence. Another stop, a moment later, finds another state.
	ErrNoThread = errors.New("no thread of the process is fit to make a system call")
	// ErrSeccomp means that a seccomp filter of the process would or might end
	// it, or refuse, if it made the system call.
	ErrSeccomp = errors.New("a seccomp filter of the process stands in the way")
)

// callTimeout is how long a system call in the process may take.
const callTimeout = 10 * time.Second

// Borrowed is a stopped thread that makes system calls for us, and of which
// everything is kept that those change: the registers and the signal mask. The
// process gets it back, as it was, when its session ends.
//
// If this process is killed while it has the thread, the thread takes its
// [WayBack]. Without one nobody gives it back: in the middle of a call it runs on
// from the wrong place, and from its first call to the end of the session it has
// all signals blocked.
type Borrowed struct {
	ABI     *ABI
	session *Session
	tid     int
	saved   registers
	mask    uint64
	taken   bool
	resend  []unix.Signal // stopping signals that came meanwhile

	way         *WayBack // nil when it has none
	frameLength int

	shadowStack bool // known when the filters are
	filtersRead bool
	filters     [][]unix.SockFilter // of seccomp, the last installed first
}

// ReadWord reads a word of the process's memory. It is how this package, which
// knows nothing of memory, looks into it.
type ReadWord func(address uint64) (uint64, error)

// Borrow chooses a thread of the process for system calls: one that sits in a
// system call before any other, because it is between two instructions by any
// reckoning, and the first thread before any other of those.
func (s *Session) Borrow(read ReadWord) (b *Borrowed, err error) {
	s.do(func() { b, err = s.borrow(read) })
	return b, err
}

func (s *Session) borrow(read ReadWord) (*Borrowed, error) {
	if s.borrowed != nil {
		return s.borrowed, nil
	}
	var best *Borrowed
	for _, tid := range s.firstThreadFirst() {
		if t := s.threads[tid]; !t.stopped || t.signal != 0 {
			continue
		}
		b := &Borrowed{session: s, tid: tid}
		known, err := b.saved.read(tid)
		if err != nil {
			continue // it died, as a stopped thread may
		}
		if !known {
			return nil, unix.ENOSYS
		}
		if best != nil && b.saved.fitness() <= best.saved.fitness() {
			continue
		}
		if b.saved.inSystemCall() || !inRestartableSequence(tid, read) {
			best = b
		}
		if b.saved.fitness() == fittest {
			break
		}
	}
	if best == nil {
		return nil, ErrNoThread
	}
	best.ABI, s.borrowed = best.saved.abi, best
	return best, nil
}

func (s *Session) firstThreadFirst() []int {
	tids := make([]int, 0, len(s.threads))
	for tid := range s.threads {
		tids = append(tids, tid)
		if tid == s.pid {
			tids[0], tids[len(tids)-1] = tid, tids[0]
		}
	}
	return tids
}

// inRestartableSequence reports whether the thread may be in a sequence of
// rseq(2), of which the kernel forgets the place if the thread goes elsewhere.
func inRestartableSequence(tid int, read ReadWord) bool {
	address, err := linux.PtraceRseqCriticalSection(tid)
	if err != nil || address == 0 {
		return false // before Linux 5.13, or none is registered
	}
	sequence, err := read(address)
	return err != nil || sequence != 0
}

// Call makes a system call in the thread, with the instruction that the ABI
// names at the given address, and returns its result. An errno of the call
// itself comes back as a unix.Errno, and EOVERFLOW when an argument is wider than
// the thread's word; any other error means that the thread was lost.
func (b *Borrowed) Call(instruction uint64, function Function, arguments ...uint64) (result uint64, err error) {
	b.session.do(func() { result, err = b.call(instruction, function, arguments) })
	return result, err
}

func (b *Borrowed) call(instruction uint64, function Function, arguments []uint64) (uint64, error) {
	var a [6]uint64
	copy(a[:], arguments)
	for _, argument := range arguments {
		// Cut to a word it would be another address. -1 is so in every width.
		if b.ABI.Word == 4 && argument > math.MaxUint32 && argument != math.MaxUint64 {
			return 0, unix.EOVERFLOW
		}
	}
	if err := b.confirmAllowed(instruction, b.ABI.numbers[function], a); err != nil {
		return 0, err
	}
	if err := b.take(); err != nil {
		return 0, err
	}
	r := b.saved
	r.call(instruction, b.ABI.numbers[function], a)
	if b.way != nil {
		r.set(b.ABI.stack, b.way.Frame)
	}
	if err := r.write(b.tid); err != nil {
		return 0, b.lost(err)
	}
	for range 2 { // the entry of the system call, and its exit
		if err := b.runToSystemCall(); err != nil {
			return 0, err
		}
	}
	if _, err := r.read(b.tid); err != nil {
		return 0, b.lost(err)
	}
	const highestErrno = 4095
	result := r.get(b.ABI.result)
	if errno := -result; errno >= 1 && errno <= highestErrno {
		return 0, unix.Errno(errno)
	}
	if b.ABI.Word == 4 {
		result = uint64(uint32(result))
	}
	return result, nil
}

// take keeps signals from the thread while it is borrowed.
func (b *Borrowed) take() (err error) {
	if b.taken {
		return nil
	}
	b.taken = true
	if b.mask, err = linux.PtraceSigmask(b.tid); err != nil {
		return b.lost(err)
	}
	// From here on the way back must be open, which restores the mask.
	if err := b.openWayBack(); err != nil {
		return b.lost(err)
	}
	if err := linux.PtraceSetSigmask(b.tid, ^uint64(0)); err != nil {
		return b.lost(err)
	}
	if err := unix.PtraceSetOptions(b.tid, unix.PTRACE_O_TRACESYSGOOD); err != nil {
		return b.lost(err)
	}
	return nil
}

func (b *Borrowed) lost(err error) error { return &StopError{TID: b.tid, Err: err} }

// runToSystemCall lets the thread run to the next entry or exit of a system
// call. SIGSTOP alone can't be blocked; one that comes is sent again at the end.
func (b *Borrowed) runToSystemCall() error {
	const systemCallStop = int(unix.SIGTRAP) | 0x80
	for {
		if err := unix.PtraceSyscall(b.tid, 0); err != nil {
			return b.lost(err)
		}
		status, err := b.awaitStop()
		switch {
		case err != nil:
			return err
		case status == systemCallStop:
			return nil
		case status>>8 == 0 && status == int(unix.SIGSTOP):
			b.resend = append(b.resend, unix.SIGSTOP)
		case status>>8 == 0:
			return b.lost(fmt.Errorf("it got %v instead of making a system call", unix.Signal(status)))
		}
	}
}

// awaitStop waits until the thread stops and returns how. It spins at first,
// because a system call in the process takes microseconds.
func (b *Borrowed) awaitStop() (status int, err error) {
	deadline := time.Now().Add(callTimeout)
	var w waiter
	for {
		told, err := linux.PeekChild(b.tid)
		switch {
		case err != nil:
			return 0, b.lost(err)
		case told.Code == linux.CLD_TRAPPED:
			return told.Status, nil
		case told.TID != 0:
			return 0, b.lost(unix.ESRCH)
		case time.Now().After(deadline):
			return 0, b.lost(ErrTimeout)
		}
		w.wait()
	}
}

// giveBack makes the thread what it was.
func (b *Borrowed) giveBack() error {
	if !b.taken {
		return nil
	}
	defer func() {
		for _, signal := range b.resend {
			unix.Tgkill(b.session.pid, b.tid, signal)
		}
	}()
	if err := b.interrupt(); err != nil {
		return err
	}
	// The mask comes first: as long as the registers are ours, they take the way
	// back, which restores both.
	if err := b.unblock(); err != nil {
		return err
	}
	if err := b.saved.write(b.tid); err != nil {
		return b.lost(err)
	}
	b.sweep()
	return nil
}

// interrupt has the thread stop where the kernel has signals looked at, because
// only from there does it start an interrupted system call again.
func (b *Borrowed) interrupt() error {
	if err := unix.PtraceInterrupt(b.tid); err != nil {
		return b.lost(err)
	}
	for {
		if err := unix.PtraceCont(b.tid, 0); err != nil {
			return b.lost(err)
		}
		status, err := b.awaitStop()
		if err != nil {
			return err
		}
		if status>>8 == unix.PTRACE_EVENT_STOP {
			return nil
		}
	}
}

func (b *Borrowed) unblock() error {
	if err := linux.PtraceSetSigmask(b.tid, b.mask); err != nil {
		return b.lost(err)
	}
	return nil
}
