// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// Two places of a program are patched, both or none, and later what was there is
// put back, unless somebody has changed it since.
func ExampleTask_CompareAndWrite() {
	const pid, check, amount = 4711, 0x55d0c0a012f4, 0x55d0c0a04010
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	patch := []machcompat.Change{
		{Address: check, Old: []byte{0x74, 0x05}, New: []byte{0x90, 0x90}, Unprotect: true},
		{Address: amount, Old: []byte{0, 0, 0, 0}, Mask: []byte{0xff, 0, 0, 0}, New: []byte{99}},
	}
	err = task.CompareAndWrite(ctx, patch)
	if mismatch, ok := errors.AsType[*machcompat.MismatchError](err); ok {
		for _, m := range mismatch.Mismatches {
			fmt.Printf("%#x holds % x\n", m.Address, m.Found)
		}
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	undo := []machcompat.Change{
		{Address: check, Old: []byte{0x90, 0x90}, New: []byte{0x74, 0x05}, Unprotect: true},
		{Address: amount, Old: []byte{99}, New: []byte{0}},
	}
	fmt.Println(task.CompareAndWrite(ctx, undo))
}

func ExampleMismatchError() {
	err := &machcompat.MismatchError{Mismatches: []machcompat.Mismatch{
		{Change: 0, Address: 0x401000, Found: []byte{0x75, 0x05}},
		{Change: 2, Address: 0x402000, Found: []byte{0x00}},
	}}
	fmt.Println(errors.Is(err, machcompat.ErrMismatch))
	fmt.Println(err)
	// Output:
	// true
	// other bytes are there than expected: 75 05 at 0x401000, and at another place
}

// A string is replaced by a longer one, in memory that the task gets for it, while
// no thread can read the pointer.
func ExampleTask_Stopped() {
	const pid, pointer = 4711, 0x55d0c0a04018
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	err = task.Stopped(context.Background(), func(s *machcompat.Stopped) error {
		threads, err := s.Threads()
		if err != nil {
			return err
		}
		for _, thread := range threads {
			fmt.Printf("thread %d stands at %#x\n", thread.TID, thread.PC)
		}
		address, err := s.Allocate(0, machcompat.HostPageSize(), machcompat.VM_FLAGS_ANYWHERE)
		if err != nil {
			return err
		}
		if err := s.Write(address, []byte("a longer name\x00")); err != nil {
			return err
		}
		return s.Write(pointer, []byte{
			byte(address), byte(address >> 8), byte(address >> 16), byte(address >> 24),
			byte(address >> 32), byte(address >> 40), byte(address >> 48), byte(address >> 56),
		})
	})
	fmt.Println(err)
}

// A debugger sets a breakpoint in the stop that it has made itself.
func ExampleTask_StoppedByCaller() {
	const pid, address = 4711, 0x55d0c0a012f4
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	runtime.LockOSThread() // the thread that has stopped every thread of pid, by ptrace(2)
	defer runtime.UnlockOSThread()
	err = task.StoppedByCaller(context.Background(), func(s *machcompat.Stopped) error {
		return s.CompareAndWrite([]machcompat.Change{{Address: address, New: []byte{0xcc}, Unprotect: true}})
	})
	fmt.Println(err)
}

// Values of several places are read by one call.
func ExampleTask_ReadBatch() {
	const pid, health, position = 4711, 0x7f1c2c000b60, 0x7f1c2c001000
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	values := []machcompat.Segment{
		{Address: health, Data: make([]byte, 4)},
		{Address: position, Data: make([]byte, 12)},
	}
	if err := task.ReadBatch(values); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("% x\n% x\n", values[0].Data, values[1].Data)
}

// A whole level is written while nobody reads it, and all that was there is put back
// if a page of it cannot be had.
func ExampleAtomic() {
	const pid, level = 4711, 0x7f1c2c000000
	task, err := machcompat.TaskForPID(pid, machcompat.Atomic())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	fmt.Println(task.Write(level, make([]byte, 1<<20)))
}

// The threads stand still for each write, however short.
func ExampleWithStop() {
	const pid, position = 4711, 0x7f1c2c001000
	task, err := machcompat.TaskForPID(pid,
		machcompat.WithStop(machcompat.StopAlways),
		machcompat.WithStopTimeout(time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	fmt.Println(task.Write(position, make([]byte, 12)))
}

func ExampleTask_Suspend() {
	const pid = 4711
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	if err := task.Suspend(); err != nil {
		fmt.Println(err)
		return
	}
	// Look at it for as long as you like.
	fmt.Println(task.Resume())
}

func ExampleKernReturn_Err() {
	fmt.Println(machcompat.KERN_SUCCESS.Err(), machcompat.KERN_INVALID_ADDRESS.Err())
	// Output: <nil> (os/kern) invalid address
}

// A thread that is about to leave a loop is kept in it.
func ExampleTask_SetThreadState() {
	const pid, thread, end, begin = 4711, 4713, 0x55d0c0a01310, 0x55d0c0a012f4
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	id, err := task.Thread(thread)
	if err != nil {
		fmt.Println(err)
		return
	}
	// Only that thread is stopped, from here on.
	if err := task.SuspendThread(id); err != nil {
		fmt.Println(err)
		return
	}
	state, err := task.ThreadState(id)
	if err == nil && state.PC == end {
		state.PC = begin
		err = task.SetThreadState(id, state)
	}
	fmt.Println(errors.Join(err, task.ResumeThread(id)))
}
