package procmaps

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/poller"
	"golang.org/x/sys/unix"
)

// livenessProbe is the cheapest question to which a living address space has another
// answer than a dead one. The kernel takes hold of the address space before it
// looks at what is asked of /proc/PID/pagemap (proc_pid_pagemap(5)), so a read of
// a length that the file does not have is an error as long as there is one, and
// the end of the file after it is gone. That takes no lock of the process's, and
// half the time of a query.
type livenessProbe struct {
	sync.Mutex
	file *os.File
	fd   atomic.Int64 // of the file, and 1; or one of those below
}

const (
	notOpened = 0  // nor tried yet
	noProbe   = -1 // the file cannot be opened
)

// Alive returns nil while the address space exists, else [ErrGone].
func (m *Maps) Alive() error {
	fd := m.probe.fd.Load()
	if fd == notOpened {
		fd = m.openProbe()
	}
	if fd == noProbe {
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

// openProbe opens the file, unless another call has.
func (m *Maps) openProbe() int64 {
	m.probe.Lock()
	defer m.probe.Unlock()
	if fd := m.probe.fd.Load(); fd != notOpened {
		return fd
	}
	file, err := poller.Open("/proc/"+strconv.Itoa(m.pid)+"/pagemap", unix.O_RDONLY)
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM) {
		return noProbe // this time
	}
	if err != nil {
		m.probe.fd.Store(noProbe)
		return noProbe
	}
	// The mappings still live, so what was opened by pid is of their address space.
	if m.askAlive() != nil {
		file.Close()
		return noProbe
	}
	m.probe.file = file
	m.probe.fd.Store(int64(file.Fd()) + 1)
	return m.probe.fd.Load()
}

func (p *livenessProbe) close() {
	if p.file != nil {
		p.file.Close()
	}
}
