// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"fmt"
	"log"
	"os"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

func ExampleVMRead() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	score = 0x04030201
	data, code := machcompat.VMRead(task, machcompat.VMAddress(scoreAddress()), 4)
	fmt.Println(data, code)
	// Output: [1 2 3 4] (os/kern) successful
}

func ExampleVMCopy() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	score = 0x04030201
	score := machcompat.VMAddress(scoreAddress())
	fmt.Println(machcompat.VMCopy(task, score, 2, score+2))
	data, code := machcompat.VMRead(task, score, 4)
	fmt.Println(data, code)
	// Output:
	// (os/kern) successful
	// [1 2 1 2] (os/kern) successful
}

// A page is taken, written, protected and given back, in Mach's calls.
func ExampleVMAllocate() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	var page machcompat.VMAddress
	size := machcompat.HostPageSize()
	fmt.Println(machcompat.VMAllocate(task, &page, size, machcompat.VM_FLAGS_ANYWHERE))
	fmt.Println(machcompat.VMWrite(task, page, []byte("bytes")))
	fmt.Println(machcompat.VMProtect(task, page, size, false, machcompat.VM_PROT_READ))
	fmt.Println(machcompat.VMWrite(task, page, []byte("bytes")))
	fmt.Println(machcompat.VMDeallocate(task, page, size))
	// Output:
	// (os/kern) successful
	// (os/kern) successful
	// (os/kern) successful
	// (os/kern) protection failure
	// (os/kern) successful
}

// Every region of the task, as vmmap lists them.
func ExampleMachVMRegion() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	var address machcompat.MachVMAddress
	var size uint64
	for ; ; address += machcompat.MachVMAddress(size) {
		region, code := machcompat.MachVMRegion(task, &address, &size)
		if code != machcompat.KERN_SUCCESS { // KERN_INVALID_ADDRESS: there is none above
			break
		}
		if region.Mapping.Path == "[stack]" {
			fmt.Println(region.Protection, region.Mapping.Path)
		}
	}
	// Output: rw- [stack]
}

func ExampleTaskSuspend() {
	const pid = 4711
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	if code := machcompat.TaskSuspend(task); code != machcompat.KERN_SUCCESS {
		fmt.Println("task_suspend:", code)
		return
	}
	// Look at it for as long as you like.
	fmt.Println("task_resume:", machcompat.TaskResume(task))
}
