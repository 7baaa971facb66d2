// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"fmt"
	"log"
	"os"
	"unsafe"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// player is a struct of the target, where the numbers are an example's.
var player = struct {
	Health int32
	Name   [8]byte
	Gold   uint64
}{100, [8]byte{'m', 'a', 'x'}, 5}

func playerAddress() uint64 { return uint64(uintptr(unsafe.Pointer(&player))) }

func ExampleReadValue() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	health, err := machcompat.ReadValue[int32](task, playerAddress())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(health)
	// Output: 100
}

// A struct is laid out as the target's compiler does. Its blank field is left alone.
func ExampleWriteValue() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	type Player struct {
		Health int32
		_      [8]byte // the name
		Gold   uint64
	}
	if err := machcompat.WriteValue(task, playerAddress(), Player{Health: 100, Gold: 9999}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(player.Gold, string(player.Name[:3]))
	// Output: 9999 max
}

// At most 8 bytes, with the NUL: there is room for no more.
func ExampleReadString() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	name, err := machcompat.ReadString[byte](task, playerAddress()+4, 8)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(name)
	// Output: max
}

// A string of Windows: UTF-16.
func ExampleWriteString() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	var title [6]uint16
	if err := machcompat.WriteString[uint16](task, uint64(uintptr(unsafe.Pointer(&title))), "hero"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(title)
	// Output: [104 101 114 111 0 0]
}
