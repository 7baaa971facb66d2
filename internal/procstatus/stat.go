// SPDX-License-Identifier: Apache-2.0

package procstatus

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/vmwrite/vmwrite/internal/poller"
)

// Flags of a thread, from the kernel's linux/sched.h.
const (
	PF_IO_WORKER   = 0x00000010 // of io_uring
	PF_USER_WORKER = 0x00004000 // made by the kernel inside a process: io_uring, vhost
	PF_KTHREAD     = 0x00200000
	PF_RANDOMIZE   = 0x00400000 // the program that it runs has a randomized layout
)

// Stat is what /proc/PID/task/TID/stat says of a thread and of the program that it
// runs: proc_pid_stat(5).
type Stat struct {
	State byte   // R, S, D, T, t, Z, X, I
	Flags uint64 // PF_RANDOMIZE and so on
	Start uint64 // of the process: when it began, in ticks after the boot
	// StartCode is where the program's code begins: 0 for a thread without an address
	// space, and 1 when the caller has no right to know.
	StartCode uint64
	// Code and Heap are where in the text it says where the program's code begins and
	// ends and its stack begins (startcode, endcode and startstack), and its heap
	// (start_brk), with the spaces around.
	Code, Heap Place
}

// Place is the bytes of a text from Start to before End.
type Place struct{ Start, End int }

// Layout returns what the text that s was parsed from says of the program's layout, which
// is another one for each program that a process runs.
func (s Stat) Layout(text []byte) string {
	return string(text[s.Code.Start:s.Code.End]) + string(text[s.Heap.Start:s.Heap.End])
}

// StatSize is more than the bytes that /proc/PID/task/TID/stat has.
const StatSize = 1024

// ReadStat reads the stat of a thread of a process, without its text. The error wraps
// ENOENT or ESRCH when there is none.
func ReadStat(pid, tid int) (Stat, error) {
	_, s, err := ReadStatText(pid, tid, new([StatSize]byte))
	return s, err
}

// ReadStatText is ReadStat with the text, which it reads into a buffer.
func ReadStatText(pid, tid int, buffer *[StatSize]byte) (text []byte, s Stat, err error) {
	n, err := poller.Read("/proc/"+strconv.Itoa(pid)+"/task/"+strconv.Itoa(tid)+"/stat", buffer[:])
	if err != nil {
		return nil, Stat{}, err
	}
	s, err = ParseStat(buffer[:n])
	return buffer[:n], s, err
}

var errStat = errors.New("malformed /proc/PID/task/TID/stat")

// ParseStat parses the text of /proc/PID/task/TID/stat, and allocates nothing.
func ParseStat(text []byte) (s Stat, err error) {
	// The name stands in parentheses, and may hold some itself.
	name := bytes.LastIndexByte(text, ')')
	if name < 0 || len(text) < name+3 {
		return Stat{}, errStat
	}
	at := name + 2
	var starts [49]int // of the fields
	for field := 4; field < len(starts); field++ {
		space := bytes.IndexByte(text[at:], ' ')
		if space < 0 {
			return Stat{}, errStat
		}
		at += space + 1
		starts[field] = at
	}
	flags, err := number(text[starts[9]:])
	if err != nil {
		return Stat{}, err
	}
	code, err := number(text[starts[26]:])
	if err != nil {
		return Stat{}, err
	}
	start, err := number(text[starts[22]:])
	if err != nil {
		return Stat{}, err
	}
	return Stat{
		State: text[name+2], Flags: flags, Start: start, StartCode: code,
		Code: Place{starts[26] - 1, starts[29]}, Heap: Place{starts[47] - 1, starts[48]},
	}, nil
}

// number returns the number at the front of text, up to a space.
func number(text []byte) (value uint64, err error) {
	digits, _, _ := bytes.Cut(text, []byte(" "))
	for _, d := range digits {
		if d < '0' || '9' < d {
			return 0, errStat
		}
		value = value*10 + uint64(d-'0')
	}
	if len(digits) == 0 {
		return 0, errStat
	}
	return value, nil
}
