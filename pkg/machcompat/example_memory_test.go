// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// Which rule refused it: by Mach's code, by the errno, or in the error's own words.
func ExampleError() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	err = task.Write(0x10, []byte{1, 2, 3, 4})
	switch e, _ := errors.AsType[*machcompat.Error](err); {
	case err == nil:
		fmt.Println("all 4 bytes are written")
	case errors.Is(err, machcompat.KERN_PROTECTION_FAILURE):
		fmt.Println("the process itself may not write there:", e.Mapping)
	case errors.Is(err, machcompat.KERN_INVALID_ARGUMENT):
		fmt.Println("the process has ended, or runs another program")
	case errors.Is(err, unix.EPERM):
		fmt.Println("not permitted:", e.Hint)
	default:
		fmt.Printf("%d bytes are written: %s\n", e.Written, e.Reason())
	}
	// Output: 0 bytes are written: nothing is mapped at 0x10
}

func ExampleCodeOf() {
	_, err := machcompat.TaskForPID(-1)
	fmt.Println(machcompat.CodeOf(nil).String(), machcompat.CodeOf(err).String())
	// Output: KERN_SUCCESS KERN_FAILURE
}

func ExampleTask_Read() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	score = 9999
	value, err := task.Read(scoreAddress(), 4)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(binary.NativeEndian.Uint32(value))
	// Output: 9999
}

// All of a buffer is filled, or none of it.
func ExampleTask_ReadOverwrite() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	score = 9999
	value := make([]byte, 4)
	if err := task.ReadOverwrite(scoreAddress(), value); err != nil {
		log.Fatal(err)
	}
	fmt.Println(binary.NativeEndian.Uint32(value))
	// Output: 9999
}

// What takes an [io.WriterAt] or an [io.ReaderAt] writes and reads typed values.
func ExampleTask_WriteAt() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	at := int64(scoreAddress())
	if err := binary.Write(io.NewOffsetWriter(task, at), binary.NativeEndian, int32(-5)); err != nil {
		log.Fatal(err)
	}
	var value int32
	if err := binary.Read(io.NewSectionReader(task, at, 4), binary.NativeEndian, &value); err != nil {
		log.Fatal(err)
	}
	fmt.Println(score, value)
	// Output: -5 -5
}

func ExampleTask_Check() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	fmt.Println(task.Check(scoreAddress(), 4))
	fmt.Println(task.Check(0x10, 4))
	// Output:
	// <nil>
	// vm_write 0x10+4: KERN_INVALID_ADDRESS (1): nothing is mapped at 0x10
}

func ExampleTask_Region() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	region, err := task.Region(scoreAddress())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(region.Protection, region.Shared)
	_, err = task.Region(region.Start + region.Size) // the next one
	fmt.Println(err)
	// Output:
	// rw- false
	// <nil>
}

// The task gets a page, which is given back.
func ExampleTask_Allocate() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	page, err := task.Allocate(0, machcompat.HostPageSize(), machcompat.VM_FLAGS_ANYWHERE)
	if err != nil {
		log.Fatal(err)
	}
	if err := task.Write(page, []byte("a longer name")); err != nil {
		log.Fatal(err)
	}
	name, err := task.Read(page, 13)
	fmt.Printf("%s %v\n", name, err)
	fmt.Println(task.Deallocate(page, machcompat.HostPageSize()))
	// Output:
	// a longer name <nil>
	// <nil>
}

func ExampleTask_Copy() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	page, err := task.Allocate(0, machcompat.HostPageSize(), machcompat.VM_FLAGS_ANYWHERE)
	if err != nil {
		log.Fatal(err)
	}
	defer task.Deallocate(page, machcompat.HostPageSize())
	if err := task.Write(page, []byte("abcdef")); err != nil {
		log.Fatal(err)
	}
	if err := task.Copy(page, 6, page+2); err != nil {
		log.Fatal(err)
	}
	data, err := task.Read(page, 8)
	fmt.Printf("%s %v\n", data, err)
	// Output: ababcdef <nil>
}

func ExampleTask_Protect() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	page, err := task.Allocate(0, machcompat.HostPageSize(), machcompat.VM_FLAGS_ANYWHERE)
	if err != nil {
		log.Fatal(err)
	}
	defer task.Deallocate(page, machcompat.HostPageSize())
	if err := task.Protect(page, 1, false, machcompat.VM_PROT_READ); err != nil { // all of the page
		log.Fatal(err)
	}
	err = task.Write(page+8, []byte{1})
	fmt.Println(errors.Is(err, machcompat.KERN_PROTECTION_FAILURE))
	// Output: true
}

// What is read-only, as code is, is written and then as it was.
func ExampleTask_WithWritable() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	code, err := task.Allocate(0, machcompat.HostPageSize(), machcompat.VM_FLAGS_ANYWHERE)
	if err != nil {
		log.Fatal(err)
	}
	defer task.Deallocate(code, machcompat.HostPageSize())
	if err := task.Protect(code, 2, false, machcompat.VM_PROT_READ); err != nil {
		log.Fatal(err)
	}
	err = task.WithWritable(code, 2, func() error { return task.Write(code, []byte{0x90, 0x90}) })
	if err != nil {
		log.Fatal(err)
	}
	region, err := task.Region(code)
	fmt.Println(region.Protection, err)
	// Output: r-- <nil>
}
