// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

type copyOptions struct {
	targetFlags
	json bool
}

func newCopyCmd(s streams) *cobra.Command {
	o := &copyOptions{}
	cmd := &cobra.Command{
		Use:   "copy (-p PID | -n NAME) SOURCE SIZE DESTINATION",
		Short: "Copy bytes inside the memory of a process",
		Long: `Copy SIZE bytes inside the memory of a process, from the address SOURCE to the
address DESTINATION; the two may overlap. Both are checked before a byte is
written.`,
		Example:           "  vmwrite copy -p 4711 0x7f3a5c001000 64 0x7f3a5c002000",
		ValidArgsFunction: o.completePlaces(0, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			return runCopy(s, o, args)
		},
	}
	o.targetFlags.add(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

func runCopy(s streams, o *copyOptions, args []string) error {
	if len(args) != 3 {
		return usagef("give SOURCE SIZE DESTINATION, as 0x7f3a5c001000 64 0x7f3a5c002000 (see vmwrite copy --help)")
	}
	switch looksLikeSize := func(i int) bool { return isSmall(args[i]) && !isSmall(args[1]) }; {
	case looksLikeSize(2):
		return usagef("SIZE stands between the addresses: vmwrite copy %s %s %s", args[0], args[2], args[1])
	case looksLikeSize(0):
		return usagef("SIZE stands between the addresses: vmwrite copy %s %s %s", args[1], args[0], args[2])
	}
	from, err := parsePlace(args[0])
	if err != nil {
		return err
	}
	size, err := parseSize(args[1])
	if err != nil {
		return err
	}
	to, err := parsePlace(args[2])
	if err != nil {
		return err
	}
	task, err := o.open()
	if err != nil {
		return err
	}
	c := &caller{streams: s, task: task}
	defer task.Close()
	interrupted := newInterruption()
	defer interrupted.stop()
	sourceAt, err := c.at(from)
	if err != nil {
		return err
	}
	destinationAt, err := c.at(to)
	if err != nil {
		return err
	}
	source, destination := sourceAt.Address, destinationAt.Address
	err = c.make(interrupted, endsSoon, func() error { return task.Copy(source, size, destination) })
	if errors.Is(err, errGivenUp) {
		return &machcompat.Error{
			Op: "vm_copy", PID: task.PID(), Address: destination, Size: size, Fault: destination,
			Code: machcompat.KERN_ABORTED, Err: err, Hint: givenUpHint,
		}
	}
	if err != nil {
		return err
	}
	name := c.moduleOf(destination)
	return finish(s, o.json, outcome{Op: "vm_copy", PID: task.PID(), Address: hexAddress(destination), Place: name, Size: size, Written: &size, Backend: task.Backend().String()},
		fmt.Sprintf("copied %s from %s to %s of process %d", counted(size, "byte"), beside(source, c.moduleOf(source)), beside(destination, name), task.PID()))
}

// isSmall reports whether text is a size where no process has memory, so that it
// is no address.
func isSmall(text string) bool {
	const lowest = 0x10000 // vm.mmap_min_addr
	size, err := parseSize(text)
	return err == nil && size < lowest
}
