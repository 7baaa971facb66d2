// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

type modulesOptions struct {
	targetFlags
	all  bool
	json bool
}

func newModulesCmd(s streams) *cobra.Command {
	o := &modulesOptions{}
	cmd := &cobra.Command{
		Use:   "modules (-p PID | -n NAME)",
		Short: "List the program and the libraries that a process has mapped",
		Long: `List the program and the libraries that a process has mapped: ELF images, PE
images of Wine and Proton and, with --all, other files. An ADDRESS may name each
by its file's name, by the end of its path or by the front of its build id.`,
		Example: "  vmwrite modules -n game\n  vmwrite modules -p 4711 --json",
		Args:    takesNone,
		RunE: func(*cobra.Command, []string) error {
			return runModules(s, o)
		},
	}
	o.targetFlags.add(cmd)
	cmd.Flags().BoolVar(&o.all, "all", false, "other files that are mapped, too")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

// module is a module in the object of --json.
type module struct {
	Name        string `json:"name"`
	Base        string `json:"base"`
	Size        uint64 `json:"size"`
	Kind        string `json:"kind"`
	PointerSize int    `json:"pointer_size"` // 0 of a file that is no program
	BuildID     string `json:"build_id"`
	Path        string `json:"path"`
}

func runModules(s streams, o *modulesOptions) error {
	task, err := o.open()
	if err != nil {
		return err
	}
	defer task.Close()
	c := &caller{streams: s, task: task}
	list, err := c.listModules()
	if err != nil {
		return err
	}
	out := outcome{Op: "vm_region", PID: task.PID(), Modules: []module{}}
	for _, m := range list {
		if m.Kind == address.Data && !o.all {
			continue
		}
		out.Modules = append(out.Modules, module{
			Name: m.Name, Base: hexAddress(m.Base), Size: m.Size, Kind: m.Kind.String(),
			PointerSize: m.PointerSize, BuildID: m.BuildID, Path: m.Path,
		})
	}
	if o.json {
		return s.printJSON(out.succeeded(counted(len(out.Modules), "module")))
	}
	return s.print(modulesTable(out.Modules))
}

// listModules lists the modules of the process, until a signal comes.
func (c *caller) listModules() (list []*address.Module, err error) {
	var found []*address.Module
	err = c.look(0, 0, func() (err error) {
		found, err = c.modules().Modules()
		return err
	})
	if err != nil {
		return nil, err // the call may go on
	}
	return found, nil
}

func modulesTable(list []module) []byte {
	var b bytes.Buffer
	const columns = "%-14s  %7s  %-4s  %-4s  %-40s  %s\n" // a build id mostly has 20 bytes
	fmt.Fprintf(&b, columns, "BASE", "SIZE", "KIND", "BITS", "BUILD-ID", "PATH")
	for _, m := range list {
		bits := "-"
		if m.PointerSize > 0 {
			bits = fmt.Sprint(8 * m.PointerSize)
		}
		fmt.Fprintf(&b, columns, m.Base, exactSize(m.Size), m.Kind, bits, orDash(m.BuildID), orDash(procmaps.Printable(m.Path)))
	}
	return b.Bytes()
}
