// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/internal/linux"
	"golang.org/x/sys/unix"
)

// newDemoTargetCmd is the small process of the demo. It prints its addresses,
// then for each line of input what its memory holds, and ends with its input.
func newDemoTargetCmd(s streams) *cobra.Command {
	return &cobra.Command{
		Use:    "demo-target",
		Hidden: true,
		Args:   takesNone,
		RunE: func(*cobra.Command, []string) error {
			return runDemoTarget(s)
		},
	}
}

func runDemoTarget(s streams) error {
	page := os.Getpagesize()
	memory, err := unix.Mmap(-1, 0, 4*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return &bugError{fmt.Errorf("mmap: %w", err)}
	}
	text, readOnly, head, gap := memory[:page], memory[page:2*page], memory[2*page:3*page], memory[3*page:]
	copy(text, demoText)
	copy(head[page-8:], "intact!!")
	if err := unix.Mprotect(readOnly, unix.PROT_READ); err != nil {
		return &bugError{fmt.Errorf("mprotect: %w", err)}
	}
	if err := linux.Munmap(uint64(linux.AddressOf(gap)), uint64(len(gap))); err != nil {
		return &bugError{fmt.Errorf("munmap: %w", err)}
	}
	fmt.Fprintln(s.out, uint64(linux.AddressOf(text)), uint64(linux.AddressOf(readOnly)), uint64(linux.AddressOf(head)))
	for lines := bufio.NewScanner(s.in); lines.Scan(); {
		fmt.Fprintf(s.out, "%s\n", bytes.TrimRight(text[:32], "\x00"))
	}
	return nil
}
