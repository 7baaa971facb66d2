// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// writerVariable makes this program the counterpart of raw.c: it obeys "open",
// "source", "vm" and its like through a Task. What may use one core only must be so from its
// start, and so must what strace looks at.
const writerVariable = "VMWRITE_BENCH_WRITER"

// A writer keeps to its first thread, the one whose calls strace counts.
func init() {
	if os.Getenv(writerVariable) != "" {
		runtime.LockOSThread()
	}
}

func (b *bench) ourWriterOnOneCore(target *coprocess) (*coprocess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := b.startOnOneCore("/usr/bin/env", writerVariable+"=1", "GOMAXPROCS=1", self)
	return opened(p, target, err)
}

// writer is what obeys.
type writer struct {
	task *machcompat.Task
	data []byte
}

// asWriter is what this program does when it was started as a writer.
func asWriter() bool {
	if os.Getenv(writerVariable) == "" {
		return false
	}
	for w := (&writer{}); ; {
		var word string
		if _, err := fmt.Scan(&word); err != nil {
			return true
		}
		if ns, err := w.obey(word); err != nil {
			fmt.Println("error", err)
		} else {
			fmt.Println("ok", ns)
		}
	}
}

func (w *writer) obey(word string) (ns int64, err error) {
	switch word {
	case "open":
		var pid int
		if _, err := fmt.Scan(&pid); err != nil {
			return 0, err
		}
		w.task, err = machcompat.TaskForPID(pid)
		return 0, err
	case "source":
		var path string
		var size int
		if _, err := fmt.Scan(&path, &size); err != nil {
			return 0, err
		}
		file, err := os.Open(path)
		if err != nil {
			return 0, err
		}
		defer file.Close()
		w.data, err = mapSource(file, size)
		return 0, err
	case "vm":
		var address uint64
		var size, calls int
		if _, err := fmt.Scan(&address, &size, &calls); err != nil {
			return 0, err
		}
		if w.data == nil {
			w.data = make([]byte, size)
		}
		took, err := repeat(func() error { return w.task.Write(address, w.data[:size]) })(calls)
		return took.Nanoseconds(), err
	case "batch", "readbatch":
		var address uint64
		var step, calls int
		if _, err := fmt.Scan(&address, &step, &calls); err != nil {
			return 0, err
		}
		segments := segmentsAt(addressesFrom(address, tickValues, step), tickSize)
		move := w.task.WriteBatch
		if word == "readbatch" {
			move = w.task.ReadBatch
		}
		took, err := repeat(func() error { return move(segments) })(calls)
		return took.Nanoseconds(), err
	case "reopen":
		var pid, calls int
		if _, err := fmt.Scan(&pid, &calls); err != nil {
			return 0, err
		}
		took, err := repeat(func() error { return reopen(pid) })(calls)
		return took.Nanoseconds(), err
	}
	return 0, fmt.Errorf("no command %q", word)
}
