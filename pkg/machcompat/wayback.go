package machcompat

import (
	"bytes"

	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// openWayBack sees to it that the borrowed thread becomes what it was even if
// this program is killed, and returns where it makes system calls then.
func (c *remoteCaller) openWayBack(thread *ptrace.Borrowed) (place uint64, err error) {
	if thread.ABI.CallAndReturn == nil {
		return 0, ptrace.ErrNoWayBack
	}
	if place, err = c.task.code(thread.ABI.CallAndReturn); err != nil {
		return 0, err
	}
	way := ptrace.WayBack{Write: c.task.poke}
	for _, pattern := range thread.ABI.SignalReturn {
		if way.SignalReturn, err = c.task.code(pattern); err == nil {
			break
		}
	}
	if err != nil {
		return 0, err
	}
	if way.Frame, err = c.unusedStack(thread.ABI); err != nil {
		return 0, err
	}
	return place, thread.SetWayBack(way)
}

const (
	stackBelowFrame = 8 << 10  // for a signal's handler that runs on the frame's stack
	stackAboveFrame = 32 << 10 // for what the first thread does if it is let go first
	stackPagesTried = 16
)

// unusedStack returns where a frame can lie: deep in the stack of the first
// thread, where that thread does not stand and the stack was never used, or only
// by a frame that was left there.
func (c *remoteCaller) unusedStack(abi *ptrace.ABI) (uint64, error) {
	c.task.landmarks.Lock()
	stack := c.task.landmarks.stack
	c.task.landmarks.Unlock()
	mapping, ok, err := c.task.maps.Find(stack)
	if err != nil {
		return 0, err
	}
	const readWrite = procmaps.Read | procmaps.Write
	changed := c.start < mapping.End && mapping.Start < c.end
	if !ok || mapping.Path != "[stack]" || mapping.Perms&readWrite != readWrite || changed {
		return 0, ptrace.ErrNoWayBack
	}
	lowest := mapping.End
	for _, pointer := range c.session.StackPointers() {
		if mapping.Start <= pointer && pointer < lowest {
			lowest = pointer
		}
	}
	page := make([]byte, ptrace.FrameSize)
	zeros := make([]byte, ptrace.FrameSize)
	frame := mapping.Start + stackBelowFrame
	for i := 0; i < stackPagesTried && frame+ptrace.FrameSize+stackAboveFrame <= lowest; i++ {
		if err := c.task.peek(frame, page); err != nil {
			return 0, err
		}
		if bytes.Equal(page, zeros) || abi.IsFrame(page) {
			return frame, nil
		}
		frame += ptrace.FrameSize
	}
	return 0, ptrace.ErrNoWayBack
}
