package procmaps

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/vmwrite/vmwrite/internal/linux"
	"golang.org/x/sys/unix"
)

// pulse is the cheapest question to which a living address space has another
// answer than a dead one. The kernel takes hold of the address space before it
// looks at what is asked of /proc/PID/pagemap (proc_pid_pagemap(5)), so a read of
// a length that the file does not have is an error as long as there is one, and
// the end of the file after it is gone. That takes no lock of the process's, and
// half the time of a query.
type pulse struct {
	sync.Mutex
	file *os.File
	fd   atomic.Int64 // of the file, and 1; or one of those below
}

const (
	notOpened = 0  // nor tried yet
	noPulse   = -1 // the file can't be had
)

// Alive returns nil while the address space exists, else [ErrGone].
func (m *Maps) Alive() error {
	fd := m.pulse.fd.Load()
	if fd == notOpened {
		fd = m.openPulse()
	}
	if fd == noPulse {
		return m.askAlive()
	}
	var b [1]byte
	n, err := unix.Pread(int(fd)-1, b[:], 0)
	runtime.KeepAlive(m)
	switch {
	case err == unix.EINVAL:
		return nil
	case err == nil && n == 0:
		return ErrGone
	}
	return m.askAlive()
}

// askAlive asks the mappings themselves.
func (m *Maps) askAlive() error {
	if m.source == Text {
		return m.aliveText()
	}
	var q linux.ProcmapQuery
	if err := m.query(0, &q, nil); err != unix.ENOENT {
		return queryError(err)
	}
	return nil
}

// openPulse opens the file, unless another call has.
func (m *Maps) openPulse() int64 {
	m.pulse.Lock()
	defer m.pulse.Unlock()
	if fd := m.pulse.fd.Load(); fd != notOpened {
		return fd
	}
	file, err := linux.Open("/proc/"+strconv.Itoa(m.pid)+"/pagemap", unix.O_RDONLY)
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM) {
		return noPulse // this time
	}
	if err != nil {
		m.pulse.fd.Store(noPulse)
		return noPulse
	}
	// The mappings still live, so what was opened by pid is of their address space.
	if m.askAlive() != nil {
		file.Close()
		return noPulse
	}
	m.pulse.file = file
	m.pulse.fd.Store(int64(file.Fd()) + 1)
	return m.pulse.fd.Load()
}

func (p *pulse) close() {
	if p.file != nil {
		p.file.Close()
	}
}
