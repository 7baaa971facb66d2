// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

type protectOptions struct {
	targetFlags
	json bool
}

func newProtectCmd(s streams) *cobra.Command {
	o := &protectOptions{}
	cmd := &cobra.Command{
		Use:   "protect (-p PID | -n NAME) ADDRESS SIZE PROTECTION",
		Short: "Change the protection of memory of a process",
		Long: `Change the protection of the pages that hold SIZE bytes at ADDRESS of a process,
to PROTECTION as vmwrite maps shows it: rw-, r-x, ---. The process itself makes
the change: it is stopped for a moment, and goes on as it was.

To write to protected memory, vmwrite write --unprotect does all at once.`,
		Example: `  vmwrite protect -p 4711 0x7f3a5c001000 4096 rw-
  vmwrite protect -n game 0x7f3a5c001000 1 r-x`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			if len(args) != 2 {
				return o.completePlaces(0)(cmd, args, prefix)
			}
			return []string{"rw-", "r--", "r-x", "rwx", "---"}, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return runProtect(s, o, args)
		},
	}
	o.targetFlags.add(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

func runProtect(s streams, o *protectOptions, args []string) error {
	if len(args) != 3 {
		return usagef("give ADDRESS SIZE PROTECTION, as 0x7f3a5c001000 4096 rw- (see vmwrite protect --help)")
	}
	if isProtection(args[0]) || isProtection(args[1]) {
		return usagef("the order is ADDRESS SIZE PROTECTION, as 0x7f3a5c001000 4096 rw-")
	}
	at, err := parsePlace(args[0])
	if err != nil {
		return err
	}
	size, err := parseSize(args[1])
	if err != nil {
		return err
	}
	if size == 0 {
		return usagef("SIZE is 0: there are no pages to change")
	}
	prot, err := parseProtection(args[2])
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
	found, err := c.at(at)
	if err != nil {
		return err
	}
	address := found.Address
	err = c.make(interrupted, endsWhenForced, func() error { return task.Protect(address, size, false, prot) })
	if errors.Is(err, errGivenUp) {
		return &machcompat.Error{
			Op: "vm_protect", PID: task.PID(), Address: address, Size: size, Fault: address,
			Code: machcompat.KERN_ABORTED, Err: errors.New("interrupted twice, and the call still goes on; whether the protection was changed is not known"),
		}
	}
	if err != nil {
		return err
	}
	name := c.moduleOf(address)
	return finish(s, o.json, outcome{Op: "vm_protect", PID: task.PID(), Address: hexAddress(address), Place: name, Size: size},
		fmt.Sprintf("the pages of %s at %s of process %d are %s now", counted(size, "byte"), beside(address, name), task.PID(), prot))
}

// parseProtection parses three characters as /proc/PID/maps and vmwrite maps
// show them.
func parseProtection(text string) (prot machcompat.VMProt, err error) {
	if len(text) == 4 && isProtection(text[:3]) {
		return 0, usagef("protection %q: private or shared (p, s) can't be changed; did you mean %s?", text, text[:3])
	}
	if !isProtection(text) {
		return 0, usagef("protection %q: want three characters such as rw-, r-x or ---", text)
	}
	for i, bit := range []machcompat.VMProt{machcompat.VM_PROT_READ, machcompat.VM_PROT_WRITE, machcompat.VM_PROT_EXECUTE} {
		if text[i] != '-' {
			prot |= bit
		}
	}
	return prot, nil
}

func isProtection(text string) bool {
	if len(text) != 3 {
		return false
	}
	for i := range text {
		if text[i] != "rwx"[i] && text[i] != '-' {
			return false
		}
	}
	return true
}
