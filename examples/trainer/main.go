// SPDX-License-Identifier: Apache-2.0

// Command trainer holds the health of the player of examples/game: trainer PID WORLD HEALTH.
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

func main() {
	pid, world, health := 0, uint64(0), int32(0)
	if _, err := fmt.Sscan(strings.Join(os.Args[1:], " "), &pid, &world, &health); err != nil {
		log.Fatal("usage: trainer PID WORLD HEALTH")
	}
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		log.Fatal(err)
	}
	for range time.Tick(20 * time.Millisecond) {
		// The player moves, but not in a stop. What stays in its place needs none: task.Write.
		err := task.Stopped(context.Background(), func(s *machcompat.Stopped) error {
			address, err := follow(s, world, 8, 16) // the world, the player in it, its health
			if err != nil {
				return err
			}
			value := make([]byte, 4)
			if err := s.Read(address, value); err != nil {
				return err
			}
			if was := int32(binary.NativeEndian.Uint32(value)); was != health {
				fmt.Printf("the health at %#x was %d\n", address, was)
			}
			return s.Write(address, binary.NativeEndian.AppendUint32(nil, uint32(health)))
		})
		if err != nil {
			log.Fatal(err)
		}
	}
}

// follow reads the pointer at address, then that at the offset from where it leads.
func follow(s *machcompat.Stopped, address uint64, offsets ...uint64) (uint64, error) {
	pointer := make([]byte, 8)
	for _, offset := range offsets {
		if err := s.Read(address, pointer); err != nil {
			return 0, err
		}
		address = binary.NativeEndian.Uint64(pointer) + offset
	}
	return address, nil
}
