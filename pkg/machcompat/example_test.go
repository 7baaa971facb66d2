// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// score is what the examples change: a variable of this process, where a real
// program would have an address in another one.
var score int32 = 100

func scoreAddress() uint64 { return uint64(uintptr(unsafe.Pointer(&score))) }

func Example() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	if err := task.Write(scoreAddress(), []byte{0x0f, 0x27, 0, 0}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(score)
	// Output: 9999
}

func ExampleTaskForPID() {
	_, err := machcompat.TaskForPID(1 << 30)
	fmt.Println(errors.Is(err, machcompat.KERN_FAILURE), errors.Is(err, unix.ESRCH))
	fmt.Println(err)
	// Output:
	// true true
	// task_for_pid 1073741824: KERN_FAILURE (5): no such process
}

func ExampleVMWrite() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	code := machcompat.VMWrite(task, 0, []byte{1})
	fmt.Println(code.String(), int32(code), code)
	// Output: KERN_INVALID_ADDRESS 1 (os/kern) invalid address
}

func ExampleTask_Write() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	err = task.Write(0x10, []byte{1, 2, 3, 4})
	if e, ok := errors.AsType[*machcompat.Error](err); ok {
		fmt.Printf("%s: %d bytes written, stopped at %#x\n", e.Code.String(), e.Written, e.Fault)
	}
	// Output: KERN_INVALID_ADDRESS: 0 bytes written, stopped at 0x10
}

func ExampleTask_WriteBatch() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	score = 1
	err = task.WriteBatch([]machcompat.Segment{
		{Address: scoreAddress(), Data: []byte{2, 0, 0, 0}},
		{Address: 0x10, Data: []byte{3}}, // nothing is mapped there
	})
	fmt.Println(errors.Is(err, machcompat.KERN_INVALID_ADDRESS), score)
	// Output: true 1
}

func ExampleTask_ReadAt() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	score = 0x04030201
	value := make([]byte, 4)
	n, err := task.ReadAt(value, int64(scoreAddress()))
	fmt.Println(n, err, value)
	// Output: 4 <nil> [1 2 3 4]
}

func ExampleTask_Regions() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	for mapping, err := range task.Regions() {
		if err != nil {
			fmt.Println(err)
			return
		}
		if mapping.Contains(scoreAddress()) {
			fmt.Println(mapping.PermsText())
		}
	}
	// Output: rw-p
}
