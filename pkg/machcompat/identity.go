// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vmwrite/vmwrite/internal/poller"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// identity tells a process and the program that it runs from whatever comes after
// them under the same pid.
//
// It asks from the process to the address space that it has now. The other way
// round, whether the address space still lives that was opened, does not do: any
// process in the middle of a read of that keeps it alive over exec and exit.
//
// The kernel binds an open /proc/PID/task/PID/stat to the process, not to the
// number: its read fails once the process is gone, whoever has the number then.
// What it says of the layout is drawn anew by each exec: 44 random bits at least,
// 33 for a 32-bit program. Without address space randomization the layout may
// be the same, so the 16 random bytes that the kernel gives each program are
// compared too, and the opened address space must live.
type identity struct {
	pid        int
	stat       int // /proc/PID/task/PID/stat, open
	maps       *procmaps.Maps
	code, heap layout

	random        [16]byte // what AT_RANDOM of getauxval(3) points to
	randomAddress uint64   // 0 for a program with a random layout

	confirmed atomic.Int64 // when it was confirmed last: see now
}

// layout is what the text of stat says of where parts of a program begin. The kernel
// also tells of its arguments, but programs move those to change their name.
type layout struct {
	text string
	// at is where in the text that stood last. Before it stand numbers that grow, so
	// that it moves now and then.
	at atomic.Int64
}

func (l *layout) note(text []byte, at procstatus.Place) {
	l.text = string(text[at.Start:at.End])
	l.at.Store(int64(at.Start))
}

// standsIn reports whether a text says the same at the same place.
func (l *layout) standsIn(text []byte) bool {
	at := int(l.at.Load())
	return at+len(l.text) <= len(text) && string(text[at:at+len(l.text)]) == l.text
}

var processStart = time.Now()

// recent is for how long a confirmation counts: less than a thread can be held up
// between a question and the write that follows it. So in a loop of short writes the
// confirmation of one is that before the next.
const recent = 20 * time.Microsecond

// errHidden means that the process no longer lets us know what it runs.
var errHidden = fmt.Errorf("the process no longer shows which program it runs: %w", unix.EPERM)

// open notes what the process is.
func (i *identity) open(pid int) (err error) {
	i.pid = pid
	path := "/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(pid) + "/stat"
	if i.stat, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		i.stat = -1
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	var buffer [procstatus.StatSize]byte
	text, err := i.read(&buffer)
	if err != nil {
		return err
	}
	text, stat, err := i.parse(text, &buffer)
	if err != nil {
		return err
	}
	i.code.note(text, stat.Code)
	i.heap.note(text, stat.Heap)
	if stat.Flags&procstatus.PF_RANDOMIZE != 0 {
		return nil
	}
	if i.randomAddress, err = randomAddress(pid); err == nil {
		i.random, err = i.readRandom()
	}
	return err
}

func (i *identity) close() {
	if i.stat >= 0 {
		unix.Close(i.stat)
	}
}

// confirmRecent is confirm, but for a confirmation that was just made.
func (i *identity) confirmRecent() error {
	if now()-i.confirmed.Load() < int64(recent) {
		return nil
	}
	return i.confirm()
}

// now is the time, in nanoseconds after processStart.
func now() int64 { return int64(time.Since(processStart)) }

// confirm returns nil if the process lives and runs the program that it ran when
// it was opened; ESRCH if not; errHidden if it can't be told.
func (i *identity) confirm() error {
	var buffer [procstatus.StatSize]byte
	text, err := i.read(&buffer)
	if err == nil && (i.randomAddress != 0 || !i.code.standsIn(text) || !i.heap.standsIn(text)) {
		err = i.compare(text, &buffer)
	}
	if err == nil {
		i.confirmed.Store(now())
	}
	return err
}

// compare is confirm for the text of stat that lies in the buffer.
func (i *identity) compare(text []byte, buffer *[procstatus.StatSize]byte) error {
	text, stat, err := i.parse(text, buffer)
	if err != nil {
		return err
	}
	code, heap := text[stat.Code.Start:stat.Code.End], text[stat.Heap.Start:stat.Heap.End]
	switch {
	case stat.StartCode == 1 && !strings.HasPrefix(i.code.text, " 1 "):
		if err := i.maps.Alive(); err != nil {
			return err
		}
		return errHidden
	case string(code) != i.code.text || string(heap) != i.heap.text:
		return procmaps.ErrGone
	}
	i.code.at.Store(int64(stat.Code.Start))
	i.heap.at.Store(int64(stat.Heap.Start))
	if i.randomAddress == 0 {
		return nil
	}
	if err := i.maps.Alive(); err != nil {
		return err
	}
	random, err := i.readRandom()
	if err != nil || (random != i.random && random != [16]byte{}) { // which the program has erased
		return procmaps.ErrGone
	}
	return nil
}

// parse parses the text of the first thread or, when that has ended before the
// others and so has no address space any more, of another one.
func (i *identity) parse(text []byte, buffer *[procstatus.StatSize]byte) ([]byte, procstatus.Stat, error) {
	stat, err := procstatus.ParseStat(text)
	if err != nil || stat.StartCode != 0 {
		return text, stat, err
	}
	err = procmaps.ErrGone
	listErr := tryThreads(i.pid, func(tid int) bool {
		other, of, readErr := procstatus.ReadStatText(i.pid, tid, buffer)
		if readErr == nil && of.StartCode != 0 {
			// If the process is still there, the number meant it.
			text, stat = other, of
			_, err = i.read(new([procstatus.StatSize]byte))
			return true
		}
		if isShortage(readErr) {
			err = readErr
		}
		return false
	})
	if isShortage(listErr) {
		err = listErr
	}
	return text, stat, err
}

// isShortage reports whether err says nothing of the process.
func isShortage(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

// read reads the stat of the first thread.
func (i *identity) read(buffer *[procstatus.StatSize]byte) ([]byte, error) {
	n, err := unix.Pread(i.stat, buffer[:], 0)
	runtime.KeepAlive(i)
	if err != nil {
		if err == unix.ESRCH {
			err = procmaps.ErrGone
		}
		return nil, err
	}
	return buffer[:n], nil
}

// readRandom reads the random bytes of the program that the process runs now.
func (i *identity) readRandom() (random [16]byte, err error) {
	segments := []pwrite.Segment{{Address: i.randomAddress, Data: random[:]}}
	if _, err = (pwrite.ProcessVM{PID: i.pid}).Read(segments); err == nil {
		return random, nil
	}
	memory, err := openMemory(i.pid)
	if err != nil {
		return random, err
	}
	defer memory.Close()
	_, err = memory.Read(segments)
	return random, err
}

// randomAddress returns the AT_RANDOM of a program: proc_pid_auxv(5).
func randomAddress(pid int) (uint64, error) {
	text, err := poller.ReadFile("/proc/" + strconv.Itoa(pid) + "/auxv")
	if err != nil {
		return 0, err
	}
	const atRandom = 25
	word := 8
	if len(text) >= 8 && binary.NativeEndian.Uint32(text[4:]) != 0 && binary.NativeEndian.Uint32(text) != 0 {
		word = 4 // of a 32-bit program: a value stands where a 64-bit one has the rest of the key
	}
	for ; len(text) >= 2*word; text = text[2*word:] {
		key, value := binary.NativeEndian.Uint64(text), uint64(0)
		if word == 8 {
			value = binary.NativeEndian.Uint64(text[8:])
		} else {
			key, value = uint64(binary.NativeEndian.Uint32(text)), uint64(binary.NativeEndian.Uint32(text[4:]))
		}
		if key == atRandom {
			return value, nil
		}
	}
	return 0, nil
}
