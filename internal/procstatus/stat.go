// SPDX-License-Identifier: Apache-2.0

package procstatus

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/vmwrite/vmwrite/internal/poller"
	"golang.org/x/sys/unix"
)

// Flags of a thread, from the kernel's linux/sched.h.
const (
	PF_IO_WORKER   = 0x00000010 // of io_uring
	PF_USER_WORKER = 0x00004000 // made by the kernel inside a process: io_uring, vhost
	PF_KTHREAD     = 0x00200000
	PF_RANDOMIZE   = 0x00400000 // the program that it runs has a randomized layout
)

// Stat is what /proc/PID/task/TID/stat says of a thread and of the program that it
// runs: proc_pid_stat(5). Reading it allocates nothing.
type Stat struct {
	State byte   // R, S, D, T, t, Z, X, I
	Flags uint64 // PF_RANDOMIZE and so on
	// Where the program's code, stack and heap begin. They are 0 for a thread
	// without an address space, and StartCode is 1 and the others 0 when the caller
	// has no right to know.
	StartCode, StartStack, StartBrk uint64
}

// StatSize is more than the bytes that /proc/PID/task/TID/stat has.
const StatSize = 2048

// ReadStat reads the stat of a thread of a process. The error wraps ENOENT or
// ESRCH when there is none.
func ReadStat(pid, tid int) (Stat, error) {
	file, err := poller.Open("/proc/"+strconv.Itoa(pid)+"/task/"+strconv.Itoa(tid)+"/stat", unix.O_RDONLY)
	if err != nil {
		return Stat{}, err
	}
	defer file.Close()
	var text [StatSize]byte
	n, err := file.Read(text[:])
	if err != nil {
		return Stat{}, err
	}
	return ParseStat(text[:n])
}

var errStat = errors.New("malformed /proc/PID/task/TID/stat")

// ParseStat parses the text of /proc/PID/task/TID/stat.
func ParseStat(text []byte) (s Stat, err error) {
	// The name stands in parentheses, and may hold some itself.
	name := bytes.LastIndexByte(text, ')')
	if name < 0 || len(text) < name+3 {
		return Stat{}, errStat
	}
	s.State = text[name+2]
	field := 3 // the state's number
	for rest := text[name+3:]; field < 47; {
		field++
		var value uint64
		if value, rest, err = nextNumber(rest); err != nil {
			return Stat{}, err
		}
		switch field {
		case 9:
			s.Flags = value
		case 26:
			s.StartCode = value
		case 28:
			s.StartStack = value
		case 47:
			s.StartBrk = value
		}
	}
	return s, nil
}

// nextNumber returns the number behind a space, without its sign.
func nextNumber(text []byte) (value uint64, rest []byte, err error) {
	text = bytes.TrimPrefix(bytes.TrimPrefix(text, []byte(" ")), []byte("-"))
	i := 0
	for ; i < len(text) && '0' <= text[i] && text[i] <= '9'; i++ {
		value = value*10 + uint64(text[i]-'0')
	}
	if i == 0 {
		return 0, nil, errStat
	}
	return value, text[i:], nil
}
