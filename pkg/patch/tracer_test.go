// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"debug/elf"
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// pcAt is where the kernel shows the program counter, by how many bytes of registers it
// shows.
var pcAt = map[int]struct {
	machine      elf.Machine
	offset, size int
}{17 * 4: {elf.EM_386, 12 * 4, 4}, 27 * 8: {elf.EM_X86_64, 16 * 8, 8}, 34 * 8: {elf.EM_AARCH64, 32 * 8, 8}}

// traced is a thread that the test traces.
type traced struct {
	tb  testing.TB
	tid int
}

// trace stops a thread, which may be stopped by job control, for f. The goroutine has a
// thread of its own for that.
func trace(tb testing.TB, tid int, f func(traced)) {
	tb.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and the thread ends with the goroutine
		if err := unix.PtraceSeize(tid); err != nil {
			tb.Error(err)
			return
		}
		_ = unix.PtraceInterrupt(tid)
		one := traced{tb, tid}
		one.wait()
		f(one)
	}()
	<-done
	if tb.Failed() {
		tb.FailNow()
	}
}

// wait waits for the next stop of the thread.
func (o traced) wait() unix.WaitStatus {
	var status unix.WaitStatus
	if _, err := unix.Wait4(o.tid, &status, unix.WALL, nil); err != nil || !status.Stopped() {
		o.tb.Errorf("thread %d: status %#x, %v; want a stop", o.tid, status, err)
		runtime.Goexit()
	}
	return status
}

// do fails the test at an error.
func (o traced) do(err error) {
	if err != nil {
		o.tb.Errorf("thread %d: %v", o.tid, err)
		runtime.Goexit()
	}
}

// pc returns where the thread stands, and how that can be changed.
func (o traced) pc() (pc uint64, set func(pc uint64)) {
	var data [512]byte
	n, err := linux.PtraceRegisterSet(o.tid, unix.NT_PRSTATUS, data[:])
	o.do(err)
	place, at := pcAt[n], data[pcAt[n].offset:]
	if place.size == 4 {
		return uint64(binary.NativeEndian.Uint32(at)), func(pc uint64) {
			binary.NativeEndian.PutUint32(at, uint32(pc))
			o.do(linux.PtraceSetRegisterSet(o.tid, unix.NT_PRSTATUS, data[:n]))
		}
	}
	return binary.NativeEndian.Uint64(at), func(pc uint64) {
		binary.NativeEndian.PutUint64(at, pc)
		o.do(linux.PtraceSetRegisterSet(o.tid, unix.NT_PRSTATUS, data[:n]))
	}
}

// step runs one instruction.
func (o traced) step() {
	o.do(unix.PtraceSingleStep(o.tid))
	o.wait()
}

// stepTo runs instructions until the thread comes to a place: one at least, because only
// from the stop of a step does it take a signal when it is let go.
func (o traced) stepTo(place uint64) {
	const most = 1000
	for range most {
		o.step()
		if pc, _ := o.pc(); pc == place {
			return
		}
	}
	o.tb.Errorf("the thread did not come to %#x", place)
	runtime.Goexit()
}

// stop leaves the thread where it stands, stopped by job control and not traced.
func (o traced) stop() {
	o.do(unix.Tgkill(o.tid, o.tid, unix.SIGSTOP))
	o.do(unix.PtraceCont(o.tid, 0))
	if signal := o.wait().StopSignal(); signal != unix.SIGSTOP {
		o.tb.Errorf("the thread stopped by %v", signal)
	}
	o.do(unix.PtraceCont(o.tid, int(unix.SIGSTOP)))
	o.wait()
	o.do(linux.PtraceDetach(o.tid, 0))
}

// detach lets the thread go on, or stay stopped by job control.
func (o traced) detach(signal unix.Signal) { o.do(linux.PtraceDetach(o.tid, signal)) }

// stopAt has the first thread of a program come to a place and stay there.
func (p *target) stopAt(place uint64) {
	p.t.Helper()
	trace(p.t, p.PID, func(o traced) {
		o.stepTo(place)
		o.stop()
	})
	testtarget.WaitForStates(p.t, p.PID, "T")
}

// goOn ends the stop of stopAt.
func (p *target) goOn() {
	p.t.Helper()
	testtarget.Send(p.t, p.PID, unix.SIGCONT)
}

// standingAt moves the stopped first thread to any place, whether an instruction begins
// there or not, for f.
func (p *target) standingAt(place uint64, f func()) {
	p.t.Helper()
	var was uint64
	move := func(place uint64) {
		trace(p.t, p.PID, func(o traced) {
			pc, set := o.pc()
			was = pc
			set(place)
			o.detach(0)
		})
	}
	move(place)
	back := was
	f()
	move(back)
	testtarget.WaitForStates(p.t, p.PID, "T")
}
