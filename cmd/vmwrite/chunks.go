package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// chunkSize is how much is written between two looks at Ctrl-C and the clock:
// some ten milliseconds.
const chunkSize = 32 << 20

// writeChunks writes the data: in one call when it is short or must be atomic,
// else in chunks after one check of the whole, with a progress bar, until a
// signal arrives.
func (j *job) writeChunks(interrupted <-chan os.Signal) error {
	if len(j.data) <= chunkSize || j.atomic {
		return j.withSourceChecked(j.task.Write(j.address, j.data))
	}
	if err := j.task.Check(j.address, uint64(len(j.data))); err != nil {
		return err
	}
	bar := newProgress(j.err, uint64(len(j.data)))
	defer bar.clear()
	for done := 0; done < len(j.data); {
		select {
		case <-interrupted:
			return j.failure(j.address+uint64(done), uint64(done), machcompat.KERN_ABORTED, errInterrupted)
		default:
		}
		n := min(chunkSize, len(j.data)-done)
		if err := j.task.Write(j.address+uint64(done), j.data[done:done+n]); err != nil {
			return j.withSourceChecked(ofWhole(err, j.address, uint64(len(j.data)), uint64(done)))
		}
		done += n
		bar.show(uint64(done))
	}
	return nil
}

// interrupts tells of Ctrl-C and of a request to end, which then no longer end
// this program at once.
func interrupts() (signals chan os.Signal, stop func()) {
	signals = make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, unix.SIGTERM)
	return signals, func() { signal.Stop(signals) }
}

// ofWhole makes the error of a chunk, behind done bytes, that of the whole write
// or read.
func ofWhole(err error, address, size, done uint64) error {
	if e, ok := errors.AsType[*machcompat.Error](err); ok {
		e.Address, e.Size = address, size
		e.Written += done
		e.Partial = e.Op == "vm_write" && e.Written > 0
	}
	return err
}

// shrunk is the error for a file that has become shorter.
func (j *job) shrunk(arrived string) error {
	return &fileError{fmt.Errorf("%s has become shorter while it was written: %s in process %d", j.file, arrived, j.task.PID())}
}

// lookAtSource runs f, which reads the data itself. Where that is the mapping of
// a file that has become shorter, the fault is an error and not the end of this
// program.
func (j *job) lookAtSource(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		fault := recover()
		if _, ok := fault.(interface{ Addr() uintptr }); ok {
			err = j.shrunk("not all of it may be")
		} else if fault != nil {
			panic(fault)
		}
	}()
	return f()
}

// withSourceChecked tells a page of the process that can't be had from a file of
// ours that has become shorter while it was written: the kernel answers EFAULT
// to both.
func (j *job) withSourceChecked(err error) error {
	if err == nil || j.file == "" || !errors.Is(err, machcompat.KERN_MEMORY_ERROR) {
		return err
	}
	info, statErr := os.Stat(j.file)
	if statErr == nil && info.Size() < int64(len(j.data)) {
		written := uint64(0)
		if e, ok := errors.AsType[*machcompat.Error](err); ok {
			written = e.Written
		}
		return j.shrunk(fmt.Sprintf("%d bytes of it are", written))
	}
	return err
}
