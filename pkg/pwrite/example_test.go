// SPDX-License-Identifier: Apache-2.0

package pwrite_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"unsafe"

	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// health and name are what the examples change: variables of this process, where a
// real program would have addresses in another one.
var (
	health int32 = 100
	name         = [8]byte{'n', 'o', 'b', 'o', 'd', 'y'}
)

func healthAddress() uint64 { return uint64(uintptr(unsafe.Pointer(&health))) }

func nameAddress() uint64 { return uint64(uintptr(unsafe.Pointer(&name))) }

func ExampleProcessVM_Write() {
	process := pwrite.ProcessVM{PID: os.Getpid()}
	segments := []pwrite.Segment{
		{Address: healthAddress(), Data: []byte{0x0f, 0x27, 0, 0}},
		{Address: nameAddress(), Data: []byte("Reed\x00")},
	}
	if _, err := process.Write(segments); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d %q\n", health, name)
	// Output: 9999 "Reed\x00y\x00\x00"
}

func ExampleProcessVM_WriteOnce() {
	process := pwrite.ProcessVM{PID: os.Getpid()}
	n, err := process.WriteOnce(healthAddress(), []byte{7, 0, 0, 0})
	fmt.Println(n, err, health)
	// Output: 4 <nil> 7
}

// The first bytes that can't be moved end a transfer; those before them stay.
func ExampleTransferError() {
	process := pwrite.ProcessVM{PID: os.Getpid()}
	segments := []pwrite.Segment{
		{Address: healthAddress(), Data: []byte{1, 0, 0, 0}},
		{Address: 0x10, Data: []byte{2}}, // nothing is mapped there
	}
	end, err := process.Write(segments)
	fmt.Println(err)
	fmt.Println(errors.Is(err, unix.EFAULT), end.Segment, end.Moved(segments), health)
	// Output:
	// process_vm_writev at 0x10: bad address
	// true 1 4 1
}

func ExampleOpenProcMem() {
	memory, err := pwrite.OpenProcMem(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer memory.Close()
	if _, err := memory.Write([]pwrite.Segment{{Address: healthAddress(), Data: []byte{5, 0, 0, 0}}}); err != nil {
		log.Fatal(err)
	}
	value := make([]byte, 4)
	if _, err := memory.Read([]pwrite.Segment{{Address: healthAddress(), Data: value}}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(health, value)
	// Output: 5 [5 0 0 0]
}
