// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// explanation is what an exit status means here.
type explanation struct {
	Status int    `json:"status"`
	Name   string `json:"name"`
	Text   string `json:"text"`
	Cause  string `json:"cause"`
	Remedy string `json:"remedy"`
}

// explanations returns the exit statuses of this command, in their order. It is
// a function so that no other command makes the list as it starts.
func explanations() []explanation {
	return []explanation{
		mach(machcompat.KERN_SUCCESS, "every byte was written", "nothing"),
		mach(machcompat.KERN_INVALID_ADDRESS, "some of the range is not mapped, or the range wraps round, or no module or symbol has the name; nothing was written", "look at the mappings with vmwrite maps: the hint names the nearest; in each run of a program they are elsewhere (ASLR)"),
		mach(machcompat.KERN_PROTECTION_FAILURE, "some of the range is mapped, but the process itself may not write there; nothing was written", "write with --unprotect, which makes the pages writable for the moment of the write (of a private file mapping the process gets a copy, and the file stays as it is); for shared memory, and to read or copy, change the protection with vmwrite protect"),
		mach(machcompat.KERN_INVALID_ARGUMENT, "the process has ended, or runs another program than when it was opened", "start again with the new process"),
		mach(machcompat.KERN_FAILURE, "no such process, no permission, or --verify found other bytes, or none that it may read", "do what the hint says; vmwrite ps shows which rule forbids what"),
		mach(machcompat.KERN_RESOURCE_SHORTAGE, "there is no memory for a page of the process", "free memory, or raise the limit of its cgroup"),
		mach(machcompat.KERN_MEMORY_FAILURE, "the page is on memory that the hardware reports as broken", "the process can't use it either"),
		mach(machcompat.KERN_MEMORY_ERROR, "the map allows the write, but the page cannot be faulted in: beyond the end of its file, a guard region, secret memory", "write elsewhere; the message says how much was written"),
		mach(machcompat.KERN_ABORTED, "Ctrl-C, SIGTERM or SIGHUP; the message says how much was written, or that it is not known", "write again, or restore what was there"),
		mach(machcompat.KERN_NOT_SUPPORTED, "the kernel or a sandbox allows no backend", "choose another --backend or --stop, or allow process_vm_writev or ptrace in the sandbox"),
		mach(machcompat.KERN_NOT_FOUND, "vmwrite scan has found nothing, or vmwrite patch diff no difference", "search with --unaligned, for another type, or in more memory (--perms)"),
		{exitUsage, "EX_USAGE", "usage error", "the command line is wrong, or there is nothing to write; nothing was done", "see vmwrite COMMAND --help"},
		{exitMismatch, "EX_DATAERR", "data error", "other bytes are there than --expect, an if of --batch or a patch says; or of a patch, it is another program, threads are in the way, or the file is wrong; nothing was written", "look at what is there with vmwrite read or vmwrite patch status, or do what the hint says"},
		{exitBug, "EX_SOFTWARE", "internal error", "a fault of vmwrite", "report it"},
		{exitFile, "EX_IOERR", "input/output error", "a file of yours, the output, or the journal of patches, can't be read or written", "see the message"},
	}
}

func mach(code machcompat.KernReturn, cause, remedy string) explanation {
	return explanation{int(code), code.String(), code.Error(), cause, remedy}
}

func newExplainCmd(s streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "explain [CODE]",
		Short:   "Say what an exit status means, what causes it and what to do",
		Example: "  vmwrite explain\n  vmwrite explain 2\n  vmwrite explain KERN_INVALID_ADDRESS",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("one CODE at a time, and %q is another", args[1])
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, e := range explanations() {
				names = append(names, e.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			chosen := explanations()
			if len(args) == 1 {
				one, err := explain(args[0])
				if err != nil {
					return err
				}
				chosen = []explanation{one}
			}
			if asJSON {
				return s.printJSON(map[string]any{"codes": chosen})
			}
			return s.print(explanationText(chosen))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// explain finds a code by its number or its name.
func explain(text string) (explanation, error) {
	number, numberErr := strconv.ParseInt(text, 0, 32)
	for _, e := range explanations() {
		if strings.EqualFold(e.Name, text) || (numberErr == nil && e.Status == int(number)) {
			return e, nil
		}
	}
	if numberErr == nil {
		code := machcompat.KernReturn(number)
		if !strings.HasPrefix(code.String(), "KERN_RETURN(") {
			return mach(code, "vmwrite never returns it", "nothing"), nil
		}
	}
	var names []string
	for _, e := range explanations() {
		names = append(names, e.Name)
	}
	meant := didYouMean(text, names, "")
	if meant == "" {
		meant = "; vmwrite explain lists them"
	}
	return explanation{}, usagef("no code %q%s", text, meant)
}

func explanationText(chosen []explanation) []byte {
	var b bytes.Buffer
	for i, e := range chosen {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%d  %s: %s\n    cause:  %s\n    remedy: %s\n", e.Status, e.Name, e.Text, e.Cause, e.Remedy)
	}
	return b.Bytes()
}
