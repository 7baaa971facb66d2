// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"bytes"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// restoreFrame makes a thread what it was if this process is killed while it has
// the thread: nobody else could give it its registers and its signal mask back.
//
// It is a signal frame, as the kernel lays down before it runs a signal's handler,
// with all that an injected call changes. At every moment the thread would either
// go on as it was, or run into the system call that ends a handler, rt_sigreturn
// (sigreturn(2)), which makes it what the frame says.
type restoreFrame struct {
	address      uint64 // of frameSize bytes that the process does not use
	signalReturn uint64 // the address of code that makes rt_sigreturn
	length       int    // of what was laid there
}

const (
	frameSize       = 4096     // more than a frame has
	stackBelowFrame = 8 << 10  // for a signal's handler that runs on the frame's stack
	stackAboveFrame = 32 << 10 // for what the first thread does if it is let go first
	stackPagesTried = 16
)

// overlaps reports whether a call that changes memory might change the frame.
func (f *restoreFrame) overlaps(start, length uint64) bool {
	end := start + length
	return end < start || start < f.address+frameSize && f.address < end
}

// layFrame lays the frame that the thread is to have while it makes a call that
// changes memory from start. There is none for a 32-bit thread, with a shadow stack,
// and where the process lacks what it takes.
func (t *thread) layFrame(start, length uint64) {
	abi := t.saved.abi
	var frame restoreFrame
	var behind uint64
	for _, pattern := range abi.signalReturns {
		var err error
		if frame.signalReturn, err = t.target.findCode(abi, pattern); err == nil {
			behind = frame.signalReturn + uint64(len(pattern))
			break
		}
	}
	if behind == 0 || t.confirmAllowed(behind, abi.signalReturn, [6]uint64{}) != nil || t.shadowStack {
		return
	}
	if frame.address = t.target.unusedStack(abi, start, length); frame.address == 0 {
		return
	}
	t.frame = &frame
	text, ok := abi.layFrame(t)
	if frame.length = len(text); !ok || t.target.Memory.Write(frame.address, text) != nil {
		t.frame = nil
	}
}

// unusedStack returns where a frame can lie, 0 for nowhere: deep in the stack of the
// first thread, where that thread does not stand and the stack was never used, or
// only by a frame that was left there.
func (t Target) unusedStack(abi *abi, start, length uint64) uint64 {
	const readWrite = procmaps.Read | procmaps.Write
	stack, ok := t.findStack()
	if !ok || stack.Perms&readWrite != readWrite {
		return 0
	}
	lowest := stack.End
	for _, tid := range t.Session.TIDs() {
		var r registers
		if known, err := r.read(tid); known && err == nil {
			if pointer := r.get(r.abi.stack); stack.Start <= pointer && pointer < lowest {
				lowest = pointer
			}
		}
	}
	page := make([]byte, frameSize)
	zeros := make([]byte, frameSize)
	frame := restoreFrame{address: stack.Start + stackBelowFrame}
	for i := 0; i < stackPagesTried && frame.address+frameSize+stackAboveFrame <= lowest; i++ {
		if !frame.overlaps(start, length) {
			if err := t.Memory.Read(frame.address, page); err != nil {
				return 0
			}
			if bytes.Equal(page, zeros) || abi.isFrame(page) {
				return frame.address
			}
		}
		frame.address += frameSize
	}
	return 0
}

// sweepFrame removes the frame.
func (t *thread) sweepFrame() {
	if t.frame != nil {
		_ = t.target.Memory.Write(t.frame.address, make([]byte, t.frame.length))
	}
}
