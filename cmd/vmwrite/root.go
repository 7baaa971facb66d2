package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"
)

// streams are what a command reads and writes. Results go to out, and everything
// else, each line behind "vmwrite: ", to err.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// notef writes a line that is no result.
func (s streams) notef(format string, args ...any) {
	fmt.Fprintf(s.err, "vmwrite: "+format+"\n", args...)
}

// run runs the command line and returns the exit status.
func run(args []string, s streams) (status int) {
	defer func() {
		if r := recover(); r != nil {
			s.notef("this is a bug, please report it: %v\n%s", r, debug.Stack())
			status = exitBug
		}
	}()
	root := newRootCmd(s)
	root.SetArgs(numbersLast(root, args))
	err := root.Execute()
	if err != nil {
		report(s, err, wantsJSON(args))
	}
	return exitStatus(err)
}

// wantsJSON looks for --json itself, because a command line that can't be parsed
// gets its answer in that form too.
func wantsJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
}

func newRootCmd(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "vmwrite",
		Short: "Write into the memory of a running process, as Mach's vm_write does",
		Long: `Write into the memory of a running process, as Mach's vm_write does: only where
the process itself may write, all of it or nothing, and with the exact
kern_return_t as the exit status when it can't.`,
		Example: `  vmwrite demo
  vmwrite maps -n game
  vmwrite write -n game 0x7f3a5c001000 -t i32 999
  vmwrite write -p 4711 0x7f3a5c001000 90 90 --expect 7405
  vmwrite read -p 4711 0x7f3a5c001000 64`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v (see %s --help)", err, cmd.CommandPath())
	})
	root.AddCommand(
		newWriteCmd(s), newReadCmd(s), newCopyCmd(s), newProtectCmd(s), newMapsCmd(s), newSuspendCmd(s), newDemoCmd(s),
		newDemoTargetCmd(s), newExplainCmd(s), newPageSizeCmd(s), newVersionCmd(s),
	)
	return root
}
