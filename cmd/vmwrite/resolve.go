// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

type resolveOptions struct {
	targetFlags
	json bool
}

func newResolveCmd(s streams) *cobra.Command {
	o := &resolveOptions{}
	cmd := &cobra.Command{
		Use:   "resolve (-p PID | -n NAME) ADDRESS",
		Short: "Show step by step which address an expression stands for",
		Long: `Show which address an expression stands for in a process, and each step on the
way: where its modules and symbols are, and each pointer that is read. All
commands take such an expression for an ADDRESS:

  game+0x4068              an offset in a module, wherever it is mapped
  [[game+0x4068]+0x8]+0x16 a chain of pointers, or shorter: game+0x4068,0x8,0x16
  game!player              a symbol, or an export of a Windows module
  @exe @heap @stack @vdso  the program, the heap, the end of the stack, the vdso
  0x7f3a5c001000           a number: 0x..., 0d... or a single digit

A name with other characters than letters, digits and _ . / : $ ~ % is quoted:
'"libstdc++.so.6"+0x10'.`,
		Example: `  vmwrite resolve -n game 'game+0x4068,0x8,0x16'
  vmwrite resolve -n game.exe '[[game.exe+0x10F4F4]+0x374]+0x14'`,
		ValidArgsFunction: o.completePlaces(0),
		RunE: func(_ *cobra.Command, args []string) error {
			return runResolve(s, o, args)
		},
	}
	o.targetFlags.add(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

// step is a step of an expression in the object of --json.
type step struct {
	Expression string `json:"expression"`
	Address    string `json:"address"`         // of the place, or where the pointer was read
	Value      string `json:"value,omitempty"` // the pointer
}

func runResolve(s streams, o *resolveOptions, args []string) error {
	if len(args) != 1 {
		return usagef("give one ADDRESS, as game+0x4068 (see vmwrite resolve --help)")
	}
	at, err := parsePlace(args[0])
	if err != nil {
		return err
	}
	task, err := o.open()
	if err != nil {
		return err
	}
	defer task.Close()
	c := &caller{streams: s, task: task}
	found, err := c.resolution(at)
	if err != nil {
		return err
	}
	out := outcome{Op: "resolve", PID: task.PID(), Address: hexAddress(found.Address), Place: c.moduleOf(found.Address)}
	for _, p := range found.Places {
		out.Steps = append(out.Steps, step{Expression: p.Text, Address: hexAddress(p.Address)})
	}
	for _, l := range found.Links {
		out.Steps = append(out.Steps, step{Expression: l.Text, Address: hexAddress(l.Address), Value: hexAddress(l.Value)})
	}
	if o.json {
		return s.printJSON(out.succeeded(at.expr.String() + " is " + out.Address))
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "EXPRESSION\tADDRESS\tVALUE\tPLACE")
	for _, p := range found.Places {
		fmt.Fprintf(w, "%s\t%#x\t-\t-\n", procmaps.Printable(p.Text), p.Address)
	}
	for _, l := range found.Links {
		fmt.Fprintf(w, "%s\t%#x\t%#x\t%s\n", procmaps.Printable(l.Text), l.Address, l.Value, orDash(c.moduleOf(l.Address)))
	}
	fmt.Fprintf(w, "%s\t%s\t-\t%s\n", procmaps.Printable(at.expr.String()), out.Address, orDash(out.Place))
	w.Flush()
	return s.print(b.Bytes())
}
