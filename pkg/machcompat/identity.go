// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
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
	pid     int
	file    *os.File // /proc/PID/task/PID/stat
	fd      int
	maps    *procmaps.Maps
	program layout

	random        [16]byte // what AT_RANDOM of getauxval(3) points to
	randomAddress uint64   // 0 for a program with a random layout

	confirmed atomic.Int64 // when it was confirmed last, in nanoseconds after processStart
}

// layout is where a program's code, stack and heap begin. The kernel also tells
// of its arguments, but programs move those to change their name.
type layout struct{ code, stack, heap uint64 }

func layoutOf(s procstatus.Stat) layout { return layout{s.StartCode, s.StartStack, s.StartBrk} }

var processStart = time.Now()

// recent is for how long a confirmation counts: less than a thread can be held up
// between a question and the write that follows it.
const recent = 20 * time.Microsecond

// errHidden means that the process no longer lets us know what it runs.
var errHidden = fmt.Errorf("the process no longer shows which program it runs: %w", unix.EPERM)

// open notes what the process is. maps must be of it, and is confirmed to be.
func (i *identity) open(pid int, maps *procmaps.Maps) (err error) {
	i.pid, i.maps = pid, maps
	path := "/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(pid) + "/stat"
	if i.file, err = poller.Open(path, unix.O_RDONLY); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return unix.ESRCH
		}
		return err
	}
	i.fd = int(i.file.Fd())
	stat, err := i.stat()
	if err != nil {
		return err
	}
	i.program = layoutOf(stat)
	if stat.Flags&procstatus.PF_RANDOMIZE == 0 {
		if i.randomAddress, err = randomAddress(pid); err != nil {
			return err
		}
		if i.random, err = i.readRandom(); err != nil {
			return err
		}
	}
	return maps.Alive()
}

func (i *identity) close() {
	if i.file != nil {
		i.file.Close()
	}
}

// confirmRecent is confirm, but for a confirmation that was just made.
func (i *identity) confirmRecent() error {
	if time.Since(processStart)-time.Duration(i.confirmed.Load()) < recent {
		return nil
	}
	return i.confirm()
}

// confirm returns nil if the process lives and runs the program that it ran when
// it was opened; ESRCH if not; errHidden if it can't be told.
func (i *identity) confirm() error {
	stat, err := i.stat()
	switch {
	case err != nil:
		return err
	case stat.StartCode == 1 && i.program.code != 1:
		if err := i.maps.Alive(); err != nil {
			return err
		}
		return errHidden
	case layoutOf(stat) != i.program:
		return procmaps.ErrGone
	}
	if i.randomAddress != 0 {
		if err := i.maps.Alive(); err != nil {
			return err
		}
		switch random, err := i.readRandom(); {
		case err != nil:
			return procmaps.ErrGone
		case random != i.random && random != [16]byte{}: // which the program has erased
			return procmaps.ErrGone
		}
	}
	i.confirmed.Store(int64(time.Since(processStart)))
	return nil
}

// stat reads the stat of the first thread or, when that has ended before the
// others and so has no address space any more, of another one.
func (i *identity) stat() (procstatus.Stat, error) {
	stat, err := i.firstStat()
	if err != nil || stat.StartCode != 0 {
		return stat, err
	}
	err = procmaps.ErrGone
	listErr := tryThreads(i.pid, func(tid int) bool {
		other, readErr := procstatus.ReadStat(i.pid, tid)
		if readErr == nil && other.StartCode != 0 {
			// If the process is still there, the number meant it.
			stat = other
			_, err = i.firstStat()
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
	return stat, err
}

// isShortage reports whether err says nothing of the process.
func isShortage(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

func (i *identity) firstStat() (procstatus.Stat, error) {
	var text [procstatus.StatSize]byte
	n, err := unix.Pread(i.fd, text[:], 0)
	runtime.KeepAlive(i)
	if err == unix.ESRCH {
		return procstatus.Stat{}, procmaps.ErrGone
	}
	if err != nil {
		return procstatus.Stat{}, err
	}
	return procstatus.ParseStat(text[:n])
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
