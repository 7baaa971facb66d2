package linux

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

var pollerReady atomic.Bool

// ReadyPoller has the runtime set its poller up while there is room for the two
// files that it takes. At its first timer or os.Open the runtime does so by
// itself, and ends the program when it can't. The error is that of the missing
// room.
func ReadyPoller() error {
	if pollerReady.Load() {
		return nil
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	unix.Close(epoll)
	if err != nil {
		return err
	}
	unix.Close(event)
	time.AfterFunc(time.Hour, func() {}).Stop() // a timer with a channel would not do it
	pollerReady.Store(true)
	return nil
}
