// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

type mapsOptions struct {
	targetFlags
	json bool
}

func newMapsCmd(s streams) *cobra.Command {
	o := &mapsOptions{}
	cmd := &cobra.Command{
		Use:   "maps (-p PID | -n NAME)",
		Short: "List what is mapped where in a process, and with which protection",
		Long: `List what is mapped where in a process, and with which protection. SIZE is as
the other commands take it.`,
		Example: "  vmwrite maps -n game\n  vmwrite maps -p 4711 | grep rw-",
		Args:    takesNone,
		RunE: func(*cobra.Command, []string) error {
			return runMaps(s, o)
		},
	}
	o.targetFlags.add(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

// region is a mapping in the object of --json.
type region struct {
	Start      string `json:"start"`
	End        string `json:"end"`
	Size       uint64 `json:"size"`
	Perms      string `json:"perms"`
	Protection string `json:"protection"`
	Offset     string `json:"offset"`
	Path       string `json:"path"`
}

func runMaps(s streams, o *mapsOptions) error {
	pid, err := o.resolve()
	if err != nil {
		return err
	}
	mappings, err := readMappings(pid)
	if err != nil {
		return err
	}
	if o.json {
		out := outcome{Op: "vm_region", PID: pid}
		for _, m := range mappings {
			out.Regions = append(out.Regions, region{
				Start: hexAddress(m.Start), End: hexAddress(m.End), Size: m.End - m.Start, Perms: m.PermsText(),
				Protection: machProtection(m.Perms), Offset: hexAddress(m.Offset), Path: m.Path,
			})
		}
		return s.printJSON(out.succeeded(counted(len(mappings), "region")))
	}
	return s.print(mapsTable(mappings))
}

// readMappings needs less than a task does: the kernel shows the mappings of
// processes whose memory it would not let us change.
func readMappings(pid int) ([]procmaps.Mapping, error) {
	maps, err := procmaps.Open(pid)
	if err != nil {
		return nil, mapsError(pid, err)
	}
	defer maps.Close()
	var mappings []procmaps.Mapping
	for m, err := range maps.All() {
		if err != nil {
			return nil, mapsError(pid, err)
		}
		mappings = append(mappings, m)
	}
	return mappings, nil
}

// mapsError lets task_for_pid explain what is wrong with the process.
func mapsError(pid int, err error) error {
	task, taskErr := machcompat.TaskForPID(pid)
	if taskErr != nil {
		return taskErr
	}
	task.Close()
	return &machcompat.Error{Op: "vm_region", PID: pid, Code: machcompat.KERN_FAILURE, Err: err}
}

func mapsTable(mappings []procmaps.Mapping) []byte {
	var b bytes.Buffer
	const columns = "%-14s  %-14s  %7s  %-5s  %s\n" // an address of a program has 14 characters at most
	fmt.Fprintf(&b, columns, "START", "END", "SIZE", "PERMS", "PATH")
	for _, m := range mappings {
		fmt.Fprintf(&b, columns, hexAddress(m.Start), hexAddress(m.End), exactSize(m.End-m.Start), m.PermsText(), orDash(procmaps.Printable(m.Path)))
	}
	return b.Bytes()
}

// orDash fills a column that may be empty, which other tools could not cut out.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// exactSize is a size as parseSize takes it.
func exactSize(size uint64) string {
	unit := ""
	for _, next := range []string{"K", "M", "G"} {
		if size == 0 || size%1024 != 0 {
			break
		}
		size, unit = size/1024, next
	}
	return strconv.FormatUint(size, 10) + unit
}

// machProtection names a protection as mach/vm_prot.h does.
func machProtection(p procmaps.Perms) string {
	var names []string
	for _, bit := range []struct {
		perm procmaps.Perms
		name string
	}{{procmaps.Read, "READ"}, {procmaps.Write, "WRITE"}, {procmaps.Execute, "EXECUTE"}} {
		if p&bit.perm != 0 {
			names = append(names, bit.name)
		}
	}
	if len(names) == 0 {
		return "VM_PROT_NONE"
	}
	return "VM_PROT_" + strings.Join(names, "|")
}

// printableMapping is the line of a mapping, safe for a terminal.
func printableMapping(m procmaps.Mapping) string { return procmaps.Printable(m.String()) }
