// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// interruption tells of the signals that ask this program to end: Ctrl-C, kill, a
// terminal that goes away. Once it watches, they don't end the program at once, so
// that it can say what was written.
type interruption struct {
	signals       chan os.Signal
	first, second chan struct{} // closed when the first, and the second, has come
	begin         sync.Once
}

func newInterruption() *interruption {
	return &interruption{signals: make(chan os.Signal, 2), first: make(chan struct{}), second: make(chan struct{})}
}

// watchSignals returns an interruption that watches.
func watchSignals() *interruption {
	i := newInterruption()
	i.begin.Do(i.watch)
	return i
}

// watch takes the runtime three threads and most of a millisecond.
func (i *interruption) watch() {
	for _, s := range []os.Signal{os.Interrupt, unix.SIGTERM, unix.SIGHUP} {
		if !signal.Ignored(s) { // nohup, and a script for its background, want that to stay
			signal.Notify(i.signals, s)
		}
	}
	go func() {
		for _, come := range []chan struct{}{i.first, i.second} {
			if _, ok := <-i.signals; !ok {
				return
			}
			close(come)
		}
	}()
}

// stop lets signals end the program again.
func (i *interruption) stop() {
	signal.Stop(i.signals)
	close(i.signals)
}

// came reports whether a signal has come since it was first asked.
func (i *interruption) came() bool {
	i.begin.Do(i.watch)
	select {
	case <-i.first:
		return true
	default:
		return false
	}
}

// maskSignals has the calling thread block, or take, the signals by which others end or
// stop a program, and returns its mask of before.
func maskSignals(how int) (before unix.Sigset_t, err error) {
	var ending unix.Sigset_t
	for _, s := range []unix.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGTERM, unix.SIGTSTP,
	} {
		ending.Val[0] |= 1 << (s - 1) // they are among the first 32
	}
	return before, unix.PthreadSigmask(how, &ending, &before)
}

// errGivenUp is that of a call that goes on.
var errGivenUp = errors.New("how much was written is not known")

const givenUpHint = "the kernel may wait for a page that somebody else must bring (userfaultfd, FUSE); the end of this program ends that, and vmwrite read tells what is there once the page is"

// patience is how long a call has after the first signal. A write of a chunk
// takes a hundredth of it.
const patience = time.Second

// promptly is in what time a call mostly returns: until then a signal ends this
// program, and is not waited for.
const promptly = 20 * time.Millisecond

// ending is which signal ends a call.
type ending int

const (
	endsAtOnce     ending = iota // the first: the call changes nothing
	endsSoon                     // the first, if the call has not returned some time later
	endsWhenForced               // the second: the call would leave something half done
)

// caller makes the calls on a task. The kernel may wait in one for a page of the
// process that nobody brings, and looks at no signal meanwhile; only the end of
// this program ends that. So calls are made in goroutines that can be left behind.
type caller struct {
	streams
	task     *machcompat.Task
	resolver *address.Resolver // see modules
}

// make makes a call. Its error wraps errGivenUp when it was left behind.
func (c *caller) make(i *interruption, ends ending, call func() error) error {
	if ends == endsWhenForced {
		i.begin.Do(i.watch) // no signal may come before
	}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- &bugError{fmt.Errorf("%v\n%s", r, debug.Stack())}
			}
		}()
		done <- call()
	}()
	// Most calls return meanwhile. They need no timer, for which the runtime would set
	// its poller up and wake a thread.
	const looks = 100
	for range looks {
		runtime.Gosched()
		select {
		case err := <-done:
			return err
		default:
		}
	}
	if ends != endsWhenForced {
		select {
		case err := <-done:
			return err
		case <-time.After(promptly):
		}
		i.begin.Do(i.watch)
	}
	select {
	case err := <-done:
		return err
	case <-i.first:
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	if ends == endsAtOnce {
		late.Reset(0)
	}
	for {
		select {
		case err := <-done:
			return err
		case <-late.C:
			if ends == endsWhenForced {
				c.notef("interrupted; this must come to its end, unless a second signal comes")
				continue
			}
			return fmt.Errorf("interrupted, and the call still goes on after %v: %w", patience, errGivenUp)
		case <-i.second:
			return fmt.Errorf("interrupted twice, and the call still goes on: %w", errGivenUp)
		}
	}
}

// look makes a call that only reads size bytes at address.
func (c *caller) look(address, size uint64, call func() error) error {
	i := newInterruption()
	defer i.stop()
	err := c.make(i, endsAtOnce, call)
	if errors.Is(err, errGivenUp) {
		return &machcompat.Error{
			Op: "vm_read", PID: c.task.PID(), Address: address, Size: size, Fault: address,
			Code: machcompat.KERN_ABORTED, Err: errInterrupted,
		}
	}
	return err
}

// read fills data with the bytes at address, as ReadAt does.
func (c *caller) read(data []byte, address uint64) (n int, err error) {
	var got int
	err = c.look(address, uint64(len(data)), func() (err error) {
		got, err = c.task.ReadAt(data, int64(address))
		return err
	})
	if errors.Is(err, errInterrupted) {
		return 0, err // the call may go on
	}
	return got, err
}

var errInterrupted = errors.New("interrupted")
