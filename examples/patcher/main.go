// SPDX-License-Identifier: Apache-2.0

// Command patcher makes the player of examples/game heal instead of being hurt, until
// Enter: patcher PID DAMAGE HEALING.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"runtime"
	"strings"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

func main() {
	pid, damage, healing := 0, uint64(0), uint64(0)
	if _, err := fmt.Sscan(strings.Join(os.Args[1:], " "), &pid, &damage, &healing); err != nil {
		log.Fatal("usage: patcher PID DAMAGE HEALING")
	}
	one, zero := []byte{0xb8, 1, 0, 0, 0}, []byte{0xb8, 0, 0, 0, 0} // mov $1, %eax
	if runtime.GOARCH == "arm64" {
		one, zero = []byte{0x20, 0, 0x80, 0x52}, []byte{0, 0, 0x80, 0x52} // mov w0, #1
	}
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		log.Fatal(err)
	}
	// Neither the code nor the constants may be written by the game itself.
	patch := []machcompat.Change{
		{Address: damage, Old: one, New: zero, Unprotect: true},
		{Address: healing, Old: []byte{0, 0, 0, 0}, New: []byte{3, 0, 0, 0}, Unprotect: true},
	}
	if err := apply(task, patch); err != nil {
		log.Fatal(err)
	}
	fmt.Println("patched; Enter puts it back")
	fmt.Scanln()
	for i, c := range patch {
		patch[i].Old, patch[i].New = c.New, c.Old
	}
	if err := apply(task, patch); err != nil {
		log.Fatal(err)
	}
}

// apply makes all changes, or says which of the places hold something else.
func apply(task *machcompat.Task, patch []machcompat.Change) error {
	err := task.CompareAndWrite(context.Background(), patch)
	if other, ok := errors.AsType[*machcompat.MismatchError](err); ok {
		for _, m := range other.Mismatches {
			fmt.Printf("%#x holds % x instead of % x\n", m.Address, m.Found, patch[m.Change].Old)
		}
	}
	return err
}
